"""Pictures of slices: what the attention looks at, and what the data look like."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patheffects import withStroke

from mgajax import schema
from mgajax.reporting.figures.style import FAINT, INK, bare, class_colour, drawing

ATTENTION_MAP = ListedColormap(colormaps["turbo"](np.linspace(0.07, 0.95, 256)))
"""Blue to red as the attention grows, as in the paper's Fig. 9: turbo without its dark ends."""

Pictures = Sequence[UInt8[np.ndarray, "_ _"]] | UInt8[np.ndarray, "n _ _"]


def attention_panel(
    images: UInt8[np.ndarray, "n H W"],
    masks: UInt8[np.ndarray, "n H W"],
    attention: Float[np.ndarray, "n h w"],
    *,
    labels: Int[np.ndarray, "n"],
    probabilities: Float[np.ndarray, "n k"],
    path: Path,
    class_names: Sequence[str] = schema.CLASS_NAMES,
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
      class_names: in label order.
    """
    n = len(images)
    with drawing(path, width=max(1.75 * n, 4.8) + 0.5, height=4.4) as figure:
        grid = figure.subplots(2, n, squeeze=False)
        for column in range(n):
            top, bottom = bare(grid[0, column]), bare(grid[1, column])
            _slice(top, images[column])
            _slice(bottom, images[column])
            heat = attention[column].astype(np.float64)
            shown = bottom.imshow(
                heat,
                cmap=ATTENTION_MAP,
                alpha=0.45,
                extent=_extent(images[column]),
                interpolation="bilinear",
                vmin=heat.min(),
                vmax=max(heat.max(), heat.min() + 1e-9),
            )
            for axes in (top, bottom):
                _outline(axes, masks[column])
            _verdict(top, int(labels[column]), probabilities[column], class_names)
            bottom.set_xlabel(f"{heat.min():.2f} – {heat.max():.2f}", size=8.5, color=FAINT)
        grid[0, 0].set_ylabel("slice")
        grid[1, 0].set_ylabel("attention")
        bar = figure.colorbar(shown, ax=list(grid[1]), ticks=[], shrink=0.8, aspect=14, pad=0.01)
        bar.set_label("low → high, each slice", size=8.5)
        bar.outline.set_visible(False)
        figure.suptitle(
            "Where the attention looks (outlined: lesion by the mask)", x=0.01, ha="left", size=10.5
        )
    return path


def dataset_panel(
    images: Pictures,
    *,
    labels: Int[np.ndarray, "n"],
    sources: Sequence[str] | np.ndarray,
    path: Path,
    masks: Pictures | None = None,
    class_names: Sequence[str] = schema.CLASS_NAMES,
) -> Path:
    """A contact sheet, classes down and sources across: the first slice of each pair.

    Args:
      images: grey values, of any sizes.
      labels: classes.
      sources: archives, one name a slice.
      path: PNG to write.
      masks: lesions to outline.
      class_names: in label order.
    """
    origins = np.asarray(sources).astype(str)
    known = dict.fromkeys((*schema.SOURCES, *sorted(set(origins.tolist()))))
    columns = [name for name in known if name in origins]
    codes = np.unique(labels).tolist()
    width, height = 1.5 * len(columns) + 0.5, 1.62 * len(codes) + 0.4
    with drawing(path, width=width, height=height) as figure:
        for row, column in np.ndindex(len(codes), len(columns)):
            place = row * len(columns) + column + 1
            axes = bare(figure.add_subplot(len(codes), len(columns), place))
            found = np.flatnonzero((labels == codes[row]) & (origins == columns[column]))
            if len(found):
                _slice(axes, images[found[0]])
            if len(found) and masks is not None:
                _outline(axes, masks[found[0]])
            axes.set_xlabel(f"{len(found):,}", size=8.5, color=FAINT, labelpad=2)
            if row == 0:
                axes.set_title(columns[column], loc="center")
            if column == 0:
                name = class_names[codes[row]]
                axes.set_ylabel(name, color=class_colour(name, codes[row]), weight="bold")
        title = f"One slice of each class and source; below, how many of {len(labels):,}"
        figure.suptitle(title, x=0.01, ha="left", size=10.5)
    return path


def _extent(image: np.ndarray) -> tuple[float, float, float, float]:
    return (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)


def _slice(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=_extent(image))


def _outline(axes: Axes, mask: np.ndarray) -> None:
    if (mask >= 128).any() and not (mask >= 128).all():
        lines = axes.contour(mask, levels=[127.5], colors=["white"], linewidths=1.1)
        lines.set_path_effects([withStroke(linewidth=2.2, foreground="black")])


def _verdict(axes: Axes, label: int, chances: np.ndarray, class_names: Sequence[str]) -> None:
    """The true class, and below it the predicted one: plain when right, marked when wrong."""
    called = int(chances.argmax())
    sign = "✓" if called == label else "✗"
    truth = class_names[label]
    axes.set_title(f"{truth}", loc="center", color=class_colour(truth, label), pad=16, size=10)
    axes.text(
        0.5,
        1.02,
        f"{sign} {class_names[called]} {chances[called]:.0%}",
        transform=axes.transAxes,
        ha="center",
        va="bottom",
        size=8.5,
        color=INK,
        weight="normal" if called == label else "bold",
    )
