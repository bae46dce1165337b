"""What `mgajax explain` found, as tables, and as one page that holds its pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mgajax.reporting.html.blocks import Figure, Section, Table
from mgajax.reporting.html.page import html_page
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
    "checks": "Checks of the maps",
}
"""What is drawn, by the name of its file."""

NOTE = (
    "Attributions sum to the difference between the logit of the slice and that of the baseline, up "
    "to the gap below. Scores are means over the slices with an annotated lesion, with 95 % "
    "patient-bootstrap intervals."
)


def explanation_page(pictures: Sequence[Path], *, title: str, report: Mapping[str, Any]) -> str:
    """The page.

    Args:
      pictures: PNG files, in their order.
      title: the heading.
      report: what `summary.json` holds.
    """
    captions = [(path, PICTURES.get(path.stem, path.stem)) for path in pictures]
    figures = (Figure((path,), alt=text, caption=text) for path, text in captions)
    return html_page(title, [Section("", (NOTE, *figures, *explanation_tables(report)))])


def explanation_tables(report: Mapping[str, Any], *, name: str = "") -> tuple[Table, Table]:
    """Scores by model, method and reading; time and completeness by model and method.

    Args:
      report: what `summary.json` holds.
      name: of the explanation, where the tables are written as CSV, too.
    """
    scores = tuple(
        (*key.rsplit("/", 2), *(_number(block.get(score) or {}) for score in SCORES))
        for key, block in report["scores"].items()
    )
    methods = tuple(
        (
            *key.rsplit("/", 1),
            Number(block["seconds_per_slice"]),
            "yes" if block["includes_compilation"] else "no",
            "–"
            if block["largest_relative_gap"] is None
            else f"{block['largest_relative_gap']:.1e}",
        )
        for key, block in report["methods"].items()
    )
    return (
        Table(
            ("Model", "Method", "Reading", *SCORES.values()),
            scores,
            caption="Do the maps find the lesions?",
            name=name and f"{name}_scores",
        ),
        Table(
            ("Model", "Method", "Seconds a slice", "With compilation", "Largest gap / difference"),
            methods,
            caption="Time and completeness",
            name=name and f"{name}_methods",
        ),
    )


def _number(score: Mapping[str, Any]) -> Number:
    return Number(score.get("mean"), score.get("low"), score.get("high"))
