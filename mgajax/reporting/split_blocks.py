"""Blocks of a run's page for either task: a split's sources, patients and picture."""

from collections.abc import Iterable, Mapping
from typing import Any

from mgajax.reporting.html.blocks import Details, Figure, Row, Table
from mgajax.reporting.html.page import Page
from mgajax.reporting.reported_run import SplitResults
from mgajax.reporting.tables.number import Number, percent

ALTS = {
    "classification": "Slices of the {} with the attention painted over them",
    "segmentation": "Slices of the {} with found, missed and surplus lesion marked",
}
CAPTIONS = {
    "classification": "Attention over the slices with the largest known lesions of each class",
    "segmentation": "From each source’s median Dice down to its worst",
}


def source_table(
    metrics: Mapping[str, Any], *, columns: Mapping[str, str], caption: str, split: str
) -> Table:
    """Slices and patients of each source, and `columns` (place in a report -> heading) in percent."""
    rows = tuple(
        (
            name,
            Number(block["n"], digits=0),
            Number(block["patients"], digits=0),
            *(percent(block, path) for path in columns),
        )
        for name, block in metrics["per_source"].items()
    )
    heads = ("Source", "Slices", "Patients", *columns.values())
    return Table(heads, rows, caption=caption, name=f"{split}_sources")


def patient_fold(
    rows: Iterable[Row], *, heads: tuple[str, ...], title: str, caption: str, split: str
) -> Details:
    """A row for each patient, closed at first."""
    heads = ("Patient", "Slices", *heads)
    return Details(title, (Table(heads, tuple(rows), caption=caption, name=f"{split}_patients"),))


def split_picture(page: Page, results: SplitResults) -> list[Figure]:
    """The picture of attention or masks that `mgajax evaluate` drew, if there is one."""
    if results.picture is None:
        return []
    metrics = results.metrics
    alt, caption = ALTS[metrics["task"]], CAPTIONS[metrics["task"]]
    if metrics["task"] == "classification" and not metrics.get("attention_overlap"):
        caption = "Attention over slices of each class; no lesion of theirs is known"
    where = f"set {results.split}" if "set" in metrics else f"{results.split} split"
    name = f"{results.split}_{results.picture.stem.split('_')[-1]}.png"
    return [page.take(results.picture, name=name, alt=alt.format(where), caption=caption)]
