"""Rectangles of a slice that a copy of it has too, whatever margins were cut off or added.

The whole frame survives a new encoding, the body's box the loss of air around it, and the lungs'
box the loss of a part of the chest wall.
"""

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image

from mgajax.imaging.body import WORKING_SIDE
from mgajax.imaging.lungs import dark_regions

ANCHORS: tuple[str, ...] = ("frame", "body", "lungs")
"""The order of the rows of `anchor_windows`."""

SMALLEST_SIDE = 0.2
"""A box with a side below this share of the frame holds too little to compare."""


def anchor_windows(
    picture: UInt8[np.ndarray, "h w"], body: Bool[np.ndarray, "h w"] | None
) -> Float32[np.ndarray, "3 4"]:
    """Frame, body's box and lungs' box, as windows; a box that is not found is the one before it.

    Args:
      picture: grey levels.
      body: from `imaging.body.foreground`.
    """
    frame = np.array([0, 0, 1, 1], np.float32)
    if body is None:
        return np.stack([frame, frame, frame])
    outer = _box(body)
    outer = frame if outer is None else outer
    inner = _box(_lungs(picture, body))
    return np.stack([frame, outer, outer if inner is None else inner])


def _lungs(
    picture: UInt8[np.ndarray, "h w"], body: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "r c"]:
    """The large dark parts of the body, on a reduced copy."""
    factor = max(1, round(max(picture.shape) / WORKING_SIDE))
    small = np.asarray(Image.fromarray(picture).reduce(factor))
    inside = np.asarray(Image.fromarray(body.astype(np.uint8) * np.uint8(255)).reduce(factor)) > 127
    return dark_regions(small, inside)


def _box(region: Bool[np.ndarray, "r c"]) -> Float32[np.ndarray, "4"] | None:
    """The region's bounding box as a window; None where it is too small to compare."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not len(rows):
        return None
    height, width = region.shape
    box = (rows[0] / height, columns[0] / width, (rows[-1] + 1) / height, (columns[-1] + 1) / width)
    if min(box[2] - box[0], box[3] - box[1]) < SMALLEST_SIDE:
        return None
    return np.array(box, np.float32)
