"""Figures of a run: ROC and precision-recall curves, confusion, calibration, training curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from sklearn.metrics import roc_curve

from mgajax.reporting.figures.style import (
    FAINT,
    INK,
    TRAIN,
    VALIDATION,
    class_colour,
    drawing,
    slices_label,
    with_interval,
)

DASHES = (0, (4, 4))


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
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=DASHES)
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
        figure.suptitle(f"ROC of each class, {slices_label(metrics)}", x=0.02, ha="left", size=10.5)
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
    codes = np.arange(len(names))
    with drawing(path, width=5.2, height=4.8) as figure:
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.6 else INK
            x, y, share = column, row, shares[row, column]
            axes.text(x, y - 0.07, f"{count:,}", ha="center", color=colour, size=15, weight="bold")
            axes.text(x, y + 0.19, f"{share:.1%}", ha="center", color=colour, size=10)
        rows = [f"{name}\n{total:,}" for name, total in zip(names, totals[:, 0], strict=True)]
        axes.set_xticks(codes, names)
        axes.set_yticks(codes, rows)
        axes.set_xticks(codes[1:] - 0.5, minor=True)
        axes.set_yticks(codes[1:] - 0.5, minor=True)
        axes.grid(False)
        axes.grid(which="minor", color="white", linewidth=3)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        accuracy = metrics["three_class"]["accuracy"]
        figure.suptitle(
            f"Confusion, {slices_label(metrics)}\naccuracy {accuracy:.1%}; shares are of the true class",
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
        title = f"Calibration, {slices_label(metrics)}; dashed: perfect"
        figure.suptitle(title, x=0.01, ha="left", size=10.5)
    return path


def _reliability(axes: Axes, bins: list[dict[str, Any]], *, title: str) -> None:
    filled = [row for row in bins if row["count"]]
    most = max(row["count"] for row in filled)
    x, y = ([row[key] for row in filled] for key in ("confidence", "observed"))
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=DASHES)
    axes.vlines(x, x, y, color=VALIDATION, linewidth=1.2, alpha=0.6)
    axes.plot(x, y, color=TRAIN, linewidth=1.2, alpha=0.6)
    sizes = [18 + 70 * row["count"] / most for row in filled]
    axes.scatter(x, y, s=sizes, color=TRAIN, zorder=3, linewidths=0)
    axes.set(xlim=(0, 1), ylim=(-0.03, 1.03))
    axes.set_title(title)


def _histogram(axes: Axes, bins: list[dict[str, Any]]) -> None:
    edges, width = [row["low"] for row in bins], bins[0]["high"] - bins[0]["low"]
    counts = [row["count"] for row in bins]
    axes.bar(edges, counts, width=0.92 * width, align="edge", color=FAINT)
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
    rows: Sequence[Mapping[str, Any]],
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
    panels = {name: lines for name, lines in curves.items() if lines}
    across = min(3, max(1, len(panels)))
    down = -(-max(1, len(panels)) // across)
    with drawing(path, width=3.1 * across + 0.2, height=2.45 * down + 0.4) as figure:
        for number, (name, lines) in enumerate(panels.items(), start=1):
            axes = figure.add_subplot(down, across, number)
            _draw_curves(axes, lines)
            axes.set_title(titles[name])
            if name in ("accuracy", "dice"):
                axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            if number > len(panels) - across:
                axes.set_xlabel("step")
            if checkpoint_step is not None:
                axes.axvline(
                    checkpoint_step, color=INK, linewidth=1, linestyle=(0, (2, 2)), zorder=1
                )
        is_marked = checkpoint_step is not None
        note = f"; dashed: checkpoint of step {checkpoint_step:,}" if is_marked else ""
        figure.suptitle(f"Training{note}", x=0.01, ha="left", size=10.5)
    return path


def _curves(
    rows: Sequence[Mapping[str, Any]], name: str
) -> dict[str, tuple[list[float], list[float]]]:
    """`{"train": (steps, values), …}` of a metric; of a family (`weight/…`) by member."""
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        for key, value in row.items():
            split, _, metric = key.partition("/")
            family, _, member = metric.partition("/")
            if (member and family == name) or metric == name:
                steps, values = lines.setdefault(member or split, ([], []))
                steps.append(float(row["step"]))
                values.append(float(value))
    return lines


def _draw_curves(axes: Axes, curves: dict[str, tuple[list[float], list[float]]]) -> None:
    for number, (name, (steps, values)) in enumerate(curves.items()):
        validation = name == "validation"
        colour = VALIDATION if validation else (TRAIN, "#009E73", "#CC79A7")[number % 3]
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


def ranking_figure(rankings: Mapping[str, Any], *, metrics: Mapping[str, Any], path: Path) -> Path:
    """Left ROC, right precision over recall; each class against the rest, in its colour.

    The positive class is drawn heavier. Dashed: what a blind guess reaches, in the right panel for
    the positive class.

    Args:
      rankings: by class, from `evaluation.ranking.ranking_curves`.
      metrics: of the same examples, from `classification_metrics`.
      path: PNG or SVG to write.
    """
    positive = metrics["positive"]
    with drawing(path, width=9.6, height=5.3) as figure:
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=DASHES)
        if positive in rankings:
            right.axhline(rankings[positive].share, color=FAINT, linewidth=1, linestyle=DASHES)
        for code, name in enumerate(metrics["class_names"]):
            if name not in rankings:
                continue
            look = {
                "color": class_colour(name, code),
                "linewidth": 2.4 if name == positive else 1.3,
            }
            area = _area(metrics, "three_class", "roc_auc", name)
            _draw_with_band(left, rankings[name].roc, label=f"{name}   {area}", look=look)
            _draw_with_band(right, rankings[name].precision_recall, label=name, look=look)
        _set_unit_axes(
            left, x="false positive rate (1 − specificity)", y="true positive rate (recall)"
        )
        _set_unit_axes(right, x="recall", y="precision")
        left.legend(loc="lower right", title="ROC AUC", title_fontsize=9, alignment="left")
        average = _area(metrics, "covid_vs_rest", "average_precision")
        right.set_title(f"average precision of {positive}: {average}", weight="normal", size=9.5)
        title = f"Each class against the rest, {slices_label(dict(metrics))}"
        figure.suptitle(f"{title}{_band_note(metrics)}", x=0.01, ha="left", size=10.5)
    return path


def _draw_with_band(axes: Axes, curve: Any, *, label: str, look: dict[str, Any]) -> None:
    axes.plot(curve.x, curve.y, label=label, drawstyle="default", **look)
    if curve.low is not None:
        colour = look["color"]
        axes.fill_between(curve.grid, curve.low, curve.high, color=colour, alpha=0.13, linewidth=0)


def _set_unit_axes(axes: Axes, *, x: str, y: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal", xlabel=x, ylabel=y)


def _area(metrics: Mapping[str, Any], block: str, *path: str) -> str:
    value, span = metrics[block], (metrics["intervals"] or {}).get(block)
    for key in path:
        value, span = value[key], (span or {}).get(key)
    return with_interval(value, span)


def _band_note(metrics: Mapping[str, Any]) -> str:
    if not metrics["intervals"]:
        return ""
    settings = metrics["intervals"]["settings"]
    return f"; bands: {settings['confidence']:.0%}, pointwise, over {settings['unit']}s"
