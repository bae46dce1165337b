"""The body in a CT slice of grey levels, in any rendering.

Slices have padding circles, tables, burnt-in text, and the white margins of a page. The body is the
large bright regions above Otsu's threshold with everything inside them, the lungs too; dark regions
connected to a corner of the frame are outside.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageFilter
from scipy import ndimage, spatial

WORKING_SIDE: int = 256
"""The foreground is found on a box-reduced copy of about this many pixels a side."""

FRAME_LIMIT: float = 0.15
"""At most this share of a side counts as a page margin and is cut off."""

PAGE_WHITE: int = 240
"""From this grey level on a margin is paper; it must not take part in Otsu's threshold."""

SOLIDITY: float = 0.88
"""A body fills at least this share of its convex hull; a body without one lung does not."""

SIDE_LOST: float = 0.4
"""Where the body loses contact with this share of a side of the frame, a lung was lost; the contact of a
table is shorter."""

PART_SHARE: float = 0.15
"""A separate part of at least this share of the largest part belongs to the body."""


def foreground(
    image: UInt8[np.ndarray, "h w"], *, minimum: float = 0.1
) -> Bool[np.ndarray, "h w"] | None:
    """The body in a CT slice, lungs included; None when less than `minimum` of the frame is found."""
    if image.size == 0:
        return None
    factor = max(1, round(max(image.shape) / WORKING_SIDE))
    small = np.asarray(Image.fromarray(image).reduce(factor))
    if small.min() == small.max():
        return None
    page = _without_margins(small >= PAGE_WHITE)
    body = np.zeros(small.shape, dtype=bool)
    # Zeros are padding in most renderings, but lungs and air in a mediastinal window.
    for padding in ("ignored", "counted"):
        body[page] = _body(small[page] > otsu(small[page], zeros=padding))
        if body.mean() >= minimum:
            break
    else:
        return None
    grown = Image.fromarray(body).resize(
        (small.shape[1] * factor, small.shape[0] * factor), Image.Resampling.NEAREST
    )
    return np.asarray(grown)[: image.shape[0], : image.shape[1]]


def otsu(image: UInt8[np.ndarray, "*size"], *, zeros: Literal["ignored", "counted"]) -> int:
    """Otsu's threshold (IEEE SMC 9, 1979): the grey level that separates two classes best."""
    counts = np.bincount(image.ravel(), minlength=256).astype(np.float64)
    if zeros == "ignored":
        counts[0] = 0.0
    below = np.cumsum(counts)
    above = below[-1] - below
    weighted = np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = weighted / below - (weighted[-1] - weighted) / above
        separation = np.nan_to_num(below * above * gap**2)
    return int(np.argmax(separation))


def _body(tissue: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The large bright regions with all that they enclose.

    Thin lines are left out, so that air between the back and a table is not enclosed; unless that
    opens a thin chest wall and loses a lung.
    """
    body = np.zeros_like(tissue)
    frame = _without_margins(tissue)
    tissue = tissue[frame]
    side = max(tissue.shape) / WORKING_SIDE
    thin, thick = round(side), max(1, round(3 * side))
    with_lines = _large_parts(_fill(tissue), radius=thick)
    without = _large_parts(_fill(_large_parts(tissue, radius=thin)), radius=thick)
    body[frame] = with_lines if _lost_lung(without, whole=with_lines) else without
    return body


def _lost_lung(body: Bool[np.ndarray, "h w"], *, whole: Bool[np.ndarray, "h w"]) -> bool:
    """Whether the outline has a deep bay, or the body no longer reaches a side of the frame."""
    lost = whole & ~body
    return bool(_solidity(body) < SOLIDITY or lost[:, [0, -1]].mean(axis=0).max() > SIDE_LOST)


def _without_margins(tissue: Bool[np.ndarray, "h w"]) -> tuple[slice, slice]:
    """The part within page margins and drawn frames, which hide the air in the corners."""
    rows, columns = tissue.mean(axis=1), tissue.mean(axis=0)
    return (
        slice(_margin(rows), len(rows) - _margin(rows[::-1])),
        slice(_margin(columns), len(columns) - _margin(columns[::-1])),
    )


def _margin(bright: Float[np.ndarray, "n"]) -> int:
    """Length of the margin at the start: even lines, the last of them bright."""
    full, limit = bright > 0.97, int(FRAME_LIMIT * len(bright))
    even = full | (bright < 0.1)
    reach = min(limit, len(even) if even.all() else int(np.argmin(even)))
    ends = np.flatnonzero(full[:reach]) + 1
    if len(ends) == 0 or (ends[-1] == limit and full[limit]):
        return 0  # no bright line, or a bright band beyond the limit: body cut off by the frame
    return min(len(even), int(ends[-1]) + 1)  # and the blurred line where it ends


def _fill(tissue: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Everything but the dark regions that reach a corner of the frame: air, padding, page.

    Dark regions that touch the frame elsewhere are lungs whose chest wall was cut off.
    """
    regions, count = ndimage.label(~tissue)
    is_filled = np.ones(count + 1, dtype=bool)
    is_filled[regions[[0, 0, -1, -1], [0, -1, 0, -1]]] = False
    is_filled[0] = True
    return is_filled[regions]


def _large_parts(region: Bool[np.ndarray, "h w"], *, radius: int) -> Bool[np.ndarray, "h w"]:
    """The largest part and those of `PART_SHARE` of it, once bridges up to 2 radius wide are cut."""
    solid = _box_mean(region, radius=radius) >= 254  # eroded
    parts, _ = ndimage.label(solid)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    large = (sizes >= max(1.0, PART_SHARE * sizes.max()))[parts]
    return (_box_mean(large, radius=radius) >= 2) & region  # dilated


def _box_mean(region: Bool[np.ndarray, "h w"], *, radius: int) -> UInt8[np.ndarray, "h w"]:
    """255 times the mean over squares of 2 radius + 1 pixels; several times faster than a rank filter."""
    picture = Image.fromarray(region.astype(np.uint8) * np.uint8(255))
    return np.asarray(picture.filter(ImageFilter.BoxBlur(radius)))


def _solidity(region: Bool[np.ndarray, "h w"]) -> float:
    """Area over the area of the convex hull; 0 for an empty or flat region."""
    rows = np.flatnonzero(region.any(axis=1))
    columns = np.flatnonzero(region.any(axis=0))
    if min(len(rows), len(columns)) < 3:
        return 0.0
    first = region[rows].argmax(axis=1)
    last = region.shape[1] - region[rows, ::-1].argmax(axis=1)
    edges = [(rows + edge, side) for edge in (0, 1) for side in (first, last)]
    points = np.concatenate([np.stack(pair, axis=1) for pair in edges])
    return float(region.sum() / spatial.ConvexHull(points).volume)
