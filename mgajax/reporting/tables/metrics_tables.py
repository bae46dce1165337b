"""Tables for the terminal."""

from typing import Any

from mgajax.reporting.figures.style import slices_label, with_interval
from mgajax.reporting.tables.number import at, number

BINARY = {
    "accuracy": "accuracy",
    "f1": "F1",
    "recall": "recall",
    "precision": "precision",
    "specificity": "specificity",
    "roc_auc": "ROC AUC",
}
THREE = {"accuracy": "accuracy", "macro_f1": "macro F1", "roc_auc.macro": "macro ROC AUC"}
ECE = {"ece.top_label": "ECE, winning class", "brier.three_class": "Brier score, 0 to 2"}
OVERLAP = {
    "attention_in_lesion": "attention on lesion",
    "cell_hit": "highest cell on lesion",
    "rank_auc": "ROC AUC of pixels",
    "top_area_iou": "IoU, lesion-sized area",
}

POOLED = {"iou": "IoU", "dice": "Dice", "precision": "precision", "recall": "recall"}


def metrics_table(metrics: dict[str, Any]) -> str:
    """The main numbers of an evaluation as plain text, value and interval, no trailing newline.

    Args:
      metrics: from `classification_metrics`; `class_counts` of the predictions and an
        `attention_overlap`, from `overlap_summary`, are shown too where they stand beside.
    """
    positive, sections = metrics["positive"], []
    if counts := metrics.get("class_counts"):
        known = all(row["patients"] is not None for row in counts.values())
        sections.append(("slices of patients" if known else "slices", _counts(counts)))
    if "called" in metrics:
        sections.append(("of each class's slices, called", _confusion_rows(metrics)))
    sections.append((f"{positive} vs rest", _rows(metrics, "covid_vs_rest", BINARY)))
    sections.append(
        (f"{len(metrics['class_names'])} classes", _rows(metrics, "three_class", THREE))
    )
    people = metrics["per_patient"]
    if people:
        name = f"{positive} vs rest, {people['n']:,} patients"
        sections.append((name, _rows(people, "covid_vs_rest", BINARY)))
    sections.append(("calibration", _rows(metrics, "calibration", ECE)))
    overlap = metrics.get("attention_overlap")
    if overlap:
        name = f"attention, slices with a lesion: {overlap['slices_with_lesion']:,}"
        rows = [
            (text, with_interval(overlap[k]["mean"], overlap[k])) for k, text in OVERLAP.items()
        ]
        sections.append((name, rows))
    sections += _without_interval(metrics)
    return _text(metrics, sections)


def segmentation_table(metrics: dict[str, Any]) -> str:
    """The main numbers of a segmenter as plain text, value and interval, no trailing newline.

    Args:
      metrics: from `segmentation_metrics`.
    """
    empty, boundary = metrics["empty_masks"], metrics["boundary"]
    unit, lesions = boundary["unit"], empty["with_lesion"]
    per_image = {
        **POOLED,
        "hausdorff95": f"HD95, {unit}",
        "surface_dice": f"surface Dice at {boundary['tolerance']:g} {unit}",
    }
    sections = [
        ("lesion, all pixels pooled", _rows(metrics, "pooled", POOLED)),
        ("mean over slices", _rows(metrics, "per_image", per_image)),
    ]
    if lesions < metrics["n"]:
        name = f"mean over the {lesions:,} slices with a lesion"
        sections.append((name, _rows(metrics, "per_image_with_lesion", per_image)))
        counts = {
            "lesion in neither": "no_lesion_none_predicted",
            "in the prediction alone": "no_lesion_but_predicted",
        }
    else:
        counts = {}
    counts["in the mask alone"] = "lesion_but_none_predicted"
    rows = [(text, f"{empty[name]:,}") for text, name in counts.items()]
    sections += [("slices with an empty mask", rows), *_without_interval(metrics)]
    return _text(metrics, sections)


def _text(metrics: dict[str, Any], sections: list[tuple[str, list[tuple[str, str]]]]) -> str:
    """The headline, the sections, and what must be known of the numbers on another set."""
    lines = [line for part in sections for line in _section(*part)]
    remarks = [f"  note: {remark}" for remark in metrics.get("remarks", ())]
    return "\n".join([_headline(metrics), *lines, *remarks])


def _without_interval(metrics: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Why defined values have no interval: each reason once, with the names of the metrics."""
    names = {**THREE, **BINARY, **POOLED, **ECE}
    spans = metrics["intervals"] or {}
    metrics_by_reason: dict[str, list[str]] = {}
    for block in ("covid_vs_rest", "three_class", "pooled"):
        for path, text in names.items():
            span = at(spans.get(block), path)
            if span and span.get("reason") and at(metrics.get(block), path) is not None:
                metrics_by_reason.setdefault(span["reason"], []).append(text)
    rows = [
        (reason, ", ".join(dict.fromkeys(texts))) for reason, texts in metrics_by_reason.items()
    ]
    return [("no interval", [(f"{reason}: ", text) for reason, text in rows])] if rows else []


def _headline(metrics: dict[str, Any]) -> str:
    model = f"{metrics['model']}, " if "model" in metrics else ""
    if not metrics["intervals"]:
        return f"{model}{slices_label(metrics)}"
    settings = metrics["intervals"]["settings"]
    note = f"[{settings['confidence']:.0%} intervals over {settings['unit']}s]"
    return f"{model}{slices_label(metrics)} {note}"


def _counts(by_class: dict[str, dict[str, int | None]]) -> list[tuple[str, str]]:
    return [
        (name, " of ".join(f"{count:,}" for count in counts.values() if count is not None))
        for name, counts in by_class.items()
    ]


def _confusion_rows(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows of the confusion, then the share of all slices that each class is called."""
    names, confusion = metrics["class_names"], metrics["three_class"]["confusion_matrix"]
    rows = [
        (name, ", ".join(f"{other} {count:,}" for other, count in zip(names, row, strict=True)))
        for name, row in zip(names, confusion, strict=True)
        if sum(row)
    ]
    shares = (
        f"{name} {100 * row['slices'] / metrics['n']:.1f}%"
        for name, row in metrics["called"].items()
    )
    return [*rows, ("all", ", ".join(shares))]


def _section(name: str, rows: list[tuple[str, str]]) -> list[str]:
    return [f"  {name}", *(f"    {text:<24}{value}" for text, value in rows)]


def _rows(block: dict[str, Any], section: str, names: dict[str, str]) -> list[tuple[str, str]]:
    return [(text, str(number(block, f"{section}.{path}"))) for path, text in names.items()]
