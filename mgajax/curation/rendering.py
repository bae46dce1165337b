"""Renders and turns slices of the archives, and writes them as PNGs, for the curated set."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mgajax.curation.archives.archive import RawSlice
from mgajax.imaging.pictures import encode_png
from mgajax.imaging.windows import Range, Window, range_of, to_8_bit

StoredOrientation = Literal["published", "upright"]


@dataclass(frozen=True)
class Rendering:
    """A slice as stored.

    Attributes:
      png: the picture file.
      mask_png: its lesion mask, 0 or 255, of the same size; None where there is none.
      height, width: in pixels.
      rendering: "min-max", a window as "-600/1500", or "as published" for a picture of the source.
      low, high: the values that became 0 and 255, in the slice's own unit.
      is_flipped: whether it was turned upright.
    """

    png: bytes
    mask_png: bytes | None
    height: int
    width: int
    rendering: str
    low: float
    high: float
    is_flipped: bool


def render(slice_: RawSlice, *, window: Window | None, orientation: StoredOrientation) -> Rendering:
    """Render and turn one slice.

    A picture that the source itself holds in eight bits is stored unchanged: its Hounsfield units are
    lost, so that no window can be applied. Grey volumes are stretched, for the same reason.
    """
    flip = orientation == "upright" and slice_.upright_turn == "flip_vertical"
    height, width = slice_.values.shape
    if slice_.published is not None and not flip:
        png, limits = slice_.published, Range(0.0, 255.0, "as published")
    else:
        limits = range_of(slice_.values, unit=slice_.unit, window=window)
        pixels = to_8_bit(slice_.values, low=limits.low, high=limits.high)
        png = encode_png(np.flipud(pixels) if flip else pixels, search="runs")
    mask = slice_.mask
    if mask is not None and flip:
        mask = np.flipud(mask)
    return Rendering(
        png=png,
        mask_png=None if mask is None else encode_png(mask, search="runs"),
        height=height,
        width=width,
        rendering=limits.name,
        low=limits.low,
        high=limits.high,
        is_flipped=flip,
    )
