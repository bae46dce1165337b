"""The body in a CT slice of grey levels, in whatever rendering it comes.

Slices come with padding circles, tables, burnt-in text, and the white margins of a page. The body is
found with everything inside it (lungs stay), as the large bright regions above Otsu's threshold,
without what is connected to a corner of the frame through the dark.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageFilter
from scipy import ndimage, spatial

WORKING_SIDE: int = 256
"""The foreground is found on a box-reduced copy of about this many pixels a side."""

FRAME_LIMIT: float = 0.15
"""At most this share of a side is taken for a page margin and peeled off."""

PAGE_WHITE: int = 240
"""From this grey level on a margin is paper; it must not take part in Otsu's threshold."""

SOLIDITY: float = 0.88
"""A body fills at least this share of its convex hull; one that has lost a lung does not."""

SIDE_LOST: float = 0.4
"""Losing contact with this share of a side of the frame is losing a lung; a table's is shorter."""


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
        between = np.nan_to_num(below * above * gap**2)
    return int(np.argmax(between))


def _body(tissue: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The large bright regions with all that they enclose.

    Thin lines are left out, so that a table that hems in air below the back does not count as a
    wall; unless that opens a thin chest wall and loses a lung.
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
    """A bay in the outline, or a side of the frame that the body no longer reaches."""
    lost = whole & ~body
    return bool(_solidity(body) < SOLIDITY or lost[:, [0, -1]].mean(axis=0).max() > SIDE_LOST)


def _without_margins(tissue: Bool[np.ndarray, "h w"]) -> tuple[slice, slice]:
    """What is left without page margins and drawn frames, which hide the corners' air."""
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
    kept = np.ones(count + 1, dtype=bool)
    kept[regions[[0, 0, -1, -1], [0, -1, 0, -1]]] = False
    kept[0] = True
    return kept[regions]


def _large_parts(
    region: Bool[np.ndarray, "h w"], *, radius: int, share: float = 0.15
) -> Bool[np.ndarray, "h w"]:
    """The largest part and those of at least `share` of it, once bridges up to 2 radius are cut."""
    solid = _box_mean(region, radius=radius) >= 254  # eroded
    parts, _ = ndimage.label(solid)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    kept = (sizes >= max(1.0, share * sizes.max()))[parts]
    return (_box_mean(kept, radius=radius) >= 2) & region  # dilated


def _box_mean(region: Bool[np.ndarray, "h w"], *, radius: int) -> UInt8[np.ndarray, "h w"]:
    """255 times the mean over squares of 2 radius + 1 pixels; several times a rank filter's speed."""
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
