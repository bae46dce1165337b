"""Normalisation by the moments of the global batch, with backward passes of its own."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mgajax.models import image_pairs
from mgajax.models.precision import wide_type

Moments: TypeAlias = tuple[Array, Array]
"""Mean and biased variance, each [c]."""
Pool: TypeAlias = Callable[[Array], Array]
"""Maxima over windows of a map, each channel by itself."""


@dataclasses.dataclass(frozen=True)
class NormSettings:
    """Of a normalisation; see `BatchNorm`."""

    epsilon: float = 1e-5
    dtype: str = "float32"
    axis_name: str | None = None
    paired: bool = False

    @property
    def wide(self) -> str:
        """The type of its arithmetic."""
        return wide_type(self.dtype)


def normalise(
    x: Float[Array, "*n c"],
    scale: Float[Array, "c"],
    bias: Float[Array, "c"],
    expected: Float[Array, "c"],
    settings: NormSettings,
) -> tuple[Float[Array, "*n c"], Moments]:
    """`x` normalised by mean and variance of the global batch, times `scale`, plus `bias`; and the moments.

    The moments are for the running statistics; no gradient passes through them. The backward pass is
    written out (Ioffe and Szegedy 2015, §3): one pass over memory for two sums and one that uses
    them, where the derivative of the formula would need a third. It stores x in its own type and no
    other array of that size.

    Args:
      x: features.
      scale: factor of each channel.
      bias: added to each channel.
      expected: about the mean of each channel (`_moments`); no result depends on it but by rounding.
      settings: of the normalisation.
    """
    return _normalise(x, None, scale, bias, expected, settings)


def normalise_and_pool(
    x: Float[Array, "b h w c"],
    pool: Pool,
    scale: Float[Array, "c"],
    bias: Float[Array, "c"],
    expected: Float[Array, "c"],
    settings: NormSettings,
) -> tuple[Float[Array, "b h2 w2 c"], Moments]:
    """`pool(relu(y))` for the `y` of `normalise`, and the moments; on accelerators without storing `y`.

    Normalising keeps the order of a channel's values, or reverses it where its scale is negative, rounding
    included. So there the largest are found first, where the scale is negative of the negative features,
    and they alone are normalised and rectified. The two sums of the backward pass, too, are over the
    pooled map, since all other pixels get no gradient from it. Values that differ by less than the
    rounding of `y` are told apart then. XLA's CPU compiler would find the largest again in every
    operation that follows.

    Args:
      x: features.
      pool: see `Pool`.
      scale: see `normalise`, as the others.
      bias: added to each channel.
      expected: about the mean of each channel.
      settings: of the normalisation.
    """
    cpu, tpu, default = (
        functools.partial(form, pool=pool, settings=settings)
        for form in (_pool_last, _pool_turned, _pool_first)
    )
    return lax.platform_dependent(x, scale, bias, expected, cpu=cpu, tpu=tpu, default=default)


def _pool_last(
    x: Array, scale: Array, bias: Array, expected: Array, *, pool: Pool, settings: NormSettings
) -> tuple[Array, Moments]:
    y, moments = normalise(x, scale, bias, expected, settings)
    return pool(jax.nn.relu(y)), moments


def _pool_first(
    x: Array, scale: Array, bias: Array, expected: Array, *, pool: Pool, settings: NormSettings
) -> tuple[Array, Moments]:
    """A GPU's convolution yields the features as they are; they are turned where they are read."""
    order = _order(scale)
    largest = _times(pool(_times(x, order, settings)), order, settings)
    y, moments = _normalise(x, largest, scale, bias, expected, settings)
    return jax.nn.relu(y), moments


def _pool_turned(
    x: Array, scale: Array, bias: Array, expected: Array, *, pool: Pool, settings: NormSettings
) -> tuple[Array, Moments]:
    """A TPU's convolution yields the turned features, and no others are stored."""
    order = _order(scale)
    turned, counted = image_pairs.fork(_times(x, order, settings), paired=settings.paired)
    vectors = order * scale, bias, order * expected
    y, (mean, variance) = _normalise(counted, pool(turned), *vectors, settings)
    return image_pairs.apply(jax.nn.relu, y, paired=settings.paired), (order * mean, variance)


def _order(scale: Array) -> Array:
    """−1 where normalising reverses the order of values, 1 elsewhere."""
    return jnp.where(scale < 0, -1, 1).astype(scale.dtype)


def _times(x: Array, order: Array, settings: NormSettings) -> Array:
    factors = _broadcastable(order.astype(x.dtype), x)
    return image_pairs.apply(jnp.multiply, x, factors, paired=settings.paired)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _normalise(
    x: Array,
    chosen: Array | None,
    scale: Array,
    bias: Array,
    expected: Array,
    settings: NormSettings,
) -> tuple[Array, Moments]:
    """`chosen`, which are some values of `x`, or all of `x`, by the moments of `x`; and the moments."""
    return _forward(x, chosen, scale, bias, expected, settings)[0]


def _forward(
    x: Array,
    chosen: Array | None,
    scale: Array,
    bias: Array,
    expected: Array,
    settings: NormSettings,
) -> tuple[tuple[Array, Moments], tuple[Array, Array | None, Array, Moments]]:
    moments = _moments(x, expected, settings)
    y = affine(x if chosen is None else chosen, moments, scale, bias, settings)
    return (y, moments), (x, chosen, scale, moments)


def _backward(
    settings: NormSettings,
    residuals: tuple[Array, Array | None, Array, Moments],
    cotangents: tuple[Array, Any],
) -> tuple[Array, Array | None, Array, Array, None]:
    (x, chosen, scale, moments), dy = residuals, cotangents[0]
    of_map = functools.partial(image_pairs.apply, paired=settings.paired)

    def whole(dy: Array, x: Array, mean: Array, mean_dy: Array, slope: Array, factor: Array):
        dy, centred = dy.astype(settings.wide), x.astype(settings.wide) - mean
        return ((dy - mean_dy - centred * slope) * factor).astype(x.dtype)

    def by_moments(x: Array, *vectors: Array) -> Array:
        return whole(jnp.zeros((), x.dtype), x, *vectors)

    def by_choice(dy: Array, factor: Array) -> Array:
        return (dy.astype(settings.wide) * factor).astype(x.dtype)

    if chosen is None:
        vectors, dscale, dbias = _slopes(dy, x, scale, moments, settings, of=x)
        return of_map(whole, dy, x, *vectors), None, dscale, dbias, None
    vectors, dscale, dbias = _slopes(dy, chosen, scale, moments, settings, of=x)
    dx, dchosen = of_map(by_moments, x, *vectors), of_map(by_choice, dy, vectors[-1])
    return dx, dchosen, dscale, dbias, None


_normalise.defvjp(_forward, _backward)


def _slopes(
    dy: Array, values: Array, scale: Array, moments: Moments, settings: NormSettings, *, of: Array
) -> tuple[list[Array], Array, Array]:
    """Vectors of the backward pass for `values` that were normalised by the moments of the map `of`.

    Returns:
      Mean, the mean cotangent, the slope along centred values, and the factor of all three, as they
      broadcast with a map; the gradients of scale and bias, of this device's `values`.
    """
    mean, variance = moments
    wide, channels = settings.wide, values.shape[-1]
    rate = lax.rsqrt(variance + settings.epsilon)

    def sum_products(dy: Array, values: Array, mean: Array) -> Array:
        dy, centred = dy.astype(wide), values.astype(wide) - mean
        return jnp.stack([_sum(dy, channels), _sum(dy * centred, channels)])

    operands = (dy, values, _broadcastable(mean, values))
    sums = image_pairs.reduce(sum_products, *operands, paired=settings.paired)
    dbias, dscale = sums[0], sums[1] * rate
    if settings.axis_name is not None:
        sums = lax.psum(sums, settings.axis_name)
    mean_dy, mean_product = sums / values_per_channel(of, settings.axis_name)
    vectors = (mean, mean_dy, mean_product * jnp.square(rate), scale * rate)
    return [_broadcastable(vector, values) for vector in vectors], dscale, dbias


def _moments(
    x: Float[Array, "*n c"], expected: Float[Array, "c"], settings: NormSettings
) -> Moments:
    """Mean and biased variance over all devices, in one pass over memory.

    E[x²] − E[x]² loses digits where the mean is much larger than the deviation, so x is first shifted
    by the mean of its middle row (Chan, Golub and LeVeque 1983, §3). On a TPU it is shifted by the mean
    that is expected, the running one: sums that wait for no other are part of the convolution before
    them there. While it is d deviations off, d² units in the last place are lost. The moments of several
    devices are combined exactly, from the mean and the variance of each (Chan et al. 1979).
    """
    about = functools.partial(_moments_about, wide=settings.wide)
    paired = settings.paired and image_pairs.fits(x.shape)

    def by_expected(x: Array, expected: Array) -> Moments:
        return about(image_pairs.pair(x) if paired else x, expected)

    def by_middle_row(x: Array, _: Array) -> Moments:
        rows = x if x.ndim < 3 else lax.index_in_dim(x, x.shape[1] // 2, axis=1)
        return about(x, _mean(rows.astype(settings.wide), x.shape[-1]))

    mean, variance = lax.platform_dependent(x, expected, tpu=by_expected, default=by_middle_row)
    if settings.axis_name is None:
        return mean, variance
    means, variances = lax.all_gather(jnp.stack([mean, variance]), settings.axis_name, axis=1)
    mean = jnp.mean(means, axis=0)
    between = jnp.mean(jnp.square(means - mean[None, :]), axis=0)
    return mean, jnp.mean(variances, axis=0) + between


def _moments_about(x: Array, shift: Float[Array, "c"], *, wide: str) -> Moments:
    """Of one device; `x` may be paired and has twice as many channels then."""
    repeated = image_pairs.repeat_channels(shift, x.shape[-1])
    shifted = x.astype(wide) - _broadcastable(repeated, x)
    offset = _mean(shifted, len(shift))
    variance = _mean(jnp.square(shifted), len(shift)) - jnp.square(offset)
    return shift + offset, jnp.maximum(variance, jnp.zeros_like(variance))


def affine(
    x: Float[Array, "*n c"],
    moments: Moments,
    scale: Float[Array, "c"],
    bias: Float[Array, "c"],
    settings: NormSettings,
) -> Float[Array, "*n c"]:
    """`x` by these moments, times `scale`, plus `bias`."""

    def at_each_pixel(x: Array, mean: Array, factor: Array, bias: Array) -> Array:
        return ((x.astype(settings.wide) - mean) * factor + bias).astype(settings.dtype)

    mean, variance = moments
    factor = scale * lax.rsqrt(variance + settings.epsilon)
    vectors = (_broadcastable(vector, x) for vector in (mean, factor, bias))
    return image_pairs.apply(at_each_pixel, x, *vectors, paired=settings.paired)


def _mean(x: Array, channels: int) -> Array:
    means = jnp.mean(x, axis=tuple(range(x.ndim - 1)))
    return means if len(means) == channels else image_pairs.split(means, channels).mean(0)


def _sum(x: Array, channels: int) -> Array:
    sums = jnp.sum(x, axis=tuple(range(x.ndim - 1)))
    return sums if len(sums) == channels else image_pairs.split(sums, channels).sum(0)


def values_per_channel(x: Float[Array, "*n c"], axis_name: str | None) -> int:
    """How many there are over all devices."""
    devices = 1 if axis_name is None else int(lax.axis_size(axis_name))
    return math.prod(x.shape[:-1]) * devices


def _broadcastable(vector: Float[Array, "c"], like: Array) -> Array:
    return vector.reshape((1,) * (like.ndim - 1) + vector.shape)
