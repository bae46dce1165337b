"""Bilinear resizes of feature maps as two small matrix products.

The matrices are made by numpy from the sizes alone. Results are those of PyTorch's `interpolate`
without antialiasing, up, down and at odd sizes; on a CPU this costs a fraction of a gather, it
exports as plain products, and its gradient is the transposed product.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from mgajax.errors import ConfigError, nearest

GRIDS = ("half_pixel", "corners")


def resize(
    x: Float[Array, "b h w c"], *, size: tuple[int, int], grid: str = "half_pixel"
) -> Float[Array, "b h2 w2 c"]:
    """Resize maps bilinearly to `size` (height, width), in the type of `x`.

    Args:
      x: maps of any floating type. Powers of two as ratios are exact in bfloat16, too.
      size: new height and width, at least 1 each.
      grid: "half_pixel" aligns the outer edges of the images (PyTorch's `align_corners=False`),
        "corners" the centres of the corner pixels (`align_corners=True`).

    Raises:
      ConfigError: unknown grid.
    """
    height, width = x.shape[1:3]
    # Full precision: accelerators would otherwise round the weights to 8 or 10 bits.
    exact = lax.Precision.HIGHEST
    if size[0] != height:
        rows = jnp.asarray(interpolation_matrix(height, size[0], grid=grid), x.dtype)
        x = jnp.einsum("bhwc,Hh->bHwc", x, rows, precision=exact)
    if size[1] != width:
        columns = jnp.asarray(interpolation_matrix(width, size[1], grid=grid), x.dtype)
        x = jnp.einsum("bhwc,Ww->bhWc", x, columns, precision=exact)
    return x


@functools.cache
def interpolation_matrix(
    old: int, new: int, *, grid: str = "half_pixel"
) -> Float[np.ndarray, "new old"]:
    """The float64 matrix that maps `old` samples to `new` ones; each row sums to one.

    Raises:
      ConfigError: unknown grid.
    """
    places = np.clip(_places(old, new, grid=grid), 0.0, old - 1.0)
    left = np.minimum(places.astype(np.int64), old - 1)
    right = np.minimum(left + 1, old - 1)
    share = places - left
    matrix, rows = np.zeros((new, old)), np.arange(new)
    np.add.at(matrix, (rows, left), 1.0 - share)
    np.add.at(matrix, (rows, right), share)
    return matrix


def _places(old: int, new: int, *, grid: str) -> np.ndarray:
    """Where the new samples lie, in units of the old ones."""
    index = np.arange(new, dtype=np.float64)
    if grid == "half_pixel":
        return (index + 0.5) * old / new - 0.5
    if grid == "corners":
        return index * (old - 1) / max(new - 1, 1)
    raise ConfigError(f"grid={grid!r}: {nearest(str(grid), GRIDS)}")
