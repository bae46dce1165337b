"""From a published slice to the picture that a model sees (Paper Fig. 3b), and back by `restore`.

The seven archives render slices differently: padding circles, tables, burnt-in text, white page
margins, grey levels that are stretched for each slice or windowed. The paper only says "background
removal, cropping, and normalization on the foreground segment"; the readings taken here are:

* foreground: the body with everything inside it (the lungs, too), found as the large bright regions
  above Otsu's threshold, without dark regions that reach a corner of the frame;
* crop: the foreground's bounding box, in proportion, padded to a square (`aspect="stretch"` fills
  the square instead and distorts the anatomy);
* normalisation: the foreground's grey levels between two percentiles, stretched to 0..255, so that
  bones, metal and burnt-in text do not change how dark the lungs are.

Everything is deterministic numpy, SciPy and Pillow; the mask follows the picture.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Integer, UInt8
from PIL import Image

from mgajax.config.schema import PreparationSettings
from mgajax.errors import ConfigError, DataError
from mgajax.imaging.body import foreground
from mgajax.imaging.pictures import decode_picture

Box = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Preparation(PreparationSettings):
    """How slices are prepared; part of the cache's fingerprint.

    The keys of `config.preparation`, and settings that no configuration changes. ("upright" mirrors the
    slices that are flagged as upside down. The flag follows from the source, and so hints at the class:
    without it, this shortcut is gone.)

    Attributes:
      margin: rim left around the foreground, as a share of the longer side of its box.
      low_percentile: foreground percentile that becomes 0.
      high_percentile: foreground percentile that becomes 255.
      minimum_foreground: a foreground of a smaller share of the frame is not believed; the slice is
        then kept whole and flagged.
      version: of this algorithm; a change makes caches stale.
    """

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
      flags: what is unusual: "blank" (one grey level), "whole" (no plausible foreground:
        kept whole), "lesion_outside" (more than a tenth of the lesion lies outside the foreground).
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
    """Find the body of one slice, and prepare slice and lesion mask; see `prepare_within`."""
    body = foreground(image, minimum=settings.minimum_foreground)
    return prepare_within(body, image, mask, settings=settings)


def prepare_within(
    body: Bool[np.ndarray, "h w"] | None,
    image: UInt8[np.ndarray, "h w"],
    mask: UInt8[np.ndarray, "mask_h mask_w"],
    *,
    settings: Preparation,
) -> PreparedSlice:
    """Remove the background, crop, normalise and resize one slice and its lesion mask.

    Args:
      body: as `imaging.body.foreground` finds it with `settings.minimum_foreground`.
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
    inside = np.ones_like(image, dtype=bool) if body is None else body
    if body is None:
        flags.append("blank" if image.min() == image.max() else "whole")
    elif _is_lesion_outside(mask, body):
        flags.append("lesion_outside")
    if settings.crop == "foreground":
        box = _bounding_box(inside, margin=settings.margin)
    in_box = np.s_[box[0] : box[2], box[1] : box[3]]
    picture, inside = image[in_box], inside[in_box]
    if settings.normalise == "foreground":
        picture = _stretch(picture, inside, settings)
    if settings.background == "remove":
        picture = np.where(inside, picture, np.uint8(0))
    return PreparedSlice(
        image=_fit(picture, settings, filter=Image.Resampling.BILINEAR),
        mask=_fit(mask[in_box], settings, filter=Image.Resampling.BOX),
        box=box,
        flags=tuple(flags),
    )


def decode(data: bytes, *, flags: str, settings: Preparation) -> UInt8[np.ndarray, "h w"]:
    """The grey levels of a stored picture, mirrored top to bottom where `is_turned_over`.

    Args:
      data: a picture file, such as a record's PNG.
      flags: the slice's comma-joined notes (`SliceTable.flags`).
      settings: how slices are prepared.

    Raises:
      DataError: the picture is damaged, also if only its checksums show it.
    """
    picture = decode_picture(data, name="stored picture", fix="build the data set again").pixels
    return picture[::-1] if is_turned_over(flags, settings=settings) else picture


def is_turned_over(flags: str, *, settings: Preparation) -> bool:
    """Whether a slice with these comma-joined notes is mirrored top to bottom before its preparation."""
    return settings.orientation == "upright" and "upside_down" in flags.split(",")


def placement(box: Box, *, settings: Preparation) -> Box:
    """Position of `box` in the prepared square: top, left, bottom, right."""
    side = settings.image_size
    height, width = box[2] - box[0], box[3] - box[1]
    if settings.aspect == "stretch":
        return 0, 0, side, side
    longest = max(height, width)
    rows = max(1, round(side * height / longest))
    columns = max(1, round(side * width / longest))
    top, left = (side - rows) // 2, (side - columns) // 2
    return top, left, top + rows, left + columns


def restore(
    values: Float32[np.ndarray, "s s"],
    *,
    box: Sequence[int] | Integer[np.ndarray, "4"],
    height: int,
    width: int,
    settings: Preparation,
    flags: str = "",
) -> Float32[np.ndarray, "height width"]:
    """Values of the prepared square at the slice's own pixels: `prepare` undone.

    The padding is cut off and the rest resized to the box with Pillow's bilinear filter (antialiased
    where the box is smaller, a copy where it has the same size). Outside the box all is 0. What the
    preparation mirrored is mirrored back.

    Args:
      values: one number a pixel, such as the probability of lesion.
      box: top, left, bottom, right (exclusive) of what was cut out: `PreparedSlice.box` or a row of
        `PreparedSet.boxes`.
      height: rows of the slice as stored.
      width: columns of the slice as stored.
      settings: how the slice was prepared.
      flags: the slice's comma-joined notes (`SliceTable.flags`).

    Returns:
      The values at the slice's pixels, in the range of `values` and 0; exactly 0 outside the box.

    Raises:
      DataError: the square has another side than `settings.image_size`, or the box is empty (as that
        of a damaged slice is) or reaches beyond the slice.
    """
    side = settings.image_size
    if values.shape != (side, side):
        raise DataError(f"values {values.shape}: expected the prepared square ({side}, {side})")
    top, left, bottom, right = (int(edge) for edge in box)
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise DataError(
            f"box {(top, left, bottom, right)}: expected top < bottom and left < right within the "
            f"slice's {height}×{width} pixels"
        )
    inner = placement((top, left, bottom, right), settings=settings)
    content = np.ascontiguousarray(values[inner[0] : inner[2], inner[1] : inner[3]])
    resized = Image.fromarray(content).resize(
        (right - left, bottom - top), Image.Resampling.BILINEAR
    )
    restored = np.zeros((height, width), np.float32)
    restored[top:bottom, left:right] = np.asarray(resized)
    return restored[::-1].copy() if is_turned_over(flags, settings=settings) else restored


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


def _is_lesion_outside(mask: UInt8[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"]) -> bool:
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
