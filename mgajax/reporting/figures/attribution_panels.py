"""Pictures of explanations: models × slices, as in the paper's Figures 9 and 10."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.patheffects import withStroke

from mgajax.reporting.figures.style import FAINT, INK, bare, drawing

Look = Literal["map", "overlay"]

SIGNED, HEAT = colormaps["RdBu_r"], colormaps["turbo"]
QUANTILE = 0.995
"""Of the sizes of a map's values, where its colours end: a few pixels would leave the rest white."""

CELL = 1.7
"""Width of a picture in inches."""


def attribution_panel(
    images: UInt8[np.ndarray, "n h w"],
    maps: Mapping[str, Float[np.ndarray, "n h w"]],
    *,
    path: Path,
    masks: UInt8[np.ndarray, "n h w"] | None = None,
    captions: Sequence[str] | None = None,
    look: Look | str = "overlay",
    title: str = "",
) -> Path:
    """A column for each slice: the slice, then one map below the other.

    A map with negative values is signed: red speaks for the explained class, blue against it, white
    is 0, on a scale that is symmetric about 0 and the same in the whole row. A map without is heat,
    from each slice's smallest value to its largest, as attention is drawn elsewhere.

    Args:
      images: grey values.
      maps: by the name of the row, for example of the model.
      path: PNG to write.
      masks: lesions, 0 … 255; outlined where at least half covered.
      captions: one a slice.
      look: "overlay" paints over the slice, the stronger the larger; "map" shows the map alone.
      title: above all.
    """
    n, rows = len(images), len(maps) + 1
    width = max(CELL * n, 4.0) + 1.1
    with drawing(path, width=width, height=CELL * rows + 0.75) as figure:
        grid = figure.subplots(rows, n, squeeze=False)
        for column, image in enumerate(images):
            _slice(bare(grid[0, column]), image)
            if captions is not None:
                grid[0, column].set_title(captions[column], loc="center", size=8.5)
        grid[0, 0].set_ylabel("slice", size=9)
        for row, (name, values) in enumerate(maps.items(), start=1):
            painter = _signed if (values < 0).any() else _heat
            shown = painter([bare(axes) for axes in grid[row]], images, values, look=look)
            grid[row, 0].set_ylabel(name, size=9)
            bar = figure.colorbar(shown, ax=list(grid[row]), shrink=0.85, aspect=14, pad=0.01)
            bar.outline.set_visible(False)
            bar.ax.tick_params(labelsize=7, length=2)
            if painter is _heat:
                bar.set_ticks([0, 1], labels=["low", "high"])
        if masks is not None:
            for axes in grid.ravel():
                column = int(np.flatnonzero([axes in line for line in grid.T])[0])
                _outline(axes, masks[column] >= 128, dark=look == "map" and axes not in grid[0])
        figure.suptitle(title, x=0.01, ha="left", size=10.5)
    return path


def score_bars(
    summaries: Mapping[str, Mapping[str, Any]],
    *,
    path: Path,
    chance: float | None,
    label: str,
) -> Path:
    """One score of several explanations with intervals, and what chance would give.

    Args:
      summaries: by name, with `mean`, `low` and `high`.
      path: PNG to write.
      chance: drawn as a dashed line; None for none.
      label: of the axis.
    """
    with drawing(path, width=6.4, height=0.34 * len(summaries) + 0.9) as figure:
        axes = figure.subplots()
        for place, one in enumerate(summaries.values()):
            if one["mean"] is None:
                continue
            axes.plot(one["mean"], place, "o", color=INK, markersize=4)
            if one["low"] is not None:
                axes.plot([one["low"], one["high"]], [place, place], color=INK, linewidth=1.2)
        if chance is not None:
            axes.axvline(chance, color=FAINT, linestyle="--", linewidth=1.0)
        axes.set_yticks(range(len(summaries)), labels=list(summaries), size=8.5)
        axes.set_ylim(len(summaries) - 0.5, -0.5)
        axes.set_xlabel(label)
    return path


def _signed(
    row: Sequence[Axes], images: np.ndarray, values: np.ndarray, *, look: str
) -> ScalarMappable:
    largest = max(float(np.quantile(np.abs(values), QUANTILE)), 1e-12)
    norm = TwoSlopeNorm(0.0, vmin=-largest, vmax=largest)
    for axes, image, one in zip(row, images, values, strict=True):
        strength = np.clip(np.abs(one) / largest, 0.0, 1.0) ** 0.5
        alpha = np.ones_like(one) if look == "map" else strength
        if look == "overlay":
            _slice(axes, image)
        axes.imshow(one, cmap=SIGNED, norm=norm, alpha=alpha, interpolation="nearest")
    return ScalarMappable(norm, SIGNED)


def _heat(
    row: Sequence[Axes], images: np.ndarray, values: np.ndarray, *, look: str
) -> ScalarMappable:
    for axes, image, one in zip(row, images, values, strict=True):
        spread = one.max() - one.min()
        relative = (one - one.min()) / (spread if spread > 0 else 1.0)
        if look == "overlay":
            _slice(axes, image)
        alpha = 0.45 if look == "overlay" else 1.0
        axes.imshow(relative, cmap=HEAT, vmin=0, vmax=1, alpha=alpha, interpolation="bilinear")
    return ScalarMappable(Normalize(0, 1), HEAT)


def _slice(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)


def _outline(axes: Axes, lesion: Bool[np.ndarray, "h w"], *, dark: bool) -> None:
    if lesion.any() and not lesion.all():
        inner, outer = ("black", "white") if dark else ("white", "black")
        lines = axes.contour(lesion, levels=[0.5], colors=[inner], linewidths=0.9)
        lines.set_path_effects([withStroke(linewidth=1.8, foreground=outer)])
