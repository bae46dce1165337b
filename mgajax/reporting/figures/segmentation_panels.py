"""Pictures of segmented slices: the frame, the annotated lesion, and each model's beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mgajax.reporting.figures.style import FAINT, FOUND, INK, MISSED, SURPLUS, bare, drawing

Mask = Bool[np.ndarray, "_ _"]

CELL = 1.75
"""Width of a picture in inches."""

FAINTLY, STRONGLY = 0.5, 0.85
"""Opacity of lesion that was found, so that the frame shows through, and of missed and surplus pixels."""


def segmentation_panel(
    images: Sequence[UInt8[np.ndarray, "_ _"]],
    truths: Sequence[Mask],
    predictions: Mapping[str, Sequence[Mask]],
    *,
    dice: Mapping[str, Sequence[float] | np.ndarray],
    path: Path,
    captions: Sequence[str] | None = None,
    title: str = "Predicted lesions, each slice's Dice below",
) -> Path:
    """A row for each slice: frame, annotation, then each model's prediction (Paper Fig. 7).

    Found, missed and surplus pixels have colours that any kind of colour vision tells apart.

    Args:
      images: grey values, of any sizes.
      truths: annotated lesions of the same sizes.
      predictions: by model name, predicted lesions of the same sizes.
      dice: by model name, the Dice of each slice.
      path: PNG to write.
      captions: one a slice, shown at the left (for example the source).
      title: above all.
    """
    columns = ("slice", "annotated", *predictions)
    tall = [max(0.45, image.shape[0] / image.shape[1]) for image in images]
    width = CELL * len(columns) + 0.4
    height = sum(CELL * share + 0.27 for share in tall) + 0.85
    with drawing(path, width=max(width, 5.0), height=height) as figure:
        grid = figure.subplots(len(images), len(columns), squeeze=False, height_ratios=tall)
        for row, (image, truth) in enumerate(zip(images, truths, strict=True)):
            for axes in grid[row]:
                bare(axes).imshow(image, cmap="gray", vmin=0, vmax=255)
            _overlay(grid[row, 1], truth, truth)
            if not truth.any():
                grid[row, 1].set_xlabel("no lesion", size=8.5, color=INK, labelpad=2)
            for axes, (model, masks) in zip(grid[row, 2:], predictions.items(), strict=True):
                _overlay(axes, masks[row], truth)
                axes.set_xlabel(f"Dice {dice[model][row]:.2f}", size=8.5, color=INK, labelpad=2)
            if captions is not None:
                grid[row, 0].set_ylabel(captions[row], size=8.5, color=FAINT)
        for axes, name in zip(grid[0], columns, strict=True):
            axes.set_title(name, loc="center", size=10)
        figure.suptitle(title, x=0.01, ha="left", size=10.5)
        _legend(figure)
    return path


def _overlay(axes: Axes, predicted: Mask, truth: Mask) -> None:
    """Found, missed and surplus lesion over the frame."""
    paint = np.zeros((*truth.shape, 4))
    paint[predicted & truth] = to_rgba(FOUND, FAINTLY)
    paint[truth & ~predicted] = to_rgba(MISSED, STRONGLY)
    paint[predicted & ~truth] = to_rgba(SURPLUS, STRONGLY)
    axes.imshow(paint, interpolation="nearest")


def _legend(figure: Figure) -> None:
    meanings = {"lesion, found": FOUND, "lesion, missed": MISSED, "no lesion, predicted": SURPLUS}
    patches = [
        Patch(color=to_rgba(colour, STRONGLY), label=text) for text, colour in meanings.items()
    ]
    figure.legend(handles=patches, loc="outside lower left", ncols=3, handlelength=1.0)
