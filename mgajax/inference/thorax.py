"""Where in a slice lesions count: inside the chest.

Networks that find lesions also find them in bowel gas, in shoulders and on tables. A lesion counts in
slices that show a chest, and there where it lies in one box: the one around the open lung of both
sides, `MARGIN` of the body's width or height wider on each side. A connected part of the lesion
counts whole if at least `LEAST_INSIDE` of it lies in that box, and not at all if less does.

Consolidated lung is as grey as the chest wall and no open lung, but lies beside it. Of the lesions
that were annotated in 1,241 slices of the published set's sources, cutting at the box would lose 3.4 %
of the pixels; by parts 0.05 % are lost, in six slices.
"""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

MARGIN = 0.05
"""Of the body's width and height, on each side of the open lung."""

LEAST_INSIDE = 0.25
"""Share of a part of the lesion that lies in the box around the lung."""


def thorax(
    lung: Bool[np.ndarray, "h w"], *, body: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """The box in which lesions count; nothing where there is no open lung.

    Args:
      lung: open lung, from `imaging.lungs`.
      body: from `imaging.body.foreground`; its sides are the measure of the margin.
    """
    region = np.zeros_like(lung)
    if lung.any():
        region[tuple(_widened(lung, body, axis=axis) for axis in (0, 1))] = True
    return region


def inside(
    lesion: Bool[np.ndarray, "h w"], region: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """The parts of a lesion, connected at edges or corners, of which enough is in `region`."""
    parts, count = ndimage.label(lesion, structure=np.ones((3, 3), bool))
    whole, within = (
        np.bincount(parts[one], minlength=count + 1) for one in (lesion, lesion & region)
    )
    kept = within >= LEAST_INSIDE * whole
    kept[0] = False
    return kept[parts]


def _widened(lung: Bool[np.ndarray, "h w"], body: Bool[np.ndarray, "h w"], *, axis: int) -> slice:
    held, whole = (np.flatnonzero(one.any(axis=1 - axis)) for one in (lung, body))
    margin = round(MARGIN * (whole[-1] + 1 - whole[0])) if len(whole) else 0
    return slice(max(0, int(held[0]) - margin), int(held[-1]) + 1 + margin)
