"""Two rows of a map side by side, which fill the registers of a TPU.

A TPU computes with, and stores, tiles of 8 × 128 values; the channels of a map lie along the 128. So 64
channels take the memory and the time of 128. Here each map of 33 to 64 channels, `[b, h, w, c]`, is read
as `[b, h / 2, w, 2 c]`: *paired*. Kernels that hold each tap twice compute the same sums. Where one of
these functions follows another, the compiler drops the change of form between them, so that a block of
layers stays paired from its first to its last.

Other platforms use the functions of single rows.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import linear_call
from jaxtyping import Array, Float

from mgajax.models import convolution

LANES = 128
"""Values side by side in a register of a TPU."""


def rows_side_by_side(height: int, channels: int) -> int:
    """How many rows of a map of this height and number of channels lie side by side on a TPU: 2 or 1."""
    return 2 if LANES // 4 < channels <= LANES // 2 and height % 2 == 0 else 1


def pair(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w c2"]:
    """Two rows side by side: `[b, h / 2, w, 2 c]`."""
    b, height, width, channels = x.shape
    rows = x.reshape(b, height // 2, 2, width, channels)
    return rows.transpose(0, 1, 3, 2, 4).reshape(b, height // 2, width, 2 * channels)


def unpair(x: Float[Array, "b h2 w c2"]) -> Float[Array, "b h w c"]:
    """The inverse of `pair`."""
    b, half, width, channels = x.shape
    rows = x.reshape(b, half, width, 2, channels // 2)
    return rows.transpose(0, 1, 3, 2, 4).reshape(b, 2 * half, width, channels // 2)


def pointwise(
    function: Callable[..., Array], x: Float[Array, "b h w c"], *others: Array, paired: bool
) -> Float[Array, "b h w c"]:
    """`function(x, *others)`, pixel by pixel and channel by channel.

    Args:
      function: of arrays that broadcast with each other.
      x: a map.
      others: of x's shape, or with 1 in place of its height and width (`[..., 1, 1, c]`), or of its
        channels (`[b, h, w, 1]`).
      paired: False: the function alone.
    """
    if not paired or rows_side_by_side(x.shape[1], x.shape[3]) == 1:
        return function(x, *others)

    def on_a_tpu(x: Array, *others: Array) -> Array:
        return unpair(function(pair(x), *(_pair_operand(other, x) for other in others)))

    return lax.platform_dependent(x, *others, tpu=on_a_tpu, default=function)


def reduce(
    function: Callable[..., Any], x: Float[Array, "b h w c"], *others: Array, paired: bool
) -> Any:
    """`function(x, *others)` of a function that gives the same for both forms of a map.

    Args:
      function: its results are no maps of x's form, such as sums over pixels.
      x: a map.
      others: see `pointwise`.
      paired: False: the function alone.
    """
    if not paired or rows_side_by_side(x.shape[1], x.shape[3]) == 1:
        return function(x, *others)

    def on_a_tpu(x: Array, *others: Array) -> Any:
        return function(pair(x), *(_pair_operand(other, x) for other in others))

    return lax.platform_dependent(x, *others, tpu=on_a_tpu, default=function)


def fork(x: Float[Array, "b h w c"], *, paired: bool) -> tuple[Array, Array]:
    """A map for two uses, whose gradients are added as pairs of rows on a TPU.

    A sum of single rows between two changes of form would keep the compiler from dropping them.

    Args:
      x: a map.
      paired: False: x twice.
    """
    if not paired or rows_side_by_side(x.shape[1], x.shape[3]) == 1:
        return x, x

    def on_a_tpu(x: Array) -> tuple[Array, Array]:
        return linear_call(lambda _, x: (x, x), lambda _, parts: _paired_sum(*parts), (), x)

    return lax.platform_dependent(x, tpu=on_a_tpu, default=lambda x: (x, x))


def _paired_sum(x: Array, y: Array) -> Array:
    return unpair(pair(x) + pair(y))


def repeat_channels(vector: Float[Array, "*n c"], channels: int) -> Float[Array, "*n c2"]:
    """One value a channel for a map of `channels` channels: repeated for both rows of a paired map."""
    times = channels // vector.shape[-1]
    return vector if times == 1 else jnp.concatenate([vector] * times, axis=-1)


def split_rows(values: Float[Array, "*n c2"], channels: int) -> Float[Array, "*n r c"]:
    """The values of each row of a pair, apart: r is 2, or 1 for single rows."""
    return values.reshape(*values.shape[:-1], -1, channels)


def _pair_operand(other: Array, x: Array) -> Array:
    """`other` in the form that fits the paired map of `x`."""
    if other.shape[-3:-1] == (1, 1):
        return repeat_channels(other, 2 * x.shape[-1])
    paired = pair(other)
    if other.shape[-1] == x.shape[-1]:
        return paired
    first = jnp.arange(2 * x.shape[-1]) < x.shape[-1]
    return jnp.where(first, paired[..., :1], paired[..., 1:])


def convolve(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k l c d"],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **settings: Any,
) -> Float[Array, "b h2 w2 d"]:
    """`mgajax.models.convolution.convolve`; on a TPU from and to pairs of rows.

    A kernel for pairs holds each tap where it connects a row of the input's pair with one of the
    output's, and zeros elsewhere. So 64 channels cost half of what they cost with 64 empty lanes.
    From paired to single rows needs a stride of 2.
    """

    def default(x: Array, kernel: Array) -> Array:
        return convolution.convolve(x, kernel, strides, padding, **settings)

    height = (x.shape[1] + sum(padding[0]) - kernel.shape[0]) // strides[0] + 1
    before, after = (
        rows_side_by_side(x.shape[1], x.shape[3]),
        rows_side_by_side(height, kernel.shape[3]),
    )
    is_dilated = (settings.get("rhs_dilation") or (1, 1))[0] > 1
    if before == after == 1 or is_dilated or strides[0] * after % before:
        return default(x, kernel)

    def on_a_tpu(x: Array, kernel: Array) -> Array:
        x = pair(x) if before == 2 else x
        blocks, first = _blocks(
            kernel, stride=strides[0], above=padding[0][0], before=before, after=after
        )
        step = strides[0] * after // before
        below = (height // after - 1) * step + len(blocks) + first - x.shape[1]
        y = lax.conv_general_dilated(
            x, blocks, (step, strides[1]), ((-first, below), padding[1]), **settings
        )
        return unpair(y) if after == 2 else y

    return lax.platform_dependent(x, kernel, tpu=on_a_tpu, default=default)


def _blocks(
    kernel: Float[Array, "k l c d"], *, stride: int, above: int, before: int, after: int
) -> tuple[Float[Array, "k2 l c2 d2"], int]:
    """The kernel from `before` to `after` rows side by side, and the row of its first tap.

    Output row `after` J + e reads the input's rows `stride` (`after` J + e) + t − `above`.
    """
    taps = len(kernel)
    reads = [stride * e + t - above for e in range(after) for t in range(taps)]
    first, last = min(reads) // before, max(reads) // before
    empty = jnp.zeros_like(kernel[0])

    def tap(row: int, e: int) -> Array:
        index = row - stride * e + above
        return kernel[index] if 0 <= index < taps else empty

    blocks = [
        jnp.block([[tap(before * u + f, e) for e in range(after)] for f in range(before)])
        for u in range(first, last + 1)
    ]
    return jnp.stack(blocks), first
