"""Two images side by side, which fill the registers of a TPU.

A TPU computes with, and stores, tiles of 8 × 128 values; the channels of a map lie along the 128. So 64
channels take the memory and the time of 128. Here two images with maps of 33 to 64 channels,
`[b, h, w, c]`, are read as one, `[b / 2, h, w, 2 c]`: *paired*. Kernels that hold each weight twice, and
zeros from one image to the other, compute the same sums. Where one of these functions follows another, the
compiler drops the change of form between them, so that a block of layers stays paired from its first to
its last.

Other platforms use the functions of single images.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import linear_call
from jaxtyping import Array, Float

from mgajax.models import convolution

LANES = 128
"""Values side by side in a register of a TPU."""


def fits(shape: Sequence[Any]) -> bool:
    """Whether maps of this shape `[b, h, w, c]` are paired on a TPU.

    Not if a batch is odd or, in an exported program, unknown. Vectors `[b, 1, 1, c]` are no maps.
    """
    batch, height, width, channels = shape
    is_narrow = LANES // 4 < channels <= LANES // 2
    return is_narrow and isinstance(batch, int) and batch % 2 == 0 and height * width > 1


def pair(x: Float[Array, "b h w c"]) -> Float[Array, "b2 h w c2"]:
    """Two images side by side: `[b / 2, h, w, 2 c]`."""
    b, height, width, channels = x.shape
    images = x.reshape(b // 2, 2, height, width, channels)
    return images.transpose(0, 2, 3, 1, 4).reshape(b // 2, height, width, 2 * channels)


def unpair(x: Float[Array, "b2 h w c2"]) -> Float[Array, "b h w c"]:
    """The inverse of `pair`."""
    half, height, width, channels = x.shape
    images = x.reshape(half, height, width, 2, channels // 2)
    return images.transpose(0, 3, 1, 2, 4).reshape(2 * half, height, width, channels // 2)


def apply(
    function: Callable[..., Any], x: Float[Array, "b h w c"], *others: Array, paired: bool
) -> Any:
    """`function(x, *others)`, which computes each image by itself.

    Args:
      function: of arrays that broadcast with each other, with one or several results `[b, h2, w2, d]`.
      x: a map.
      others: of x's shape, or with 1 in place of its height and width (`[b, 1, 1, c]`), also of its
        batch (`[1, 1, 1, c]`), or of its channels (`[b, h, w, 1]`).
      paired: False: the function alone.
    """
    if not paired or not fits(x.shape):
        return function(x, *others)

    def on_a_tpu(*operands: Array) -> Any:
        return jax.tree.map(unpair, _of_pairs(function, *operands))

    return lax.platform_dependent(x, *others, tpu=on_a_tpu, default=function)


def reduce(
    function: Callable[..., Any], x: Float[Array, "b h w c"], *others: Array, paired: bool
) -> Any:
    """`function(x, *others)` of a function that gives the same for both forms of a map.

    Args:
      function: its results are no maps of x's form, such as sums over pixels.
      x: a map.
      others: see `apply`.
      paired: False: the function alone.
    """
    if not paired or not fits(x.shape):
        return function(x, *others)

    on_a_tpu = functools.partial(_of_pairs, function)
    return lax.platform_dependent(x, *others, tpu=on_a_tpu, default=function)


def fork(x: Float[Array, "b h w c"], *, paired: bool) -> tuple[Array, Array]:
    """A map for two uses, whose gradients are added as pairs of images on a TPU.

    A sum of single images between two changes of form would keep the compiler from dropping them.

    Args:
      x: a map.
      paired: False: x twice.
    """
    if not paired or not fits(x.shape):
        return x, x

    def on_a_tpu(x: Array) -> tuple[Array, Array]:
        return linear_call(lambda _, x: (x, x), lambda _, parts: _paired_sum(*parts), (), x)

    return lax.platform_dependent(x, tpu=on_a_tpu, default=lambda x: (x, x))


def _paired_sum(x: Array, y: Array) -> Array:
    return unpair(pair(x) + pair(y))


def repeat_channels(vector: Float[Array, "*n c"], channels: int) -> Float[Array, "*n c2"]:
    """One value a channel for a map of `channels` channels: repeated for both images of a paired map."""
    times = channels // vector.shape[-1]
    return vector if times == 1 else jnp.concatenate([vector] * times, axis=-1)


def split(values: Float[Array, "*n c2"], channels: int) -> Float[Array, "*n i c"]:
    """The values of each image of a pair, apart: i is 2, or 1 for single images."""
    return values.reshape(*values.shape[:-1], -1, channels)


def images(x: Float[Array, "b2 h w c2"], channels: int, *, others: float) -> list[Array]:
    """Each image of a pair, with `others` in place of the other one; x alone if it has `channels`.

    To cut a register into halves would cost a TPU more than to fill one half.
    """
    if x.shape[-1] == channels:
        return [x]
    first, other = _lanes_of_first(x.shape[-1]), jnp.asarray(others, x.dtype)
    return [jnp.where(first, x, other), jnp.where(first, other, x)]


def _lanes_of_first(channels: int) -> Array:
    """Which of the channels of a paired map are those of its first image."""
    return jnp.arange(channels) < channels // 2


def _of_pairs(function: Callable[..., Any], x: Array, *others: Array) -> Any:
    return function(pair(x), *(_pair_operand(other, x) for other in others))


def _pair_operand(other: Array, x: Array) -> Array:
    """`other` in the form that fits the paired map of `x`."""
    if len(other) == 1:
        return repeat_channels(other, 2 * x.shape[-1])
    paired = pair(other)
    if other.shape[-1] == x.shape[-1]:
        return paired
    return jnp.where(_lanes_of_first(2 * x.shape[-1]), paired[..., :1], paired[..., 1:])


def convolve(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k l c d"],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **settings: Any,
) -> Float[Array, "b h2 w2 d"]:
    """`mgajax.models.convolution.convolve`; on a TPU of pairs of images where x or the result is paired.

    So 64 channels cost half of what they cost with 64 empty lanes.
    """

    def default(x: Array, kernel: Array) -> Array:
        return convolution.convolve(x, kernel, strides, padding, **settings)

    result = (*x.shape[:3], kernel.shape[3])
    if not (fits(x.shape) or fits(result)):
        return default(x, kernel)

    def on_a_tpu(x: Array, kernel: Array) -> Array:
        return unpair(default(pair(x), _of_both_images(kernel)))

    return lax.platform_dependent(x, kernel, tpu=on_a_tpu, default=default)


def _of_both_images(kernel: Float[Array, "k l c d"]) -> Float[Array, "k l c2 d2"]:
    empty = jnp.zeros_like(kernel)
    first, second = (kernel, empty), (empty, kernel)
    return jnp.concatenate([jnp.concatenate(row, axis=3) for row in (first, second)], axis=2)
