"""The first page: all runs beside each other and beside the paper."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgajax import paper
from mgajax.reporting.figures.comparison_figures import (
    ComparisonRow,
    comparison_figure,
    interval_note,
)
from mgajax.reporting.figures.style import slices_label
from mgajax.reporting.folder_pages import folder_title, link_to
from mgajax.reporting.html.blocks import (
    Block,
    Cell,
    Code,
    Details,
    Facts,
    Figure,
    Row,
    Section,
    Table,
)
from mgajax.reporting.html.page import Page
from mgajax.reporting.reported_run import ReportedRun, SplitResults
from mgajax.reporting.result_folders import FolderKind, ResultFolder
from mgajax.reporting.run_page import state_of
from mgajax.reporting.tables.number import Number, number, percent

HEADS = {
    FolderKind.EXPERIMENT: "Experiments",
    FolderKind.TUNING: "Tuning",
    FolderKind.EXPLANATION: "Explanations",
}
PICTURES = {"classification": "attention", "segmentation": "lesions found and missed"}
NOT_SAME = (
    "These runs were not all measured on the same slices (see the columns Split and Slices; of equally "
    "many, others), so their rows do not compare models alone."
)
READING = (
    "In brackets: 95 % intervals of a bootstrap over whole patients. “Measured” is what a run here gave; "
    "“paper” is printed there, on slices of its own; “not run” is a model of the paper that none of "
    "these runs trained."
)


@dataclass(frozen=True)
class Comparison:
    """How runs of one task are compared.

    Attributes:
      name: of the table's files.
      task: of the runs, and the folder of their files in `configs/`.
      heading: of the section.
      caption: what the columns are over.
      columns: the paper's, by key -> heading; in percent.
      headline: the key of the column that the page begins with.
      block: the block of an evaluation's report that holds these keys.
      further_columns: columns that the paper lacks: heading -> how to read the number from a report.
      source: the table of the paper.
      printed: its rows by architecture (see `architecture`).
      names: how those architectures are written.
      architecture: of a registered model's name, as `printed` and `configs/` call it.
    """

    name: str
    task: str
    heading: str
    caption: str
    columns: Mapping[str, str]
    headline: str
    block: str
    further_columns: Mapping[str, Callable[[Mapping[str, Any]], Number]]
    source: str
    printed: Mapping[str, Mapping[str, float]]
    names: Mapping[str, str]
    architecture: Callable[[str], str]


def _segmenter_file(model: str) -> str:
    """`deeplabv3` for "DeepLabV3" and "deeplabv3_resnet50": the name of its file in `configs/`."""
    return paper.architecture(model).lower().replace("-", "")


COMPARISONS = (
    Comparison(
        name="classifiers",
        task="classification",
        heading="Classifiers",
        caption="COVID-19 against the rest, percent",
        columns=paper.CLASSIFIER_METRICS,
        headline="roc_auc",
        block="covid_vs_rest",
        further_columns={
            "Accuracy, classes": lambda metrics: percent(metrics, "three_class.accuracy"),
            "Calibration error": lambda metrics: percent(metrics, "calibration.ece.top_label"),
        },
        source="Table 4",
        printed=paper.TABLE4,
        names={name: paper.model_name(name) for name in paper.TABLE4},
        architecture=str,
    ),
    Comparison(
        name="segmenters",
        task="segmentation",
        heading="Segmenters",
        caption="Lesions over all pixels, percent",
        columns=paper.SEGMENTER_METRICS,
        headline="dice",
        block="pooled",
        further_columns={
            "Dice per slice": lambda metrics: percent(metrics, "per_image.dice"),
            "HD95": lambda metrics: number(metrics, "per_image.hausdorff95", digits=1),
        },
        source="Table 3",
        printed={_segmenter_file(name): row for name, row in paper.TABLE3.items()},
        names={_segmenter_file(name): name for name in paper.TABLE3},
        architecture=_segmenter_file,
    ),
)


def write_front_page(
    page: Page, runs: Sequence[ReportedRun], folders: Sequence[ResultFolder]
) -> Path:
    """What was measured, a picture of it, the comparisons, and links to every page."""
    sections = [Section("", tuple(_best_runs(page, runs)))] if runs else []
    sections += [Section("Runs", (_overview(runs),))] if runs else []
    for comparison in COMPARISONS:
        task_runs = [run for run in runs if run.config["task"] == comparison.task]
        if task_runs:
            sections.append(
                Section(comparison.heading, tuple(_compare_runs(page, task_runs, comparison)))
            )
    for kind, heading in HEADS.items():
        rows = tuple(
            (link_to(folder), folder_title(folder), Code(str(folder.path)))
            for folder in folders
            if folder.kind == kind
        )
        if rows:
            columns, name = ("Name", "What", "Folder"), kind.name.lower()
            table = Table(columns, rows, caption="Each on a page of its own", name=name)
            sections.append(Section(heading, (table,)))
    if runs:
        sections.append(Section("How to read this", (READING, _origins(runs))))
    return page.write(sections)


def _best_runs(page: Page, runs: Sequence[ReportedRun]) -> list[Block]:
    """The best run of each task in a sentence, and pictures of the first of them."""
    facts: dict[str, Cell] = {}
    pictures: list[Figure] = []
    for comparison in COMPARISONS:
        measured = [
            run for run in runs if run.config["task"] == comparison.task and run.evaluations
        ]
        if measured:
            best_run = max(measured, key=lambda run: _headline(run, comparison).value or 0.0)
            facts[comparison.heading[:-1]] = _sentence(best_run, comparison, count=len(measured))
            pictures = pictures or _picture(page, best_run, best_run.evaluations[0])
    if not facts:
        data = ", ".join(dict.fromkeys(run.data_set for run in runs))
        facts["Data set"] = f"{data}; nothing has been measured yet"
    return [Facts(facts), *pictures]


def _headline(run: ReportedRun, comparison: Comparison) -> Number:
    return percent(run.evaluations[0].metrics, f"{comparison.block}.{comparison.headline}")


def _sentence(run: ReportedRun, comparison: Comparison, *, count: int) -> str:
    """`ResNet18: ROC AUC 89.8 [81.6, 96.1] % on ct_phantom 1.0.0, test split: 120 slices …`."""
    choice = f", the highest of {count} runs," if count > 1 else ""
    return (
        f"{paper.model_name(run.model)}: {comparison.columns[comparison.headline]} {_headline(run, comparison)} %{choice} on "
        f"{run.data_set}, {slices_label(run.evaluations[0].metrics)}"
    )


def _picture(page: Page, run: ReportedRun, results: SplitResults) -> list[Figure]:
    """The picture of slices that `mgajax evaluate` drew."""
    if results.picture is None:
        return []
    name, content = run.folder.name, PICTURES[run.config["task"]]
    return [
        page.take(
            results.picture,
            name=f"{run.folder.slug}_{results.picture.name}",
            alt=f"{content} of {name} on slices of the {results.split} split",
            caption=f"{name}: {content} on slices of the {results.split} split",
        )
    ]


def _overview(runs: Sequence[ReportedRun]) -> Table:
    rows = tuple(
        (
            link_to(run.folder),
            paper.model_name(run.model),
            str(run.config["task"]),
            run.data_set,
            state_of(run),
            ", ".join(results.split for results in (*run.evaluations, *run.other_sets))
            or "not evaluated",
            ", ".join(folder.name for folder in run.explanations) or "no",
        )
        for run in runs
    )
    heads = ("Run", "Model", "Task", "Data set", "Training", "Evaluated on", "Explained")
    return Table(heads, rows, caption=f"{len(runs)} runs", name="runs")


def _origins(runs: Sequence[ReportedRun]) -> Details:
    rows = tuple(
        (
            link_to(run.folder),
            Code(run.fingerprint[:12]),
            str(run.record.get("provenance", {}).get("mgajax", "unknown")),
            str(run.record.get("provenance", {}).get("git_commit") or "unknown")[:12],
        )
        for run in runs
    )
    caption = "The whole of it stands on each run’s page"
    heads = ("Run", "Data’s fingerprint", "mgajax", "Commit")
    return Details(
        "Fingerprints and versions", (Table(heads, rows, caption=caption, name="origins"),)
    )


def _compare_runs(page: Page, runs: Sequence[ReportedRun], comparison: Comparison) -> list[Block]:
    """One table of what was measured, what the paper prints and what was not run; and a figure."""
    measured = [(run, run.evaluations[0]) for run in runs if run.evaluations]
    blocks: list[Block] = [_table(runs, comparison), *_not_run(runs, comparison)]
    if len({_slices_of(run, results) for run, results in measured}) > 1:
        blocks.append(NOT_SAME)
    if measured:
        rows = [
            ComparisonRow(
                f"{run.folder.name}\n{paper.model_name(run.model)}",
                _scores(results, comparison),
                comparison.printed.get(comparison.architecture(run.model), {}),
            )
            for run, results in measured
        ]
        description = "; ".join(
            f"{run.folder.name} {_last_score(results, comparison)}" for run, results in measured
        )
        blocks.append(
            page.draw(
                comparison.name,
                lambda path: comparison_figure(
                    rows,
                    columns={key: f"{text}, %" for key, text in comparison.columns.items()},
                    path=path,
                    title=comparison.caption.removesuffix(", percent"),
                    measured=interval_note(measured[0][1].metrics),
                    printed=f"{comparison.source} of the paper (other slices)",
                ),
                alt=f"Scores with intervals beside the paper’s: {description}",
            )
        )
    return blocks


def _table(runs: Sequence[ReportedRun], comparison: Comparison) -> Table:
    rows_left = dict.fromkeys(comparison.printed)  # the paper's rows that are still to come
    rows: list[Row] = []
    faint: set[int] = set()

    def add_paper_row(architecture: str, status: str) -> None:
        del rows_left[architecture]
        faint.add(len(rows))
        rows.append(_paper_row(architecture, comparison, status=status))

    for run in runs:
        rows.append(_row(run, comparison))
        if comparison.architecture(run.model) in rows_left:
            add_paper_row(comparison.architecture(run.model), f"paper, {comparison.source}")
    for architecture in list(rows_left):
        add_paper_row(architecture, f"paper, {comparison.source}; not run")
    measured = (*comparison.columns.values(), *comparison.further_columns)
    heads = ("Run", "Model", "Status", *measured, "Split", "Slices")
    return Table(
        heads, tuple(rows), caption=comparison.caption, name=comparison.name, faint=frozenset(faint)
    )


def _not_run(runs: Sequence[ReportedRun], comparison: Comparison) -> list[Block]:
    """The commands that would train the paper's other models."""
    trained = {comparison.architecture(run.model) for run in runs}
    rows = tuple(
        (
            name,
            Code(
                f"mgajax train --config configs/{comparison.task}/{file}.py --workdir runs/{file}"
            ),
        )
        for file, name in comparison.names.items()
        if file not in trained
    )
    if not rows:
        return []
    title = (
        f"Not run here: {len(rows)} of the {len(comparison.names)} models of {comparison.source}"
    )
    caption, name = "What would train them", f"{comparison.name}_not_run"
    table = Table(("Model", "Command"), rows, caption=caption, name=name)
    return [Details(title, (table,))]


def _row(run: ReportedRun, comparison: Comparison) -> Row:
    identity = (link_to(run.folder), paper.model_name(run.model))
    if not run.evaluations:
        blank = [Number(None)] * (len(comparison.columns) + len(comparison.further_columns))
        return (*identity, "not evaluated", *blank, "–", Number(None))
    results = run.evaluations[0]
    further_numbers = (
        number_of(results.metrics) for number_of in comparison.further_columns.values()
    )
    slices = (results.split, Number(results.metrics["n"], digits=0))
    return (
        *identity,
        "measured",
        *_scores(results, comparison).values(),
        *further_numbers,
        *slices,
    )


def _paper_row(architecture: str, comparison: Comparison, *, status: str) -> Row:
    printed = comparison.printed[architecture]
    numbers = (Number(printed[key], digits=2) for key in comparison.columns)
    blank = [Number(None)] * len(comparison.further_columns)
    return (
        "The paper",
        comparison.names[architecture],
        status,
        *numbers,
        *blank,
        "–",
        Number(None),
    )


def _scores(results: SplitResults, comparison: Comparison) -> dict[str, Number]:
    return {
        key: percent(results.metrics, f"{comparison.block}.{key}") for key in comparison.columns
    }


def _last_score(results: SplitResults, comparison: Comparison) -> str:
    """The last column, for the description of the figure."""
    key, text = list(comparison.columns.items())[-1]
    return f"{text} {_scores(results, comparison)[key]}"


def _slices_of(run: ReportedRun, results: SplitResults) -> tuple[str, Any]:
    """The split with its slices and patients; without a table of them their number and the data's fingerprint."""
    table = results.predictions or results.slices
    if table is None:
        return results.split, (results.metrics["n"], run.fingerprint)
    pairs = zip(table.file_names.tolist(), table.patients.tolist(), strict=True)
    return results.split, frozenset(pairs)
