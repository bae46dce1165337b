"""The page of one run."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from mgajax.paper import model_name
from mgajax.reporting.classifier_section import classifier_blocks
from mgajax.reporting.figures.evaluation_figures import SEGMENTATION_TITLES, TITLES, training_curves
from mgajax.reporting.folder_pages import explanation_blocks
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
from mgajax.reporting.segmenter_section import segmenter_blocks
from mgajax.reporting.set_section import set_sections
from mgajax.reporting.tables.number import Number
from mgajax.training.metrics_log import METRICS_FILE

SPEED = "train/images_per_s_per_device"


def write_run(page: Page, run: ReportedRun) -> Path:
    """All results of a run; what is missing is named with the command that makes it."""
    sections = [Section("", (_facts(run), *run.missing))]
    for results in run.evaluations:
        sections.append(
            Section(f"Results on the {results.split} split", tuple(_results(page, run, results)))
        )
    sections += set_sections(page, run)
    if run.rows:
        sections.append(Section("Learning", (_curves(page, run),)))
    for folder in run.explanations:
        sections.append(
            Section(f"Explained: {folder.name}", tuple(explanation_blocks(page, folder)))
        )
    if run.counts:
        sections.append(Section("Data", (_counts(run),)))
    sections.append(Section("Configuration", (_config(run),)))
    sections.append(Section("Where it is from", (_origin(run),)))
    return page.write(sections)


def state_of(run: ReportedRun) -> str:
    """How far training has come, in words."""
    if run.summary is None:
        return f"not ended; {run.steps:,} steps logged" if run.steps else "not begun"
    ended = "finished" if run.summary["finished"] else "stopped"
    return f"{ended} after {run.steps:,} steps ({run.summary['reason']})"


def _results(page: Page, run: ReportedRun, results: SplitResults) -> list[Block]:
    blocks = classifier_blocks(page, results) if run.classifies else segmenter_blocks(page, results)
    if results.metrics.get("split_leaks"):
        leak = "This split leaks: patients stand in more than one part of it. No result to compare."
        return [leak, *blocks]
    return blocks


def _facts(run: ReportedRun) -> Facts:
    rows: dict[str, Cell] = {
        "Model": model_name(run.model),
        "Task": str(run.config["task"]),
        "Data set": run.data_set,
        "Training": state_of(run),
    }
    if run.summary is not None and run.summary.get("best_step") is not None:
        criterion = run.summary.get("best", "lowest validation cross-entropy")  # not in older runs
        rows["Best"] = f"step {run.summary['best_step']:,}, {criterion}"
    if speeds := [row[SPEED] for row in run.rows if SPEED in row]:
        rows["Speed"] = f"{median(speeds):,.1f} images a second and device (median)"
    rows["Split"] = str(run.record.get("split", "unknown"))
    return Facts(rows)


def _curves(page: Page, run: ReportedRun) -> Figure:
    titles = TITLES if run.classifies else SEGMENTATION_TITLES
    best = (run.summary or {}).get("best_step")
    description = f"; the best validation is at step {best:,}" if best is not None else ""
    return page.draw(
        "curves",
        lambda path: training_curves(run.rows, path=path, checkpoint_step=best, titles=titles),
        alt=f"Training and validation curves over {run.steps:,} steps{description}",
        data=page.table(_log_lines(run.rows), name=Path(METRICS_FILE).stem),
    )


def _log_lines(rows: list[dict[str, Any]]) -> Iterator[list[Any]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    yield names
    yield from ([row.get(name, "") for name in names] for row in rows)


def _counts(run: ReportedRun) -> Table:
    names = list(next(iter(run.counts.values())))
    rows: tuple[Row, ...] = tuple(
        (split, *(Number(counts[name], digits=0) for name in names))
        for split, counts in run.counts.items()
    )
    heads = ("Split", *names[:-1], "Patients")
    caption = f"{run.data_set}: slices of each class, and patients, in each split"
    return Table(heads, rows, caption=caption, name="split")


def _config(run: ReportedRun) -> Details:
    rows = tuple((Code(key), Code(str(value))) for key, value in sorted(run.config.items()))
    caption = "Every key of the configuration"
    table = Table(("Key", "Value"), rows, caption=caption, name="config")
    return Details(f"{len(rows)} keys", (table,))


def _origin(run: ReportedRun) -> Details:
    facts: dict[str, Cell] = {
        "Folder": Code(str(run.folder.path)),
        "Data": Code(str(run.config["data.dir"]) or "–"),
        "Fingerprint": Code(run.fingerprint),
        "Commit": Code(str(run.record.get("provenance", {}).get("git_commit") or "unknown")),
    }
    rows = tuple((name, str(value)) for name, value in run.record.get("provenance", {}).items())
    caption = "Versions that it was trained with"
    table = Table(("What", "Version"), rows, caption=caption, name="versions")
    return Details("Folders, fingerprint of the data, versions", (Facts(facts), table))
