"""From the square that a model sees back to a slice's own pixels: `preparation`, undone.

A model's prediction lies in the prepared square. A mask that is stored beside the slice, or counted
against an annotated one, must lie in the slice's own pixels.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Integer
from PIL import Image

from mgajax.data.preparation import Preparation, placement, turned_over
from mgajax.errors import DataError


def restore(
    values: Float32[np.ndarray, "s s"],
    *,
    box: Sequence[int] | Integer[np.ndarray, "4"],
    height: int,
    width: int,
    settings: Preparation,
    flags: str = "",
) -> Float32[np.ndarray, "height width"]:
    """Bring values of the prepared square back to the slice's own pixels.

    The padding is cut off, the rest resized to the box with Pillow's bilinear filter (antialiased
    where the box is smaller, a plain copy where it has the same size), set into a frame of 0, and
    turned over again where the preparation had turned the slice.

    Args:
      values: one number a pixel of the square, such as the probability of lesion.
      box: top, left, bottom, right (exclusive) of what was cut out: `PreparedSlice.box` or a row of
        `PreparedSet.boxes`.
      height: rows of the slice as stored.
      width: columns of the slice as stored.
      settings: how the slice was prepared.
      flags: the slice's comma-joined notes (`SliceTable.flags`).

    Returns:
      The values at the slice's pixels, in the range of `values` and 0; exactly 0 outside the box.

    Raises:
      DataError: the square has another side than `settings.image_size`, or the box is empty (as a
        damaged slice's is) or reaches beyond the slice.
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
    held = np.ascontiguousarray(values[inner[0] : inner[2], inner[1] : inner[3]])
    resized = Image.fromarray(held).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    whole = np.zeros((height, width), np.float32)
    whole[top:bottom, left:right] = np.asarray(resized)
    return whole[::-1].copy() if turned_over(flags, settings=settings) else whole
