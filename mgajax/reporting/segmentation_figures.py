"""Figures of segmenters' scores: models side by side, and one model slice by slice."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, MultipleLocator

from mgajax.reporting.style import FAINT, INK, TRAIN, VALIDATION, drawing, title_of
from mgajax.reporting.table3 import (
    METRICS,
    PAPER,
    Results,
    architecture,
    percent_with_interval,
    written,
)

MEASURED, MEAN = TRAIN, VALIDATION
PRINTED: dict[str, Any] = {
    "marker": "D",
    "color": FAINT,
    "markersize": 5,
    "fillstyle": "none",
    "linestyle": "none",
}
"""The look of the paper's numbers."""


def model_comparison_figure(results: Results, *, path: Path) -> Path:
    """Pooled IoU, Dice, precision and recall of each model with intervals, and the paper's.

    Args:
      results: see `table3.Results`; the models stand in this order, from the top.
      path: PNG to write.
    """
    models = list(results)
    first = dict(results[models[0]])
    with drawing(path, width=9.0, height=0.42 * len(models) + 1.45) as figure:
        grid = figure.subplots(1, len(METRICS), sharey=True, squeeze=False)[0]
        for axes, (key, text) in zip(grid, METRICS.items(), strict=True):
            for place, model in enumerate(models):
                _measured(axes, place, dict(results[model]), key)
                printed = PAPER.get(architecture(model), {}).get(key)
                if printed is not None:
                    axes.plot(printed, place, **PRINTED)
            axes.set_title(f"{text}, %")
            _in_rows(axes)
        grid[0].set_yticks(range(len(models)), [written(model) for model in models])
        grid[0].set_ylim(len(models) - 0.4, -0.6)
        note = "measured"
        if first["intervals"]:
            settings = first["intervals"]["settings"]
            note += f", {settings['confidence']:.0%} interval over {settings['unit']}s"
        handles = grid[0].plot([], [], "o", color=MEASURED, label=note)
        if any(architecture(model) in PAPER for model in models):
            handles += grid[0].plot([], [], **PRINTED, label="Table 3 of the paper (other slices)")
        figure.legend(handles=handles, loc="outside lower left", ncols=2)
        title = f"Lesion segmentation over all pixels, {title_of(first)}"
        figure.suptitle(title, x=0.01, ha="left", size=10.5)
    return path


def _measured(axes: Axes, place: int, metrics: dict[str, Any], key: str) -> None:
    value = metrics["pooled"][key]
    if value is None:
        return
    _span(axes, place, (metrics["intervals"] or {}).get("pooled", {}).get(key), colour=MEASURED)
    axes.plot(100 * value, place, "o", color=MEASURED, markersize=5.5)


def _span(axes: Axes, place: int, span: dict[str, Any] | None, *, colour: str) -> None:
    """A bar with ends that show beside the marker of the value."""
    if span and span["low"] is not None:
        ends = [100 * span["low"], 100 * span["high"]]
        axes.plot(ends, [place] * 2, "|-", color=colour, markersize=9, markeredgewidth=1.6)


def _in_rows(axes: Axes) -> None:
    """Values across, names down."""
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))


def slice_dice_figure(
    dice: Float[np.ndarray, "n"],
    *,
    sources: Sequence[str] | np.ndarray,
    metrics: dict[str, Any],
    path: Path,
) -> Path:
    """The Dice of each slice by source, with each source's mean and its interval.

    Args:
      dice: of each slice, in [0, 1].
      sources: the archive of each slice.
      metrics: of the same slices, from `segmentation_metrics`.
      path: PNG to write.
    """
    origins = np.asarray(sources).astype(str)
    names = list(metrics["per_source"])
    rng = np.random.default_rng(0)
    with drawing(path, width=6.4, height=0.62 * len(names) + 1.5) as figure:
        axes = figure.add_subplot()
        for place, name in enumerate(names):
            own = 100 * dice[origins == name]
            spread = place + rng.uniform(-0.28, 0.28, size=len(own))
            axes.plot(own, spread, "o", color=MEASURED, alpha=0.35, markersize=4, markeredgewidth=0)
            _source_mean(axes, place, metrics["per_source"][name])
        labels = [f"{name}\n{metrics['per_source'][name]['n']:,} slices" for name in names]
        axes.set_yticks(range(len(names)), labels)
        axes.set(xlim=(-2, 102), ylim=(len(names) - 0.45, -0.55))
        _in_rows(axes)
        axes.xaxis.set_major_locator(MultipleLocator(20))
        axes.set_xlabel(f"Dice of a slice, %; mean of all {_mean(metrics)}")
        title = f"Dice by source, {title_of(metrics)}"
        figure.suptitle(title, x=0.01, ha="left", size=10.5)
    return path


def _source_mean(axes: Axes, place: int, block: dict[str, Any]) -> None:
    """A diamond with its interval, and both as text at the right."""
    mean = block["per_image"]["dice"]
    _span(axes, place, (block["intervals"] or {}).get("per_image", {}).get("dice"), colour=MEAN)
    axes.plot(100 * mean, place, "D", color=MEAN, markersize=5.5)
    axes.text(103, place, _mean(block), va="center", size=9, color=INK, clip_on=False)


def _mean(block: dict[str, Any]) -> str:
    return percent_with_interval(block, "per_image", "dice")
