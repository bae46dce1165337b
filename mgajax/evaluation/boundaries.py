"""How far the outline of a predicted lesion lies from the true one: HD95 and surface Dice.

The outline runs between pixels, as in marching squares: a corner where four pixels meet belongs to
it unless the four agree, and carries the length of the outline that passes there. Weighting by
that length keeps the scores free of how diagonal a lesion lies (Nikolov et al., J Med Internet Res
2021;23(7):e26151, whose definitions these are). Distances are scipy's exact Euclidean transform.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

PERCENTILE = 0.95
ROUNDING = 1e-9
"""Tolerance for rounding in the sum of the lengths."""

PixelSpacing = tuple[float, float]
"""Height and width of a pixel."""


class BoundaryScores(NamedTuple):
    """Scores of one slice.

    Attributes:
      hausdorff95: in the unit of the spacing; the larger of the two directed distances that 95 %
        of an outline's length stays within. NaN where a mask is empty.
      surface_dice: share of both outlines' length that lies within the tolerance of the other, in
        [0, 1]; 0 where one mask is empty, NaN where both are.
    """

    hausdorff95: float
    surface_dice: float


def boundary_scores(
    predicted: Bool[np.ndarray, "h w"],
    truth: Bool[np.ndarray, "h w"],
    *,
    tolerance: float,
    spacing: PixelSpacing = (1.0, 1.0),
) -> BoundaryScores:
    """Compare the outlines of two masks. The frame's edge counts as background.

    Args:
      predicted: the predicted lesion.
      truth: the annotated lesion.
      tolerance: largest distance, in the unit of `spacing`, that surface Dice forgives.
      spacing: height and width of a pixel, for example in mm; by default distances are in pixels.
    """
    if not predicted.any() or not truth.any():
        both_empty = not predicted.any() and not truth.any()
        return BoundaryScores(np.nan, np.nan if both_empty else 0.0)
    box = _lesion_box(predicted | truth)
    predicted_outline, true_outline = (outline(mask[box], spacing) for mask in (predicted, truth))
    distances = (
        _distances(predicted_outline, true_outline, spacing),
        _distances(true_outline, predicted_outline, spacing),
    )
    lengths = tuple(lines[lines > 0] for lines in (predicted_outline, true_outline))
    within = sum(
        length[distance <= tolerance].sum()
        for distance, length in zip(distances, lengths, strict=True)
    )
    return BoundaryScores(
        hausdorff95=max(map(_percentile, distances, lengths)),
        surface_dice=float(within / (lengths[0].sum() + lengths[1].sum())),
    )


def outline(
    mask: Bool[np.ndarray, "h w"], spacing: PixelSpacing = (1.0, 1.0)
) -> Float[np.ndarray, "h+1 w+1"]:
    """Length of the outline at each corner of the pixels; 0 away from it.

    A corner that cuts one pixel off carries half a pixel's diagonal, a straight one a pixel's side,
    and one where two lesions touch diagonally both cuts.
    """
    padded = np.pad(mask, 1).astype(np.int64)
    rows = padded[:-1] + padded[1:]
    lesion_pixels = rows[:, :-1] + rows[:, 1:]  # of the four around each corner
    horizontal = padded[:-1, :-1] == padded[:-1, 1:]  # the two upper pixels agree
    vertical = padded[:-1, :-1] == padded[1:, :-1]  # the two left pixels agree
    height, width = spacing
    half_diagonal = 0.5 * np.hypot(height, width)
    pairs = np.where(horizontal, width, np.where(vertical, height, 2 * half_diagonal))
    return np.where(lesion_pixels % 2 == 1, half_diagonal, np.where(lesion_pixels == 2, pairs, 0.0))


def _lesion_box(union: Bool[np.ndarray, "h w"]) -> tuple[slice, slice]:
    """The box around all lesion; no nearest point lies outside it."""
    rows, columns = np.flatnonzero(union.any(axis=1)), np.flatnonzero(union.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _distances(
    start: Float[np.ndarray, "h w"], goal: Float[np.ndarray, "h w"], spacing: PixelSpacing
) -> Float[np.ndarray, "m"]:
    """From each corner of the outline `start` to the nearest of `goal`."""
    return ndimage.distance_transform_edt(goal == 0, sampling=spacing)[start > 0]


def _percentile(distances: Float[np.ndarray, "m"], lengths: Float[np.ndarray, "m"]) -> float:
    """The smallest distance within which 95 % of the length lies."""
    order = np.argsort(distances, kind="stable")
    share = np.cumsum(lengths[order]) / lengths.sum()
    rank = min(int(np.searchsorted(share, PERCENTILE - ROUNDING)), len(order) - 1)
    return float(distances[order[rank]])
