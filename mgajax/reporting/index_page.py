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
from mgajax.reporting.figures.style import title_of as titled
from mgajax.reporting.folder_pages import link_to, title_of
from mgajax.reporting.html.blocks import (
    Block,
    Cell,
    Code,
    Facts,
    Figure,
    Fold,
    Row,
    Section,
    Table,
)
from mgajax.reporting.html.page import Page
from mgajax.reporting.result_folders import FolderKind, ResultFolder
from mgajax.reporting.run_page import state_of
from mgajax.reporting.run_results import ReportedRun, SplitResults
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
      what: the columns are over.
      columns: the paper's, by key -> heading; in percent.
      headline: the one of them that the page begins with.
      block: of a report, where those keys stand.
      further: heading -> number of a report, for what the paper does not print.
      source: the table of the paper.
      printed: its rows by architecture, see `architecture`.
      names: how those architectures are written.
      architecture: of a registered model's name, as `printed` and `configs/` call it.
    """

    name: str
    task: str
    heading: str
    what: str
    columns: Mapping[str, str]
    headline: str
    block: str
    further: Mapping[str, Callable[[Mapping[str, Any]], Number]]
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
        what="COVID-19 against the rest, percent",
        columns=paper.CLASSIFIER_METRICS,
        headline="roc_auc",
        block="covid_vs_rest",
        further={
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
        what="Lesions over all pixels, percent",
        columns=paper.SEGMENTER_METRICS,
        headline="dice",
        block="pooled",
        further={
            "Dice per slice": lambda metrics: percent(metrics, "per_image.dice"),
            "HD95": lambda metrics: number(metrics, "per_image.hausdorff95", digits=1),
        },
        source="Table 3",
        printed={_segmenter_file(name): row for name, row in paper.TABLE3.items()},
        names={_segmenter_file(name): name for name in paper.TABLE3},
        architecture=_segmenter_file,
    ),
)


def write_index(page: Page, runs: Sequence[ReportedRun], others: Sequence[ResultFolder]) -> Path:
    """What was measured, a picture of it, the comparisons, and links to every page."""
    sections = [Section("", tuple(_measured(page, runs)))] if runs else []
    sections += [Section("Runs", (_overview(runs),))] if runs else []
    for comparison in COMPARISONS:
        own = [run for run in runs if run.config["task"] == comparison.task]
        if own:
            sections.append(Section(comparison.heading, tuple(_compared(page, own, comparison))))
    for kind, heading in HEADS.items():
        rows = tuple(
            (link_to(one), title_of(one), Code(str(one.path))) for one in others if one.kind == kind
        )
        if rows:
            columns, name = ("Name", "What", "Folder"), kind.name.lower()
            table = Table(columns, rows, caption="Each on a page of its own", name=name)
            sections.append(Section(heading, (table,)))
    if runs:
        sections.append(Section("How to read this", (READING, _origins(runs))))
    return page.write(sections)


def _measured(page: Page, runs: Sequence[ReportedRun]) -> list[Block]:
    """The best run of each task in a sentence, then what the first of them saw."""
    facts: dict[str, Cell] = {}
    pictures: list[Figure] = []
    for how in COMPARISONS:
        measured = [run for run in runs if run.config["task"] == how.task and run.evaluations]
        if measured:
            best = max(measured, key=lambda run: _headline(run, how).value or 0.0)
            facts[how.heading[:-1]] = _sentence(best, how, of=len(measured))
            pictures = pictures or _picture(page, best, best.evaluations[0])
    if not facts:
        data = ", ".join(dict.fromkeys(run.data_set for run in runs))
        facts["Data set"] = f"{data}; nothing has been measured yet"
    return [Facts(facts), *pictures]


def _headline(run: ReportedRun, how: Comparison) -> Number:
    return percent(run.evaluations[0].metrics, f"{how.block}.{how.headline}")


def _sentence(run: ReportedRun, how: Comparison, *, of: int) -> str:
    """`ResNet18: ROC AUC 89.8 [81.6, 96.1] % on ct_phantom 1.0.0, test split: 120 slices …`."""
    chosen = f", the highest of {of} runs," if of > 1 else ""
    return (
        f"{paper.model_name(run.model)}: {how.columns[how.headline]} {_headline(run, how)} %{chosen} on "
        f"{run.data_set}, {titled(run.evaluations[0].metrics)}"
    )


def _picture(page: Page, run: ReportedRun, results: SplitResults) -> list[Figure]:
    """What the run saw, as `mgajax evaluate` drew it."""
    if results.picture is None:
        return []
    name, what = run.found.name, PICTURES[run.config["task"]]
    return [
        page.take(
            results.picture,
            name=f"{run.found.slug}_{results.picture.name}",
            alt=f"{what} of {name} on slices of the {results.split} split",
            caption=f"{name}: {what} on slices of the {results.split} split",
        )
    ]


def _overview(runs: Sequence[ReportedRun]) -> Table:
    rows = tuple(
        (
            link_to(run.found),
            paper.model_name(run.model),
            str(run.config["task"]),
            run.data_set,
            state_of(run),
            ", ".join(one.split for one in run.evaluations) or "not evaluated",
            ", ".join(folder.name for folder in run.explanations) or "no",
        )
        for run in runs
    )
    heads = ("Run", "Model", "Task", "Data set", "Training", "Evaluated on", "Explained")
    return Table(heads, rows, caption=f"{len(runs)} runs", name="runs")


def _origins(runs: Sequence[ReportedRun]) -> Fold:
    rows = tuple(
        (
            link_to(run.found),
            Code(run.fingerprint[:12]),
            str(run.written.get("provenance", {}).get("mgajax", "unknown")),
            str(run.written.get("provenance", {}).get("git_commit") or "unknown")[:12],
        )
        for run in runs
    )
    caption = "The whole of it stands on each run’s page"
    heads = ("Run", "Data’s fingerprint", "mgajax", "Commit")
    return Fold("Fingerprints and versions", (Table(heads, rows, caption=caption, name="origins"),))


def _compared(page: Page, runs: Sequence[ReportedRun], how: Comparison) -> list[Block]:
    """One table of what was measured, what the paper prints and what was not run; and a figure."""
    measured = [(run, run.evaluations[0]) for run in runs if run.evaluations]
    blocks: list[Block] = [_table(runs, how), *_not_run(runs, how)]
    if len({_measured_on(run, one) for run, one in measured}) > 1:
        blocks.append(NOT_SAME)
    if measured:
        rows = [
            ComparisonRow(
                f"{run.found.name}\n{paper.model_name(run.model)}",
                _scores(one, how),
                how.printed.get(how.architecture(run.model), {}),
            )
            for run, one in measured
        ]
        told = "; ".join(f"{run.found.name} {_told(one, how)}" for run, one in measured)
        blocks.append(
            page.draw(
                how.name,
                lambda path: comparison_figure(
                    rows,
                    columns={key: f"{text}, %" for key, text in how.columns.items()},
                    path=path,
                    title=how.what.removesuffix(", percent"),
                    measured=interval_note(measured[0][1].metrics),
                    printed=f"{how.source} of the paper (other slices)",
                ),
                alt=f"Scores with intervals beside the paper’s: {told}",
            )
        )
    return blocks


def _table(runs: Sequence[ReportedRun], how: Comparison) -> Table:
    waiting = dict.fromkeys(how.printed)  # the paper's rows that have not been put down yet
    rows: list[Row] = []
    faint: set[int] = set()

    def put_printed(architecture: str, status: str) -> None:
        del waiting[architecture]
        faint.add(len(rows))
        rows.append(_printed_row(architecture, how, status=status))

    for run in runs:
        rows.append(_row(run, how))
        if how.architecture(run.model) in waiting:
            put_printed(how.architecture(run.model), f"paper, {how.source}")
    for architecture in list(waiting):
        put_printed(architecture, f"paper, {how.source}; not run")
    measured = (*how.columns.values(), *how.further)
    heads = ("Run", "Model", "Status", *measured, "Split", "Slices")
    return Table(heads, tuple(rows), caption=how.what, name=how.name, faint=frozenset(faint))


def _not_run(runs: Sequence[ReportedRun], how: Comparison) -> list[Block]:
    """The commands that would train the paper's other models."""
    trained = {how.architecture(run.model) for run in runs}
    rows = tuple(
        (name, Code(f"mgajax train --config configs/{how.task}/{file}.py --workdir runs/{file}"))
        for file, name in how.names.items()
        if file not in trained
    )
    if not rows:
        return []
    title = f"Not run here: {len(rows)} of the {len(how.names)} models of {how.source}"
    caption, name = "What would train them", f"{how.name}_not_run"
    table = Table(("Model", "Command"), rows, caption=caption, name=name)
    return [Fold(title, (table,))]


def _row(run: ReportedRun, how: Comparison) -> Row:
    first = (link_to(run.found), paper.model_name(run.model))
    if not run.evaluations:
        blank = [Number(None)] * (len(how.columns) + len(how.further))
        return (*first, "not evaluated", *blank, "–", Number(None))
    one = run.evaluations[0]
    further = (of(one.metrics) for of in how.further.values())
    where = (one.split, Number(one.metrics["n"], digits=0))
    return (*first, "measured", *_scores(one, how).values(), *further, *where)


def _printed_row(architecture: str, how: Comparison, *, status: str) -> Row:
    printed = how.printed[architecture]
    numbers = (Number(printed[key], digits=2) for key in how.columns)
    blank = [Number(None)] * len(how.further)
    return ("The paper", how.names[architecture], status, *numbers, *blank, "–", Number(None))


def _scores(one: SplitResults, how: Comparison) -> dict[str, Number]:
    return {key: percent(one.metrics, f"{how.block}.{key}") for key in how.columns}


def _told(one: SplitResults, how: Comparison) -> str:
    """The last column is told to those who do not see the figure."""
    key, text = list(how.columns.items())[-1]
    return f"{text} {_scores(one, how)[key]}"


def _measured_on(run: ReportedRun, one: SplitResults) -> tuple[str, Any]:
    """The split, and its slices with their patients; without their table their number and the data."""
    table = one.predictions or one.slices
    if table is None:
        return one.split, (one.metrics["n"], run.fingerprint)
    pairs = zip(table.file_names.tolist(), table.patients.tolist(), strict=True)
    return one.split, frozenset(pairs)
