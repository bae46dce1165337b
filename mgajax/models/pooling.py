"""The 3×3 max pool of a stem, with a form for each platform (docs/explanation/performance.md)."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, UInt8

from mgajax.models import image_pairs
from mgajax.models.convolution import strided_slice


def max_pool_3x3(x: Float[Array, "b h w c"], *, paired: bool = False) -> Float[Array, "b h2 w2 c"]:
    """Maximum over 3×3 windows, stride 2, padding 1 with −∞ (the stem of ResNet and DenseNet).

    Of equal values the first in reading order wins, forward and backward. It is chosen from nine
    slices, and its position stored: on a CPU at a fraction of the cost of `lax.reduce_window`, on a
    GPU with fewer bytes, and without the scatter of its gradient. On a TPU the slices would cost five
    times as much, so it has `lax.reduce_window`.

    Args:
      x: features.
      paired: on a TPU, features come and go in pairs of images (`image_pairs`).
    """
    on_a_tpu = functools.partial(image_pairs.apply, _largest_of_windows, paired=paired)
    # Without a `jit` around it, in which the compiler could not drop changes of form.
    with jax.named_scope("max_pool_3x3"):
        return lax.platform_dependent(x, tpu=on_a_tpu, default=jax.jit(largest_of_nine))


@jax.custom_jvp
def largest_of_nine(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """The form of most platforms; `mgajax.explanation` recognises it by its name as a maximum."""
    return _maxima_and_positions(x)[0]


def _maxima_and_positions(x: Array) -> tuple[Array, UInt8[Array, "b h2 w2 c"]]:
    """The maxima, and the index, in reading order, of the pixel that each window has it from.

    By comparison, not `jnp.maximum`, which costs three times as much and has the fault described in
    `mgajax.models.blocks.peak`.
    """
    first, *others = _windows(x, margin=-jnp.inf)
    values, positions = first, jnp.zeros(first.shape, jnp.uint8)
    for number, window in enumerate(others, start=1):
        larger = _exceeds(window, values)
        values = jnp.where(larger, window, values)
        positions = jnp.where(larger, jnp.uint8(number), positions)
    return values, positions


@largest_of_nine.defjvp
def _differential(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """The tangent of the chosen pixel; its transpose puts each cotangent at that pixel."""
    values, positions = _maxima_and_positions(primals[0])
    zero = jnp.zeros((), values.dtype)
    tangents_of_window = (
        jnp.where(positions == jnp.uint8(number), window, zero)
        for number, window in enumerate(_windows(tangents[0], margin=0.0))
    )
    return values, functools.reduce(jnp.add, tangents_of_window)


def _windows(x: Array, *, margin: float) -> list[Array]:
    """The nine pixels of all windows, in reading order, each a strided slice of the padded map."""
    rows, columns = (x.shape[1] + 1) // 2, (x.shape[2] + 1) // 2
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=margin)
    return [
        strided_slice(
            x,
            rows=slice(top, top + 2 * rows - 1, 2),
            columns=slice(left, left + 2 * columns - 1, 2),
        )
        for top, left in itertools.product(range(3), repeat=2)
    ]


def _largest_of_windows(x: Array) -> Array:
    # A Python number: JAX differentiates no other initial value.
    window, strides, padding = (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
    return lax.reduce_window(x, -math.inf, lax.max, window, strides, padding)


def _exceeds(x: Array, largest: Array) -> Array:
    """Whether x is larger, or the first NaN, which must not be lost: no comparison with one is true.

    Asked of `largest` and not of x, for which an H100's program keeps a map of answers in memory.
    """
    return ~((x <= largest) | jnp.isnan(largest))
