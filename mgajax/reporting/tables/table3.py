"""The paper's Table 3, measured: segmenters side by side with intervals, in Markdown."""

from collections.abc import Mapping
from typing import Any

from mgajax.reporting.figures.style import title_of
from mgajax.reporting.tables.number import number, percent

METRICS = {"iou": "IoU", "dice": "Dice", "precision": "Precision", "recall": "Recall"}
NAMES = {
    "segnet": "SegNet",
    "unet": "U-Net",
    "deeplabv3_resnet50": "DeepLabV3 (ResNet50)",
    "deeplabv3_resnet101": "DeepLabV3 (ResNet101)",
    "hmsanet": "HMSANet",
}
"""How the registered models are written."""

PAPER = {
    "SegNet": {"iou": 43.48, "dice": 60.60, "precision": 50.00, "recall": 76.92},
    "U-Net": {"iou": 54.05, "dice": 70.17, "precision": 68.50, "recall": 71.94},
    "DeepLabV3": {"iou": 70.42, "dice": 82.64, "precision": 81.96, "recall": 83.33},
    "HMSANet": {"iou": 74.63, "dice": 85.47, "precision": 84.03, "recall": 86.96},
}
"""Table 3 of the paper in percent, as printed. It does not say which DeepLabV3."""

EXCHANGED = (
    "The paper's precision and recall are as printed; they are probably exchanged (`mgajax/"
    "evaluation/segmentation_counts.py` tells why)."
)

Results = Mapping[str, Mapping[str, Any]]
"""By model (a registered name or any other text), what `segmentation_metrics` gives."""


def table3_markdown(results: Results) -> str:
    """A row for each model, with intervals, and the paper's row of the same architecture below it.

    Args:
      results: see `Results`; one or more models on the same slices.

    Returns:
      The table and a paragraph that says what it is over; no trailing newline.
    """
    first = next(iter(results.values()))
    unit, tolerance = first["boundary"]["unit"], first["boundary"]["tolerance"]
    heads = ["Model", *METRICS.values(), "Dice per slice", f"HD95, {unit}"]
    lines = [[*heads, f"Surface Dice, {tolerance:g} {unit}"], ["---"] + ["---:"] * len(heads)]
    cited: set[str] = set()
    for name, metrics in results.items():
        cells = [percent(metrics, f"pooled.{key}") for key in METRICS]
        cells.append(percent(metrics, "per_image.dice"))
        cells.append(number(metrics, "per_image.hausdorff95", digits=1))
        cells.append(percent(metrics, "per_image.surface_dice"))
        lines.append([written(name), *map(str, cells)])
        paper = architecture(name)
        if paper in PAPER and paper not in cited:
            cited.add(paper)
            printed = [f"{PAPER[paper][key]:.2f}" for key in METRICS]
            lines.append([f"*{paper} in the paper*", *printed, "–", "–", "–"])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{_note(first)}" + (f" {EXCHANGED}" if cited else "")


def differences_markdown(differences: Mapping[str, Any]) -> str:
    """The first model minus each other, with paired intervals; no trailing newline.

    Args:
      differences: from `evaluation.comparison.paired_differences`.
    """
    reference, settings = written(differences["reference"]), differences["settings"]
    lines = [
        [f"{reference} minus", *METRICS.values(), "Dice per slice"],
        ["---"] + ["---:"] * (len(METRICS) + 1),
    ]
    for name, blocks in differences["models"].items():
        cells = [blocks["pooled"][key] for key in METRICS] + [blocks["per_image"]["dice"]]
        lines.append([written(name), *map(_signed, cells)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        f"{table}\n\nIn percentage points; in brackets {settings['confidence']:.0%} intervals of a "
        f"paired bootstrap over {settings['clusters']:,} patients. An interval that holds 0 leaves "
        "open which of the two is better."
    )


def _signed(cell: Mapping[str, Any]) -> str:
    if cell["value"] is None:
        return "–"
    text = f"{100 * cell['value']:+.1f}"
    if cell["low"] is None:
        return text
    return f"{text} [{100 * cell['low']:+.1f}, {100 * cell['high']:+.1f}]"


def written(name: str) -> str:
    """A model's name as it is written: "U-Net" for "unet"; other texts as they are."""
    return NAMES.get(name, name)


def architecture(name: str) -> str:
    """The architecture by the name that Table 3 gives it: "DeepLabV3" for both of ours."""
    return written(name).split(" (")[0]


def _note(metrics: Mapping[str, Any]) -> str:
    empty = metrics["empty_masks"]
    parts = [
        "In percent, but HD95",
        "IoU, Dice, precision and recall of the lesion class over the pixels of all slices; the "
        "last three are means over slices",
        title_of(dict(metrics)),
    ]
    if empty["with_lesion"] < metrics["n"]:
        parts.append(f"{empty['with_lesion']:,} slices have a lesion")
    if metrics["intervals"]:
        settings = metrics["intervals"]["settings"]
        unit, share = settings["unit"], settings["confidence"]
        parts.append(f"in brackets {share:.0%} intervals of a bootstrap over {unit}s")
    return "; ".join(parts) + "."
