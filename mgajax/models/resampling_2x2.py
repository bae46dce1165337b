"""Halving and doubling by 2×2 windows: max pooling with positions, unpooling, transposed convolution.

All are strided slices, selections and reshapes, without scatter, `lax.reduce_window` or XLA's
transposed convolution, whose backward passes are slow on a CPU.
"""

import itertools

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from mgajax.models.blocks import Layers
from mgajax.models.convolution import strided_slice


@flax.struct.dataclass
class PoolingResult:
    """The maximum of each window, and the index of its pixel (of four, in reading order)."""

    values: Float[Array, "b h w c"]
    positions: UInt8[Array, "b h w c"]


def max_pool_2x2(x: Float[Array, "b H W c"], *, rounding: float = 0.0) -> PoolingResult:
    """Maximum over 2×2 windows, stride 2; an odd last row or column is left out.

    Of equal values the first wins and gets the gradient. By comparison, as in
    `mgajax.models.blocks.peak`.

    Args:
      x: features.
      rounding: values above zero count as equal within this multiple of the type's precision.
    """
    factor = 1.0 + rounding * float(jnp.finfo(x.dtype).eps)
    rows, columns = 2 * (x.shape[1] // 2), 2 * (x.shape[2] // 2)
    first, *others = (
        strided_slice(x, rows=slice(top, rows, 2), columns=slice(left, columns, 2))
        for top, left in itertools.product(range(2), repeat=2)
    )
    values, positions = first, jnp.zeros(first.shape, jnp.uint8)
    for number, window in enumerate(others, start=1):
        bound = jnp.where(values > 0, values * factor, values) if rounding else values
        larger = window > bound
        values = jnp.where(larger, window, values)
        positions = jnp.where(larger, jnp.uint8(number), positions)
    return PoolingResult(values=values, positions=positions)


def unpool_2x2(
    values: Float[Array, "b h w c"], positions: UInt8[Array, "b h w c"], *, size: tuple[int, int]
) -> Float[Array, "b H W c"]:
    """Put each value where its window had the maximum; zero elsewhere.

    Args:
      values: one a window.
      positions: from `max_pool_2x2`.
      size: height and width before that pooling; an odd last row or column becomes zero.
    """
    zero = jnp.zeros_like(values)
    windows = [jnp.where(positions == jnp.uint8(n), values, zero) for n in range(4)]
    unpooled = _interleave(jnp.stack(windows, axis=3))
    return pad_to(unpooled, size=size, centred=False)


def pad_to(
    x: Float[Array, "b h w c"], *, size: tuple[int, int], centred: bool
) -> Float[Array, "b H W c"]:
    """Pad with zeros to `size`: the smaller half before and the rest after if centred, else all after."""
    missing = (size[0] - x.shape[1], size[1] - x.shape[2])
    before = [side // 2 if centred else 0 for side in missing]
    pads = [(first, side - first) for first, side in zip(before, missing, strict=True)]
    return jnp.pad(x, ((0, 0), *pads, (0, 0)))


class TransposedConv2x2(nn.Module):
    """Transposed convolution with 2×2 windows and stride 2: one matrix product makes four pixels of each.

    The kernel is `[2, 2, in, out]`, y[2i + p, 2j + q] = x[i, j] · kernel[p, q]: not flipped, unlike
    that of `flax.linen.ConvTranspose`.
    """

    features: int
    layers: Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
        """Map `[b, h, w, c]` to `[b, 2 h, 2 w, features]`."""
        shape = (2, 2, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        dtype = jnp.dtype(self.layers.dtype)
        matrix = jnp.asarray(kernel).astype(dtype).transpose(2, 0, 1, 3)
        pixels = jnp.matmul(x.astype(dtype), matrix.reshape(x.shape[-1], -1))
        pixels = pixels.reshape(*x.shape[:3], 4, self.features)
        return _interleave(pixels) + jnp.asarray(bias).astype(dtype)[None, None, None, :]


def _interleave(windows: Float[Array, "b h w 4 c"]) -> Float[Array, "b H W c"]:
    """Lay out four pixels a window: `[b, h, w, 4, c]` to `[b, 2 h, 2 w, c]`."""
    b, h, w, _, c = windows.shape
    grid = windows.reshape(b, h, w, 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return grid.reshape(b, 2 * h, 2 * w, c)
