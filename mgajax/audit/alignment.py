"""Aligns two slices, and measures how alike they then are.

A candidate pair's windows match to a few percent only. The first one's window is moved until both
show the same (Lucas and Kanade, IJCAI 1981), coarse detail first. Top, left, bottom and right move
independently, which covers shifts, crops and changes of size or aspect. The result is the correlation
of local contrast after that, field by field.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from mgajax.audit.thumbnail_windows import correlation, cut, local_contrast


@dataclass(frozen=True)
class AlignmentStage:
    """One stage of an alignment.

    Attributes:
      size: pixels a side at which the two are compared.
      coarse, fine: surroundings and blur, see `local_contrast`.
      steps: how often the window is moved.
      least: pairs that correlate less at the end of the stage are given up.
    """

    size: int
    coarse: float
    fine: float
    steps: int
    least: float


STAGES: tuple[AlignmentStage, ...] = (
    AlignmentStage(size=32, coarse=3.0, fine=1.0, steps=4, least=0.9),
    AlignmentStage(size=64, coarse=4.0, fine=1.0, steps=3, least=0.85),
    AlignmentStage(size=64, coarse=2.0, fine=0.0, steps=3, least=0.75),
    AlignmentStage(size=96, coarse=2.0, fine=0.0, steps=2, least=0.6),
)

FIELDS = 4
"""Fields a side in which the aligned pair is judged, each on its own."""

WORSE_FIELDS = 20
"""Percentile of the fields' correlations that counts: text and arrows may spoil three of sixteen."""

EMPTY_FIELD = 0.25
"""A field with less contrast than this share of the mean is air, and says nothing."""

FARTHEST = 1 / 16
"""Share of the window's side that an edge may move in one step."""


def align(
    first: Float32[np.ndarray, "n t t"],
    second: Float32[np.ndarray, "n t t"],
    *,
    windows: Float32[np.ndarray, "n 4"],
    targets: Float32[np.ndarray, "n 4"],
) -> tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, "n"]]:
    """Move the windows of `first` until they show what the targets of `second` show.

    Args:
      first, second: thumbnails of the pairs.
      windows: where to begin in `first`.
      targets: the fixed windows of `second`.

    Returns:
      The moved windows, and the `agreement` there; 0 for pairs that were given up.
    """
    windows = windows.copy()
    scores = np.zeros(len(windows), np.float32)
    rows = np.arange(len(windows))
    for stage in STAGES:
        target_pictures = _contrast(second[rows], targets[rows], stage)
        for _ in range(stage.steps):
            pictures = _contrast(first[rows], windows[rows], stage)
            windows[rows] = _move_edges(windows[rows], _solve_step(pictures, target_pictures))
        pictures = _contrast(first[rows], windows[rows], stage)
        is_alike = correlation(pictures, target_pictures) >= stage.least
        rows, pictures, target_pictures = (
            rows[is_alike],
            pictures[is_alike],
            target_pictures[is_alike],
        )
        if not len(rows):
            return windows, scores
    scores[rows] = agreement(pictures, target_pictures)
    return windows, scores


def agreement(
    first: Float32[np.ndarray, "n s s"], second: Float32[np.ndarray, "n s s"]
) -> Float32[np.ndarray, "n"]:
    """How alike two local contrasts are where they are least alike, in [-1, 1].

    The correlation of each of `FIELDS` x `FIELDS` fields, and of those the low percentile: two
    people's ribs may fall on each other, but then their lungs do not. 0 where all is flat.
    """
    size = first.shape[-1] // FIELDS
    fields = [
        x.reshape(len(x), FIELDS, size, FIELDS, size).swapaxes(2, 3).reshape(-1, size, size)
        for x in (first, second)
    ]
    correlations = correlation(*fields).reshape(len(first), -1)
    spread = (x.std(axis=(1, 2)) for x in fields)
    contrast = np.prod(np.stack(list(spread)), axis=0).reshape(len(first), -1)
    has_contrast = contrast > np.float32(EMPTY_FIELD) * contrast.mean(axis=1, keepdims=True)
    rows = zip(correlations, has_contrast, strict=True)
    values = [np.percentile(row[mask], WORSE_FIELDS) if mask.any() else 0.0 for row, mask in rows]
    return np.array(values, np.float32)


def _contrast(
    thumbnails: Float32[np.ndarray, "n t t"],
    windows: Float32[np.ndarray, "n 4"],
    stage: AlignmentStage,
) -> Float32[np.ndarray, "n s s"]:
    pictures = cut(thumbnails, windows, size=stage.size)
    return local_contrast(pictures, coarse=stage.coarse, fine=stage.fine)


def _solve_step(
    pictures: Float32[np.ndarray, "n s s"], target_pictures: Float32[np.ndarray, "n s s"]
) -> Float32[np.ndarray, "n 4"]:
    """How far the edges should move, as shares of the window's sides: one Gauss-Newton step on the
    squared difference.
    """
    size = pictures.shape[-1]
    down, across = np.gradient(pictures, axis=(1, 2))
    fraction = ((np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size))[:, None]
    slopes = [
        down * (1 - fraction),
        across * (1 - fraction.T),
        down * fraction,
        across * fraction.T,
    ]
    jacobian = np.stack(slopes, axis=1).reshape(len(pictures), 4, -1)
    difference = (target_pictures - pictures).reshape(len(pictures), -1, 1)
    normal = jacobian @ jacobian.transpose(0, 2, 1)
    damping = np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.float32(1e-3) + np.float32(
        1e-3
    )
    step = np.linalg.solve(normal + damping * np.eye(4, dtype=np.float32), jacobian @ difference)
    return np.clip(step[..., 0] / np.float32(size), -FARTHEST, FARTHEST)


def _move_edges(
    windows: Float32[np.ndarray, "n 4"], shares: Float32[np.ndarray, "n 4"]
) -> Float32[np.ndarray, "n 4"]:
    """Windows with their edges moved, kept within half a frame of the frame."""
    height, width = windows[:, 2] - windows[:, 0], windows[:, 3] - windows[:, 1]
    sides = np.stack([height, width, height, width], axis=1)
    moved = np.clip(windows + shares * sides, -0.5, 1.5)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + np.float32(0.1))
    return moved
