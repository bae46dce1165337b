"""What `mgajax explain` left, as pictures and tables."""

from pathlib import Path
from typing import Any

from mgajax.errors import DataError
from mgajax.reporting.html.blocks import Block, Facts, Link, Missing, Table
from mgajax.reporting.page import TABLES, Page
from mgajax.reporting.result_folders import Kind, read_json
from mgajax.reporting.tables.number import Number

SCORES = {
    "energy_in_lesion": "Energy in lesion",
    "pointing_hit": "Highest point hits",
    "rank_auc": "ROC AUC of pixels",
    "top_10%_iou": "IoU of the top tenth",
}
PICTURES = {
    "overlays": "Maps painted over the slices; outlined: the lesion",
    "maps": "The maps alone",
    "rank_auc": "Chance that a lesion pixel has the higher value; dashed: chance",
}


def explanation_blocks(page: Page, folder: Path) -> list[Block]:
    """The gallery of one folder of `mgajax explain`."""
    name = folder.name
    try:
        summary = read_json(folder / "summary.json")
    except DataError as error:
        return [Missing(str(error), "mgajax explain --out " + str(folder))]
    blocks: list[Block] = []
    if summary is not None:
        told = f"{summary['slices']:,} slices, baseline: {summary['baseline']}."
        blocks += [told, _scores(summary, name), _methods(summary, name)]
    blocks += [
        page.take(folder / f"{stem}.png", name=f"{name}_{stem}.png", alt=text, caption=text)
        for stem, text in PICTURES.items()
        if (folder / f"{stem}.png").is_file()
    ]
    scores = page.copy(folder / Kind.EXPLANATION, folder=TABLES, name=f"{name}_slices.csv")
    return [*blocks, Facts({"Scores of each slice": Link(scores.name, f"{TABLES}/{scores.name}")})]


def _scores(summary: dict[str, Any], name: str) -> Table:
    rows = []
    for key, scores in summary["scores"].items():
        cells = (scores.get(score) or {} for score in SCORES)
        numbers = (Number(one.get("mean"), one.get("low"), one.get("high")) for one in cells)
        rows.append((*key.rsplit("/", 2), *numbers))
    heads = ("Model", "Method", "Reading", *SCORES.values())
    return Table(f"{name}_scores", "Do the maps find the lesions?", heads, tuple(rows))


def _methods(summary: dict[str, Any], name: str) -> Table:
    rows = tuple(
        (
            *key.rsplit("/", 1),
            Number(one["seconds_per_slice"]),
            "yes" if one["includes_compilation"] else "no",
            "–" if one["largest_relative_gap"] is None else f"{one['largest_relative_gap']:.1e}",
        )
        for key, one in summary["methods"].items()
    )
    heads = ("Model", "Method", "Seconds a slice", "With compilation", "Largest gap / difference")
    return Table(f"{name}_methods", "Time and completeness", heads, rows)
