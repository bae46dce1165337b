"""Slices with maps over them: attention (Paper Fig. 9), and several explanations of each slice (Fig. 10)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int, UInt8
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, TwoSlopeNorm
from matplotlib.patheffects import withStroke

from mgajax.reporting.figures.style import FAINT, INK, bare, class_colour, drawing
from mgajax.schema import CLASS_NAMES

Look = Literal["map", "overlay"]

SIGNED, HEAT = colormaps["RdBu_r"], colormaps["turbo"]
ATTENTION_MAP = ListedColormap(colormaps["turbo"](np.linspace(0.07, 0.95, 256)))
"""Blue to red as the attention grows, as in the paper's Fig. 9: turbo without its dark ends."""

QUANTILE = 0.995
"""The colours end at this quantile of a map's absolute values: the largest few would leave the rest pale."""

CELL = 1.7
"""Width of a picture in inches."""


def attention_panel(
    images: UInt8[np.ndarray, "n H W"],
    masks: UInt8[np.ndarray, "n H W"],
    attention: Float[np.ndarray, "n h w"],
    *,
    labels: Int[np.ndarray, "n"],
    probabilities: Float[np.ndarray, "n k"],
    path: Path,
) -> Path:
    """Slices side by side: above the slice, below the attention over it, both with the lesion.

    Args:
      images: grey values.
      masks: lesion masks, 0 … 255; outlined where at least half covered.
      attention: maps of any size; stretched to each slice's own smallest and largest value, which
        are written below it.
      labels: true classes.
      probabilities: of the classes.
      path: PNG to write.
    """
    n, height, width = images.shape
    with drawing(path, width=max(1.75 * n, 4.8) + 0.5, height=4.4) as figure:
        grid = figure.subplots(2, n, squeeze=False)
        for column in range(n):
            top, bottom = bare(grid[0, column]), bare(grid[1, column])
            _draw_slice(top, images[column])
            _draw_slice(bottom, images[column])
            heat = attention[column].astype(np.float64)
            heat_image = bottom.imshow(
                heat,
                cmap=ATTENTION_MAP,
                alpha=0.45,
                extent=(-0.5, width - 0.5, height - 0.5, -0.5),
                interpolation="bilinear",
                vmin=heat.min(),
                vmax=max(heat.max(), heat.min() + 1e-9),
            )
            for axes in (top, bottom):
                _draw_outline(axes, masks[column], level=127.5, line_width=1.1)
            _name_classes(top, int(labels[column]), probabilities[column])
            bottom.set_xlabel(f"{heat.min():.2f} – {heat.max():.2f}", size=8.5, color=FAINT)
        grid[0, 0].set_ylabel("slice")
        grid[1, 0].set_ylabel("attention")
        bar = figure.colorbar(
            heat_image, ax=list(grid[1]), ticks=[], shrink=0.8, aspect=14, pad=0.01
        )
        bar.set_label("low → high, each slice", size=8.5)
        bar.outline.set_visible(False)
        figure.suptitle(
            "Where the attention looks (outlined: lesion by the mask)", x=0.01, ha="left", size=10.5
        )
    return path


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
            _draw_slice(bare(grid[0, column]), image)
            if captions is not None:
                grid[0, column].set_title(captions[column], loc="center", size=8.5)
        grid[0, 0].set_ylabel("slice", size=9)
        for row, (name, values) in enumerate(maps.items(), start=1):
            painter = _draw_signed if (values < 0).any() else _draw_heat
            colours = painter([bare(axes) for axes in grid[row]], images, values, look=look)
            grid[row, 0].set_ylabel(name, size=9)
            bar = figure.colorbar(colours, ax=list(grid[row]), shrink=0.85, aspect=14, pad=0.01)
            bar.outline.set_visible(False)
            bar.ax.tick_params(labelsize=7, length=2)
            if painter is _draw_heat:
                bar.set_ticks([0, 1], labels=["low", "high"])
        if masks is not None:
            for axes in grid.ravel():
                column = int(np.flatnonzero([axes in line for line in grid.T])[0])
                dark = look == "map" and axes not in grid[0]
                _draw_outline(axes, masks[column] >= 128, level=0.5, line_width=0.9, dark=dark)
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
        for row, score in enumerate(summaries.values()):
            if score["mean"] is None:
                continue
            axes.plot(score["mean"], row, "o", color=INK, markersize=4)
            if score["low"] is not None:
                axes.plot([score["low"], score["high"]], [row, row], color=INK, linewidth=1.2)
        if chance is not None:
            axes.axvline(chance, color=FAINT, linestyle="--", linewidth=1.0)
        axes.set_yticks(range(len(summaries)), labels=list(summaries), size=8.5)
        axes.set_ylim(len(summaries) - 0.5, -0.5)
        axes.set_xlabel(label)
    return path


def _name_classes(axes: Axes, label: int, probabilities: np.ndarray) -> None:
    """The true class, and below it the predicted one: plain when right, marked when wrong."""
    predicted = int(probabilities.argmax())
    sign = "✓" if predicted == label else "✗"
    truth = CLASS_NAMES[label]
    axes.set_title(truth, loc="center", color=class_colour(truth, label), pad=16, size=10)
    axes.text(
        0.5,
        1.02,
        f"{sign} {CLASS_NAMES[predicted]} {probabilities[predicted]:.0%}",
        transform=axes.transAxes,
        ha="center",
        va="bottom",
        size=8.5,
        color=INK,
        weight="normal" if predicted == label else "bold",
    )


def _draw_signed(
    row: Sequence[Axes], images: np.ndarray, values: np.ndarray, *, look: str
) -> ScalarMappable:
    largest = max(float(np.quantile(np.abs(values), QUANTILE)), 1e-12)
    norm = TwoSlopeNorm(0.0, vmin=-largest, vmax=largest)
    for axes, image, heat in zip(row, images, values, strict=True):
        strength = np.clip(np.abs(heat) / largest, 0.0, 1.0) ** 0.5
        alpha = np.ones_like(heat) if look == "map" else strength
        if look == "overlay":
            _draw_slice(axes, image)
        axes.imshow(heat, cmap=SIGNED, norm=norm, alpha=alpha, interpolation="nearest")
    return ScalarMappable(norm, SIGNED)


def _draw_heat(
    row: Sequence[Axes], images: np.ndarray, values: np.ndarray, *, look: str
) -> ScalarMappable:
    for axes, image, heat in zip(row, images, values, strict=True):
        spread = heat.max() - heat.min()
        relative = (heat - heat.min()) / (spread if spread > 0 else 1.0)
        if look == "overlay":
            _draw_slice(axes, image)
        alpha = 0.45 if look == "overlay" else 1.0
        axes.imshow(relative, cmap=HEAT, vmin=0, vmax=1, alpha=alpha, interpolation="bilinear")
    return ScalarMappable(Normalize(0, 1), HEAT)


def _draw_slice(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)


def _draw_outline(
    axes: Axes, mask: np.ndarray, *, level: float, line_width: float, dark: bool = False
) -> None:
    """A line where the mask crosses `level`, with an edge of twice its width behind it."""
    if (mask > level).any() and not (mask > level).all():
        inner, outer = ("black", "white") if dark else ("white", "black")
        lines = axes.contour(mask, levels=[level], colors=[inner], linewidths=line_width)
        lines.set_path_effects([withStroke(linewidth=2 * line_width, foreground=outer)])
