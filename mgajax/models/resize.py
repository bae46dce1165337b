"""Resizing as two small matrix products; the matrices are made by numpy from the sizes.

On a CPU this is far cheaper than `jax.image.resize`, its gradient is the transposed product, and
every export format knows a matrix product.
"""

import functools
import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from mgajax.errors import ConfigError, nearest

RESIZE_METHODS = ("area", "bilinear", "bilinear_antialias", "nearest", "nearest_exact")
"""Ways to resize a mask."""


def resize_masks(
    masks: Float[Array, "b H W c"], *, size: tuple[int, int], method: str
) -> Float[Array, "b h w c"]:
    """Resize masks to `size` (height, width).

    Args:
      masks: float32 values (any images will do).
      size: new height and width.
      method: "area": the mean of the covered pixels, exactly the block mean where the ratio is a
        whole number. "bilinear": two neighbours a side, pixel centres aligned, no antialiasing.
        "bilinear_antialias": the triangle widened by the ratio. "nearest": pixel
        ⌊i · ratio⌋. "nearest_exact": pixel ⌊(i + ½) · ratio⌋. All as PyTorch's `interpolate`.

    Raises:
      ConfigError: unknown method.
    """
    height, width = masks.shape[1], masks.shape[2]
    if method == "area" and height % size[0] == 0 and width % size[1] == 0:
        # A TPU, whose registers hold lines, is slower with blocks than with products.
        products = functools.partial(resize_features, size=size, method=method)
        blocks = functools.partial(_block_means, size=size)
        return lax.platform_dependent(masks, tpu=products, default=blocks)
    return resize_features(masks, size=size, method=method)


def _block_means(masks: Array, *, size: tuple[int, int]) -> Array:
    b, height, width, channels = masks.shape
    blocks = masks.reshape(b, size[0], height // size[0], size[1], width // size[1], channels)
    return jnp.mean(blocks, axis=(2, 4))


def resize_features(
    x: Float[Array, "b H W c"], *, size: tuple[int, int], method: str = "bilinear"
) -> Float[Array, "b h w c"]:
    """Resize feature maps or logits to `size` (height, width), in their own type.

    Args:
      x: any floating type. Bilinear factors are exact in bfloat16 where the ratio is a power of two.
      size: new height and width, at least 1 each.
      method: one of `RESIZE_METHODS`, or "bilinear_corners": bilinear with the centres of the corner
        pixels aligned (PyTorch's `align_corners=True`), which shifts everything else a little.

    Raises:
      ConfigError: unknown method.
    """
    _check_method(method)
    if x.shape[1:3] == size:
        return x
    rows = jnp.asarray(resize_matrix(x.shape[1], size[0], method=method), x.dtype)
    columns = jnp.asarray(resize_matrix(x.shape[2], size[1], method=method), x.dtype)
    # One einsum, which takes the cheaper side first. Accelerators would round factors to 8 or 10
    # bits without full precision.
    return jnp.einsum("bHWc,hH,wW->bhwc", x, rows, columns, precision=lax.Precision.HIGHEST)


@functools.cache
def resize_matrix(old: int, new: int, *, method: str) -> Float[np.ndarray, "new old"]:
    """The float64 matrix that maps `old` samples to `new` ones; each row sums to one.

    Raises:
      ConfigError: unknown method.
    """
    _check_method(method)
    rows = [_WEIGHTS[method](index, old, new) for index in range(new)]
    return np.stack(rows)


def _check_method(method: str) -> None:
    if method not in _WEIGHTS:
        raise ConfigError(f"resize {method!r}: {nearest(method, tuple(_WEIGHTS))}")


def _area(index: int, old: int, new: int) -> np.ndarray:
    start, stop = index * old // new, -(-(index + 1) * old // new)
    return _row(old, range(start, stop), [1.0] * (stop - start))


def _bilinear(index: int, old: int, new: int) -> np.ndarray:
    position = max((index + 0.5) * old / new - 0.5, 0.0)
    left = min(int(position), old - 1)
    share = position - left
    return _row(old, (left, min(left + 1, old - 1)), (1.0 - share, share))


def _bilinear_corners(index: int, old: int, new: int) -> np.ndarray:
    position = index * (old - 1) / max(new - 1, 1)
    left = min(int(position), old - 1)
    return _row(old, (left, min(left + 1, old - 1)), (1.0 - (position - left), position - left))


def _bilinear_antialias(index: int, old: int, new: int) -> np.ndarray:
    reach = max(old / new, 1.0)
    centre = (index + 0.5) * old / new
    start, stop = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), old)
    taps = range(start, stop)
    return _row(old, taps, [max(1.0 - abs(tap + 0.5 - centre) / reach, 0.0) for tap in taps])


def _nearest(index: int, old: int, new: int) -> np.ndarray:
    return _row(old, (index * old // new,), (1.0,))


def _nearest_exact(index: int, old: int, new: int) -> np.ndarray:
    return _row(old, (min(math.floor((index + 0.5) * old / new), old - 1),), (1.0,))


def _row(old: int, taps: Sequence[int], weights: Sequence[float]) -> np.ndarray:
    row = np.zeros(old)
    np.add.at(row, list(taps), weights)
    return row / row.sum()


_WEIGHTS = {
    "area": _area,
    "bilinear": _bilinear,
    "bilinear_corners": _bilinear_corners,
    "bilinear_antialias": _bilinear_antialias,
    "nearest": _nearest,
    "nearest_exact": _nearest_exact,
}
