"""Figures of a run: ROC, confusion, calibration, training curves, attention, contact sheet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from sklearn.metrics import roc_curve

from mgajax.reporting.figures.panels import attention_panel, dataset_panel
from mgajax.reporting.figures.style import (
    FAINT,
    INK,
    TRAIN,
    VALIDATION,
    class_colour,
    drawing,
    title_of,
    with_interval,
)

__all__ = [
    "attention_panel",
    "calibration_figure",
    "confusion_figure",
    "dataset_panel",
    "roc_figure",
    "training_curves",
]

Row = Mapping[str, Any]


def roc_figure(
    probabilities: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, "n"],
    *,
    metrics: dict[str, Any],
    path: Path,
) -> Path:
    """ROC curve of each class against the rest, with AUC and interval.

    The positive class's curve is COVID-vs-rest, the paper's AUC; it is drawn heavier, and a dot
    marks the decision by argmax that the other binary numbers belong to.

    Args:
      probabilities: rows sum to one.
      labels: 0 … k-1.
      metrics: of the same examples, from `classification_metrics`.
      path: PNG to write.
    """
    with drawing(path, width=5.4, height=5.6) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 4)))
        for code, name in enumerate(metrics["class_names"]):
            truth = labels == code
            value = metrics["three_class"]["roc_auc"][name]
            if value is None:
                continue
            fpr, tpr, _ = roc_curve(truth, probabilities[:, code])
            main = name == metrics["positive"]
            span = (metrics["intervals"] or {}).get("three_class", {}).get("roc_auc", {}).get(name)
            axes.plot(
                fpr,
                tpr,
                color=class_colour(name, code),
                linewidth=2.6 if main else 1.5,
                zorder=3 if main else 2,
                label=f"{name} vs rest   {with_interval(value, span)}",
            )
        _mark_decision(axes, metrics)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set_xlabel("false positive rate (1 − specificity)")
        axes.set_ylabel("true positive rate (recall)")
        figure.suptitle(f"ROC of each class, {title_of(metrics)}", x=0.02, ha="left", size=10.5)
        note = f"AUC{_confidence_note(metrics)}"
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right", title=note, title_fontsize=9, alignment="left")
    return path


def _mark_decision(axes: Axes, metrics: dict[str, Any]) -> None:
    binary = metrics["covid_vs_rest"]
    if binary["recall"] is None or binary["specificity"] is None:
        return
    axes.plot(
        1 - binary["specificity"],
        binary["recall"],
        "o",
        color="white",
        markeredgecolor=INK,
        markeredgewidth=1.6,
        markersize=7,
        zorder=4,
        label=f"{metrics['positive']} by argmax",
    )


def _confidence_note(metrics: dict[str, Any]) -> str:
    if not metrics["intervals"]:
        return ""
    settings = metrics["intervals"]["settings"]
    return f" [{settings['confidence']:.0%} interval over {settings['unit']}s]"


def confusion_figure(metrics: dict[str, Any], *, path: Path) -> Path:
    """Confusion matrix: slices in each cell and their share of the row (true class).

    Args:
      metrics: from `classification_metrics`.
      path: PNG to write.
    """
    counts = np.array(metrics["three_class"]["confusion_matrix"])
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    names = metrics["class_names"]
    places = np.arange(len(names))
    with drawing(path, width=5.2, height=4.8) as figure:
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.6 else INK
            x, y, share = column, row, shares[row, column]
            axes.text(x, y - 0.07, f"{count:,}", ha="center", color=colour, size=15, weight="bold")
            axes.text(x, y + 0.19, f"{share:.1%}", ha="center", color=colour, size=10)
        rows = [f"{name}\n{total:,}" for name, total in zip(names, totals[:, 0], strict=True)]
        axes.set_xticks(places, names)
        axes.set_yticks(places, rows)
        axes.set_xticks(places[1:] - 0.5, minor=True)
        axes.set_yticks(places[1:] - 0.5, minor=True)
        axes.grid(False)
        axes.grid(which="minor", color="white", linewidth=3)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        accuracy = metrics["three_class"]["accuracy"]
        figure.suptitle(
            f"Confusion, {title_of(metrics)}\naccuracy {accuracy:.1%}; shares are of the true class",
            x=0.02,
            ha="left",
            size=10.5,
        )
    return path


def calibration_figure(metrics: dict[str, Any], *, path: Path) -> Path:
    """Reliability diagrams of the winning class and of the positive class, with histograms.

    Args:
      metrics: from `classification_metrics`.
      path: PNG to write.
    """
    panels = {
        "top_label": ("Winning class", "probability of the winning class", "share correct"),
        "covid_vs_rest": (
            f"{metrics['positive']} vs rest",
            f"probability of {metrics['positive']}",
            f"share that is {metrics['positive']}",
        ),
    }
    with drawing(path, width=8.2, height=4.9) as figure:
        grid = figure.subplots(2, 2, sharex="col", height_ratios=(3.2, 1))
        for column, (key, words) in enumerate(panels.items()):
            bins = metrics["calibration"]["reliability"][key]
            ece = metrics["calibration"]["ece"][key]
            _reliability(grid[0, column], bins, title=f"{words[0]}: ECE {ece:.3f}")
            grid[0, column].set_ylabel(words[2])
            _histogram(grid[1, column], bins)
            grid[1, column].set_xlabel(words[1])
        title = f"Calibration, {title_of(metrics)}; dashed: perfect"
        figure.suptitle(title, x=0.01, ha="left", size=10.5)
    return path


def _reliability(axes: Axes, bins: list[dict[str, Any]], *, title: str) -> None:
    filled = [row for row in bins if row["count"]]
    most = max(row["count"] for row in filled)
    x, y = ([row[key] for row in filled] for key in ("confidence", "observed"))
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 4)))
    axes.vlines(x, x, y, color=VALIDATION, linewidth=1.2, alpha=0.6)
    axes.plot(x, y, color=TRAIN, linewidth=1.2, alpha=0.6)
    sizes = [18 + 70 * row["count"] / most for row in filled]
    axes.scatter(x, y, s=sizes, color=TRAIN, zorder=3, linewidths=0)
    axes.set(xlim=(0, 1), ylim=(-0.03, 1.03))
    axes.set_title(title)


def _histogram(axes: Axes, bins: list[dict[str, Any]]) -> None:
    left, width = [row["low"] for row in bins], bins[0]["high"] - bins[0]["low"]
    counts = [row["count"] for row in bins]
    axes.bar(left, counts, width=0.92 * width, align="edge", color=FAINT)
    axes.set_ylabel("slices")
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))


TITLES = {
    "cross_entropy": "Cross-entropy (Eq. 5)",
    "attention": "Attention loss (Eq. 4)",
    "loss": "Weighted total (Eq. 6)",
    "weight": "Weights of the losses",
    "accuracy": "Accuracy",
    "learning_rate": "Learning rate",
    "gradient_norm": "Gradient norm",
}
"""Panels of a classifier's training curves by metric name, in reading order."""

SEGMENTATION_TITLES = {
    "cross_entropy": "Cross-entropy of pixels",
    "binary_cross_entropy": "Binary cross-entropy",
    "rmi": "Region mutual information",
    "auxiliary": "Auxiliary loss",
    "scale_0.5": "Loss at scale 0.5",
    "scale_1.0": "Loss at scale 1.0",
    "loss": "Weighted total",
    "dice": "Dice, pooled, as prepared",
    "learning_rate": "Learning rate",
    "gradient_norm": "Gradient norm",
}
"""Panels of a segmenter's training curves."""


def training_curves(
    rows: Sequence[Row],
    *,
    path: Path,
    checkpoint_step: int | None = None,
    titles: Mapping[str, str] = TITLES,
) -> Path:
    """Losses, weights, scores and rates over the steps of a run, one panel each.

    Args:
      rows: of `metrics.jsonl`: `step` and names such as `train/loss`, `validation/accuracy`,
        `train/weight/attention`. What is not there gets no panel.
      path: PNG to write.
      checkpoint_step: to be marked.
      titles: the panels, by metric name.
    """
    curves = {name: _curves(rows, name) for name in titles}
    shown = {name: found for name, found in curves.items() if found}
    across = min(3, max(1, len(shown)))
    down = -(-max(1, len(shown)) // across)
    with drawing(path, width=3.1 * across + 0.2, height=2.45 * down + 0.4) as figure:
        for place, (name, found) in enumerate(shown.items(), start=1):
            axes = figure.add_subplot(down, across, place)
            _draw_curves(axes, found)
            axes.set_title(titles[name])
            if name in ("accuracy", "dice"):
                axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            if place > len(shown) - across:
                axes.set_xlabel("step")
            if checkpoint_step is not None:
                axes.axvline(
                    checkpoint_step, color=INK, linewidth=1, linestyle=(0, (2, 2)), zorder=1
                )
        known = checkpoint_step is not None
        note = f"; dashed: checkpoint of step {checkpoint_step:,}" if known else ""
        figure.suptitle(f"Training{note}", x=0.01, ha="left", size=10.5)
    return path


def _curves(rows: Sequence[Row], name: str) -> dict[str, tuple[list[float], list[float]]]:
    """`{"train": (steps, values), …}` of a metric; of a family (`weight/…`) by member."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        for key, value in row.items():
            split, _, metric = key.partition("/")
            family, _, member = metric.partition("/")
            if (member and family == name) or metric == name:
                steps, values = found.setdefault(member or split, ([], []))
                steps.append(float(row["step"]))
                values.append(float(value))
    return found


def _draw_curves(axes: Axes, curves: dict[str, tuple[list[float], list[float]]]) -> None:
    for place, (name, (steps, values)) in enumerate(curves.items()):
        validation = name == "validation"
        colour = VALIDATION if validation else (TRAIN, "#009E73", "#CC79A7")[place % 3]
        axes.plot(
            steps,
            values,
            color=colour,
            linewidth=2.0 if validation else 1.2,
            marker="o" if validation or len(steps) == 1 else None,
            markersize=3.5,
            label=name.replace("_", " "),
        )
    if list(curves) != ["train"]:
        axes.legend(loc="best", handlelength=1.4)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
