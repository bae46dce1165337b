"""From a slice as it was published to the picture that a model sees (Paper Fig. 3b).

Seven archives, seven renderings: padding circles, tables, burnt-in text, white page margins,
per-slice stretched or windowed grey levels. "Background removal, cropping, and normalization on
the foreground segment" is all that the paper says; the readings taken here are:

* foreground: the body with everything inside it (lungs stay), found as the large bright regions
  above Otsu's threshold, without what is connected to a corner of the frame through the dark;
* crop: the foreground's bounding box, in proportion, padded to a square (`aspect="stretch"` fills
  the square instead and distorts the anatomy);
* normalisation: the foreground's grey levels between two percentiles, stretched to 0..255, so that
  bones, metal and burnt-in text do not decide how dark the lungs are.

Everything is deterministic numpy, SciPy and Pillow; the mask follows the picture.
"""

import dataclasses
import io
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageFilter
from scipy import ndimage, spatial

from mgajax.errors import ConfigError, DataError

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

Box = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How slices are prepared; part of the cache's fingerprint.

    Attributes:
      image_size: side of the prepared square in pixels. The paper does not state one; its first
        author's public code uses 224.
      background: "remove" sets everything outside the foreground to 0, "keep" leaves it.
      crop: "foreground" cuts to the foreground's bounding box, "none" keeps the whole frame.
      normalise: "foreground" stretches the foreground's grey levels, "none" leaves them.
      aspect: "keep" pads the shorter side with 0, "stretch" fills the square.
      orientation: "stored", or "upright" to mirror the slices flagged upside down back. The flag
        goes with the source, and so with the class: "upright" takes that shortcut away.
      margin: rim left around the foreground, as a share of the longer side of its box.
      low_percentile: foreground percentile that becomes 0.
      high_percentile: foreground percentile that becomes 255.
      minimum_foreground: a smaller share of the frame counts as a failure; the slice is then kept
        whole and flagged.
      version: of this algorithm; a change makes caches stale.
    """

    image_size: int = 224
    background: str = "remove"
    crop: str = "foreground"
    normalise: str = "foreground"
    aspect: str = "keep"
    orientation: str = "stored"
    margin: float = 0.02
    low_percentile: float = 0.5
    high_percentile: float = 99.5
    minimum_foreground: float = 0.1
    version: int = 2

    def __post_init__(self) -> None:
        choices = {
            "background": ("remove", "keep"),
            "crop": ("foreground", "none"),
            "normalise": ("foreground", "none"),
            "aspect": ("keep", "stretch"),
            "orientation": ("stored", "upright"),
        }
        for name, valid in choices.items():
            if getattr(self, name) not in valid:
                raise ConfigError(
                    f"preparation.{name}={getattr(self, name)!r}: expected {' or '.join(valid)}"
                )
        if self.image_size < 8:
            raise ConfigError(f"preparation.image_size={self.image_size}: expected at least 8")
        if not 0.0 <= self.low_percentile < self.high_percentile <= 100.0:
            raise ConfigError(
                f"preparation.low_percentile={self.low_percentile}, high_percentile="
                f"{self.high_percentile}: expected 0 <= low < high <= 100"
            )
        if not 0.0 <= self.minimum_foreground <= 1.0:
            raise ConfigError(
                f"preparation.minimum_foreground={self.minimum_foreground}: expected 0 to 1"
            )
        if not 0.0 <= self.margin <= 0.5:
            raise ConfigError(f"preparation.margin={self.margin}: expected 0 to 0.5")


@dataclasses.dataclass(frozen=True)
class PreparedSlice:
    """One prepared slice.

    Attributes:
      image: uint8 [s, s].
      mask: uint8 [s, s], share of lesion in each pixel times 255.
      box: top, left, bottom, right (exclusive) of what was cut out, in pixels of the slice.
      flags: what went differently: "blank" (one grey level), "whole" (no believable foreground:
        kept whole), "lesion_outside" (over a tenth of the lesion lies outside the foreground).
    """

    image: UInt8[np.ndarray, "s s"]
    mask: UInt8[np.ndarray, "s s"]
    box: Box
    flags: tuple[str, ...]


def prepare(
    image: UInt8[np.ndarray, "h w"],
    mask: UInt8[np.ndarray, "mask_h mask_w"],
    *,
    settings: Preparation,
) -> PreparedSlice:
    """Remove the background, crop, normalise and resize one slice and its lesion mask.

    Args:
      image: grey levels as published.
      mask: 0 or 255, of the image's size.

    Raises:
      DataError: the two differ in size or have no pixels.
    """
    if image.shape != mask.shape or image.size == 0:
        raise DataError(
            f"image {image.shape} and lesion mask {mask.shape}: expected one size, not empty"
        )
    height, width = image.shape
    box: Box = (0, 0, height, width)
    flags: list[str] = []
    inside = foreground(image, minimum=settings.minimum_foreground)
    if inside is None:
        flags.append("blank" if image.min() == image.max() else "whole")
        inside = np.ones_like(image, dtype=bool)
    elif _lesion_outside(mask, inside):
        flags.append("lesion_outside")
    if settings.crop == "foreground":
        box = _bounding_box(inside, margin=settings.margin)
    cut = np.s_[box[0] : box[2], box[1] : box[3]]
    picture, inside = image[cut], inside[cut]
    if settings.normalise == "foreground":
        picture = _stretch(picture, inside, settings)
    if settings.background == "remove":
        picture = np.where(inside, picture, np.uint8(0))
    return PreparedSlice(
        image=_fit(picture, settings, filter=Image.Resampling.BILINEAR),
        mask=_fit(mask[cut], settings, filter=Image.Resampling.BOX),
        box=box,
        flags=tuple(flags),
    )


def decode(data: bytes, *, flags: str, settings: Preparation) -> UInt8[np.ndarray, "h w"]:
    """The grey levels of a stored picture, turned over where `turned_over` says so.

    The file's checksums are verified, since damaged pixels may decode without a complaint.

    Args:
      data: a picture file, such as a record's PNG.
      flags: the slice's comma-joined notes (`SliceTable.flags`).
      settings: how slices are prepared.

    Raises:
      Exception: of almost any kind that Pillow raises for a damaged picture.
    """
    Image.open(io.BytesIO(data)).verify()
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    return picture[::-1] if turned_over(flags, settings=settings) else picture


def turned_over(flags: str, *, settings: Preparation) -> bool:
    """A slice with these comma-joined notes is mirrored top to bottom before its preparation."""
    return settings.orientation == "upright" and "upside_down" in flags.split(",")


def placement(box: Box, *, settings: Preparation) -> Box:
    """Where the cut-out `box` lies in the prepared square: top, left, bottom, right."""
    side = settings.image_size
    height, width = box[2] - box[0], box[3] - box[1]
    if settings.aspect == "stretch":
        return 0, 0, side, side
    longest = max(height, width)
    rows = max(1, round(side * height / longest))
    columns = max(1, round(side * width / longest))
    top, left = (side - rows) // 2, (side - columns) // 2
    return top, left, top + rows, left + columns


def foreground(
    image: UInt8[np.ndarray, "h w"], *, minimum: float = 0.1
) -> Bool[np.ndarray, "h w"] | None:
    """The body in a CT slice, lungs included; None when less than `minimum` of the frame is found."""
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


def _bounding_box(inside: Bool[np.ndarray, "h w"], *, margin: float) -> Box:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    rim = round(margin * max(bottom - top, right - left))
    height, width = inside.shape
    return (
        max(0, int(top) - rim),
        max(0, int(left) - rim),
        min(height, int(bottom) + rim),
        min(width, int(right) + rim),
    )


def _stretch(
    picture: UInt8[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"], settings: Preparation
) -> UInt8[np.ndarray, "h w"]:
    """Grey levels between the foreground's two percentiles stretched to 0..255 (a lookup table)."""
    source = Image.fromarray(picture)
    within = Image.fromarray(inside.astype(np.uint8))
    counts = np.cumsum(source.histogram(within))
    shares = np.array([settings.low_percentile, settings.high_percentile]) / 100.0
    low, high = np.searchsorted(counts, shares * counts[-1])
    if high <= low:
        return picture
    levels = (np.arange(256, dtype=np.float64) - low) * (255.0 / (high - low))
    return np.asarray(source.point(np.clip(np.rint(levels), 0, 255).astype(int).tolist()))


def _lesion_outside(mask: UInt8[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"]) -> bool:
    lesion = mask > 127
    return int((lesion & ~inside).sum()) > 0.1 * int(lesion.sum())


def _fit(
    picture: UInt8[np.ndarray, "h w"], settings: Preparation, *, filter: Image.Resampling
) -> UInt8[np.ndarray, "s s"]:
    """Resize with an antialiased filter into the square, padded with 0."""
    side = settings.image_size
    top, left, bottom, right = placement((0, 0, *picture.shape), settings=settings)
    canvas = np.zeros((side, side), np.uint8)
    resized = Image.fromarray(picture).resize((right - left, bottom - top), filter)
    canvas[top:bottom, left:right] = np.asarray(resized)
    return canvas
