"""Figures of segmenters' scores: models side by side, and one model slice by slice."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.ticker import MultipleLocator

from mgajax.paper import SEGMENTER_METRICS, TABLE3, architecture, model_name
from mgajax.reporting.figures.comparison_figures import (
    MEASURED,
    ComparisonRow,
    comparison_figure,
    draw_number,
    in_rows,
    interval_note,
)
from mgajax.reporting.figures.style import INK, VALIDATION, drawing, slices_label
from mgajax.reporting.tables.number import percent
from mgajax.reporting.tables.table3 import Results

MEAN = VALIDATION


def model_comparison_figure(results: Results, *, path: Path) -> Path:
    """Pooled IoU, Dice, precision and recall of each model with intervals, and the paper's.

    Args:
      results: see `table3.Results`; the models stand in this order, from the top.
      path: PNG or SVG to write.
    """
    first_metrics = next(iter(results.values()))
    rows = [
        ComparisonRow(
            model_name(model),
            {key: percent(metrics, f"pooled.{key}") for key in SEGMENTER_METRICS},
            TABLE3.get(architecture(model), {}),
        )
        for model, metrics in results.items()
    ]
    return comparison_figure(
        rows,
        columns={key: f"{text}, %" for key, text in SEGMENTER_METRICS.items()},
        path=path,
        title=f"Lesion segmentation over all pixels, {slices_label(dict(first_metrics))}",
        measured=interval_note(first_metrics),
        printed="Table 3 of the paper (other slices)",
    )


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
      path: PNG or SVG to write.
    """
    origins = np.asarray(sources).astype(str)
    blocks = metrics["per_source"]
    rng = np.random.default_rng(0)
    with drawing(path, width=6.4, height=0.62 * len(blocks) + 1.5) as figure:
        axes = figure.add_subplot()
        for position, (name, block) in enumerate(blocks.items()):
            slice_dice = 100 * dice[origins == name]
            spread = position + rng.uniform(-0.28, 0.28, size=len(slice_dice))
            axes.plot(
                slice_dice, spread, "o", color=MEASURED, alpha=0.35, markersize=4, markeredgewidth=0
            )
            mean = percent(block, "per_image.dice")
            draw_number(axes, position, mean, marker="D", colour=MEAN)
            axes.text(103, position, str(mean), va="center", size=9, color=INK, clip_on=False)
        labels = [f"{name}\n{block['n']:,} slices" for name, block in blocks.items()]
        axes.set_yticks(range(len(blocks)), labels)
        axes.set(xlim=(-2, 102), ylim=(len(blocks) - 0.45, -0.55))
        in_rows(axes)
        axes.xaxis.set_major_locator(MultipleLocator(20))
        axes.set_xlabel(f"Dice of a slice, %; mean of all {percent(metrics, 'per_image.dice')}")
        title = f"Dice by source, {slices_label(metrics)}"
        figure.suptitle(title, x=0.01, ha="left", size=10.5)
    return path
