"""The 3×3 max pool of a stem, with a form for each platform (docs/explanation/performance.md)."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, UInt8

from mgajax.models import row_pairs
from mgajax.models.convolution import strided_slice


def max_pool_3x3(x: Float[Array, "b h w c"], *, paired: bool = False) -> Float[Array, "b h2 w2 c"]:
    """Maximum over 3×3 windows, stride 2, padding 1 with −∞ (the stem of ResNet and DenseNet).

    Of equal values the first in reading order wins, forward and backward. It is chosen from nine
    slices, and its position stored: on a CPU at a fraction of the cost of `lax.reduce_window`, on a
    GPU with fewer bytes, and without the scatter of its gradient. On a TPU the slices would cost five
    times as much, so it has `lax.reduce_window`.

    Args:
      x: features.
      paired: on a TPU, features come and go in pairs of rows (`row_pairs`).
    """
    on_a_tpu = functools.partial(_largest_on_a_tpu, paired=paired)
    # Without a `jit` around it, in which the compiler could not drop changes of form.
    with jax.named_scope("max_pool_3x3"):
        return lax.platform_dependent(x, tpu=on_a_tpu, default=jax.jit(largest_of_nine))


def rectified_max_pool_3x3(
    x: Float[Array, "b h w c"], *, paired: bool = False
) -> Float[Array, "b h2 w2 c"]:
    """ReLU, then `max_pool_3x3`, on a GPU as one: the same values and gradients for fewer bytes.

    There the largest of nine is found first and rectified then; where it is not positive no pixel gets a
    gradient. So neither the rectified map nor which of its pixels were positive is ever stored. A CPU
    would take two to three times as long for it. For training: explanations of a network want to see both layers.
    """

    def two_layers(x: Array) -> Array:
        rectified = row_pairs.pointwise(jax.nn.relu, x, paired=paired)
        return max_pool_3x3(rectified, paired=paired)

    with jax.named_scope("max_pool_3x3"):
        as_one = jax.jit(largest_positive_of_nine)
        return lax.platform_dependent(x, cuda=as_one, default=two_layers)


@jax.custom_jvp
def largest_of_nine(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """The form of most platforms; `mgajax.explanation` recognises it by its name as a maximum."""
    return _maxima_and_positions(x)[0]


@jax.custom_jvp
def largest_positive_of_nine(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """`largest_of_nine` of the rectified features."""
    return _rectified_maxima_and_positions(x)[0]


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


def _rectified_maxima_and_positions(x: Array) -> tuple[Array, UInt8[Array, "b h2 w2 c"]]:
    """As `_maxima_and_positions` of the rectified features; no position, 9, where none is positive."""
    values, positions = _maxima_and_positions(x)
    return jax.nn.relu(values), jnp.where(values > 0, positions, jnp.uint8(9))


def _differential(
    find: Callable[[Array], tuple[Array, Array]], primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    """The tangent of the chosen pixel; its transpose puts each cotangent at that pixel."""
    values, positions = find(primals[0])
    zero = jnp.zeros((), values.dtype)
    tangents_of_window = (
        jnp.where(positions == jnp.uint8(number), window, zero)
        for number, window in enumerate(_windows(tangents[0], margin=0.0))
    )
    return values, functools.reduce(jnp.add, tangents_of_window)


largest_of_nine.defjvp(functools.partial(_differential, _maxima_and_positions))
largest_positive_of_nine.defjvp(functools.partial(_differential, _rectified_maxima_and_positions))


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


def _largest_on_a_tpu(x: Array, *, paired: bool) -> Array:
    fits = paired and row_pairs.rows_side_by_side(*x.shape[1::2]) == 2 and x.shape[1] % 4 == 0
    return _largest_in_pairs(x) if fits else _largest(x, (1, 3, 3, 1))


def _largest_in_pairs(x: Array) -> Array:
    """The maximum along each row, then over three rows, from pairs of rows to pairs."""
    along = _largest(row_pairs.pair(x), (1, 1, 3, 1))
    rows = (*jnp.split(along[:, 0::2], 2, axis=-1), *jnp.split(along[:, 1::2], 2, axis=-1))
    above = jnp.pad(rows[3][:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)), constant_values=-jnp.inf)
    upper, lower = _first_largest((above, *rows[:2])), _first_largest(rows[1:])
    return row_pairs.unpair(jnp.concatenate([upper, lower], axis=-1))


def _largest(x: Array, window: tuple[int, ...]) -> Array:
    """Over windows of 3 with stride 2, of 1 with stride 1."""
    strides, pads = [(side + 1) // 2 for side in window], [(side // 2,) * 2 for side in window]
    # A Python number: JAX differentiates no other initial value.
    return lax.reduce_window(x, -math.inf, lax.max, window, strides, pads)


def _first_largest(maps: Sequence[Array]) -> Array:
    """By comparison, as in `_maxima_and_positions`."""
    return functools.reduce(lambda largest, x: jnp.where(_exceeds(x, largest), x, largest), maps)


def _exceeds(x: Array, largest: Array) -> Array:
    """Whether x is larger, or the first NaN, which must not be lost: no comparison with one is true.

    Asked of `largest` and not of x, for which an H100's program keeps a map of answers in memory.
    """
    return ~((x <= largest) | jnp.isnan(largest))
