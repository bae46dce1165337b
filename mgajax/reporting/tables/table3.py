"""The paper's Table 3, measured: segmenters side by side with intervals, in Markdown."""

from collections.abc import Mapping
from typing import Any

from mgajax.paper import SEGMENTER_METRICS, TABLE3, TABLE3_NOTE, architecture, model_name
from mgajax.reporting.figures.style import slices_label
from mgajax.reporting.tables.markdown import markdown_table
from mgajax.reporting.tables.number import number, percent

Results = Mapping[str, Mapping[str, Any]]
"""By model (a registered name or any other text), what `segmentation_metrics` gives."""


def table3_markdown(results: Results) -> str:
    """A row for each model, with intervals, and the paper's row of the same architecture below it.

    Args:
      results: see `Results`; one or more models on the same slices.

    Returns:
      The table and a paragraph that says what it is over; no trailing newline.
    """
    first_metrics = next(iter(results.values()))
    unit, tolerance = first_metrics["boundary"]["unit"], first_metrics["boundary"]["tolerance"]
    heads = ["Model", *SEGMENTER_METRICS.values(), "Dice per slice", f"HD95, {unit}"]
    heads.append(f"Surface Dice, {tolerance:g} {unit}")
    lines: list[list[object]] = []
    cited: set[str] = set()
    for name, metrics in results.items():
        cells = [percent(metrics, f"pooled.{key}") for key in SEGMENTER_METRICS]
        cells.append(percent(metrics, "per_image.dice"))
        cells.append(number(metrics, "per_image.hausdorff95", digits=1))
        cells.append(percent(metrics, "per_image.surface_dice"))
        lines.append([model_name(name), *cells])
        paper = architecture(name)
        if paper in TABLE3 and paper not in cited:
            cited.add(paper)
            printed = [f"{TABLE3[paper][key]:.2f}" for key in SEGMENTER_METRICS]
            lines.append([f"*{paper} in the paper*", *printed, "–", "–", "–"])
    return f"{markdown_table(heads, lines)}\n\n{_note(first_metrics)}" + (
        f" {TABLE3_NOTE}" if cited else ""
    )


def differences_markdown(differences: Mapping[str, Any]) -> str:
    """The first model minus each other, with paired intervals; no trailing newline.

    Args:
      differences: from `evaluation.comparison.paired_differences`.
    """
    reference, settings = model_name(differences["reference"]), differences["settings"]
    heads = [f"{reference} minus", *SEGMENTER_METRICS.values(), "Dice per slice"]
    lines = []
    for name, blocks in differences["models"].items():
        cells = [blocks["pooled"][key] for key in SEGMENTER_METRICS] + [blocks["per_image"]["dice"]]
        lines.append([model_name(name), *map(_signed_number, cells)])
    return (
        f"{markdown_table(heads, lines)}\n\nIn percentage points; in brackets {settings['confidence']:.0%} intervals of a "
        f"paired bootstrap over {settings['clusters']:,} patients. An interval that holds 0 leaves "
        "open which of the two is better."
    )


def _signed_number(cell: Mapping[str, Any]) -> str:
    if cell["value"] is None:
        return "–"
    text = f"{100 * cell['value']:+.1f}"
    if cell["low"] is None:
        return text
    return f"{text} [{100 * cell['low']:+.1f}, {100 * cell['high']:+.1f}]"


def _note(metrics: Mapping[str, Any]) -> str:
    empty = metrics["empty_masks"]
    parts = [
        "In percent, but HD95",
        "IoU, Dice, precision and recall of the lesion class over the pixels of all slices; the "
        "last three are means over slices",
        slices_label(dict(metrics)),
    ]
    if empty["with_lesion"] < metrics["n"]:
        parts.append(f"{empty['with_lesion']:,} slices have a lesion")
    if metrics["intervals"]:
        settings = metrics["intervals"]["settings"]
        unit, share = settings["unit"], settings["confidence"]
        parts.append(f"in brackets {share:.0%} intervals of a bootstrap over {unit}s")
    return "; ".join(parts) + "."
