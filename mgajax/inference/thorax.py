"""The region of a slice where lesions count: inside the chest.

Networks that find lesions also find them in bowel gas, in shoulders and on tables. A lesion counts
only in slices that show a chest, and only in a box around the open lung of both sides, widened by
`MARGIN` of the body's width or height on each side. A connected part of the lesion counts as a whole
if at least `LEAST_INSIDE` of it lies in the box, else not at all.

Consolidated lung is as grey as the chest wall and no open lung, but lies beside it. Of the lesions
annotated in 1,241 slices of the published set's sources, cutting at the box would lose 3.4 % of the
pixels; by parts 0.05 % are lost, in six slices.
"""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

MARGIN = 0.05
"""Of the body's width and height, on each side of the open lung."""

LEAST_INSIDE = 0.25
"""Least share of a part of the lesion in the box, for the part to count."""


def thorax_box(
    lung: Bool[np.ndarray, "h w"], *, body: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """The box in which lesions count; empty where there is no open lung.

    Args:
      lung: open lung, from `imaging.lungs`.
      body: from `imaging.body.foreground`; the margin is a share of its sides.
    """
    region = np.zeros_like(lung)
    if lung.any():
        region[tuple(_widened_range(lung, body, axis=axis) for axis in (0, 1))] = True
    return region


def keep_inside(
    lesion: Bool[np.ndarray, "h w"], region: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """The parts of a lesion, connected at edges or corners, that lie in `region` far enough."""
    parts, count = ndimage.label(lesion, structure=np.ones((3, 3), bool))
    sizes, sizes_inside = (
        np.bincount(parts[mask], minlength=count + 1) for mask in (lesion, lesion & region)
    )
    is_inside = sizes_inside >= LEAST_INSIDE * sizes
    is_inside[0] = False
    return is_inside[parts]


def _widened_range(
    lung: Bool[np.ndarray, "h w"], body: Bool[np.ndarray, "h w"], *, axis: int
) -> slice:
    lung_range, body_range = (np.flatnonzero(mask.any(axis=1 - axis)) for mask in (lung, body))
    margin = round(MARGIN * (body_range[-1] + 1 - body_range[0])) if len(body_range) else 0
    return slice(max(0, int(lung_range[0]) - margin), int(lung_range[-1]) + 1 + margin)
