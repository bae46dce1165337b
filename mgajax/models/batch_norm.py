"""Batch normalisation over the global batch, with its own backward pass."""

import dataclasses
import functools
import math
from typing import Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mgajax.errors import ConfigError
from mgajax.models import row_pairs
from mgajax.models.precision import wide_type

Moments: TypeAlias = tuple[Array, Array]
"""Mean and biased variance, each [c]."""


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the last, with PyTorch's running statistics.

    Normalises with the biased variance of the batch; the running variance receives the unbiased
    one, n / (n − 1), where n counts the values of a channel over *all* devices of `axis_name`, so
    that any number of devices gives the numbers of one. Arithmetic is float32 under every compute
    type but float64. Statistics are created as float32 and keep the type that they are given in; only
    the result is cast. In training only reverse mode is defined (`normalise`).

    Attributes:
      momentum: weight of the old running value (1 − PyTorch's momentum).
      epsilon: added to the variance.
      dtype: type of the result.
      axis_name: mapped axis over which statistics are averaged; None for one device, or under
        `jit` with sharded arrays, where a mean is global anyway. All shards must have one size.
      paired: see `mgajax.models.blocks.Layers`.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: str = "float32"
    axis_name: str | None = None
    paired: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "*n c"], *, train: bool) -> Float[Array, "*n c"]:
        """Normalise `x`; with `train` by the batch's statistics, which update the running ones."""
        channels = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, channels, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)

        # Variables may be numpy arrays: newly drawn, or read from a file.
        settings = NormSettings(self.epsilon, self.dtype, self.axis_name, self.paired)
        wide = settings.wide
        scale, bias = jnp.asarray(scale, wide), jnp.asarray(bias, wide)
        mean, variance = jnp.asarray(running_mean.value, wide), jnp.asarray(running_var.value, wide)
        if not train:
            return _affine(x, (mean, variance), scale, bias, settings)
        n = self._values_per_channel(x)
        y, (new_mean, new_variance) = normalise(x, scale, bias, settings)
        if not self.is_initializing():
            unbiased = new_variance * (n / (n - 1))
            for variable, old, new in (
                (running_mean, mean, new_mean),
                (running_var, variance, unbiased),
            ):
                variable.value = self._decay(old, new).astype(variable.value.dtype)
        return y

    def _values_per_channel(self, x: Array) -> int:
        n = _count(x, self.axis_name)
        if n < 2:
            raise ConfigError(
                f"batch normalisation {'/'.join(self.path)}: 1 value per channel in training, "
                "needs at least 2; use a larger batch or image size"
            )
        return n

    def _decay(self, old: Array, new: Array) -> Array:
        new = lax.stop_gradient(new)
        return self.momentum * old + (1.0 - self.momentum) * new


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


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalise(
    x: Float[Array, "*n c"],
    scale: Float[Array, "c"],
    bias: Float[Array, "c"],
    settings: NormSettings,
) -> tuple[Float[Array, "*n c"], Moments]:
    """`x` normalised by mean and variance of the global batch, times `scale`, plus `bias`; and the moments.

    The moments are for the running statistics; no gradient passes through them. The backward pass is
    written out (Ioffe and Szegedy 2015, §3): one pass over memory for two sums and one that uses
    them, where the derivative of the formula would need a third. It stores x in its own type and no
    other array of that size.
    """
    return _normalise_forward(x, scale, bias, settings)[0]


def _normalise_forward(
    x: Array, scale: Array, bias: Array, settings: NormSettings
) -> tuple[tuple[Array, Moments], tuple[Array, Array, Moments]]:
    moments = _moments(x, settings)
    return (_affine(x, moments, scale, bias, settings), moments), (x, scale, moments)


def _normalise_backward(
    settings: NormSettings, residuals: tuple[Array, Array, Moments], cotangents: tuple[Array, Any]
) -> tuple[Array, Array, Array]:
    x, scale, (mean, variance) = residuals
    dy, wide, channels = cotangents[0], settings.wide, x.shape[-1]
    rate = lax.rsqrt(variance + settings.epsilon)

    def sum_products(dy: Array, x: Array, mean: Array) -> Array:
        dy, centred = dy.astype(wide), x.astype(wide) - mean
        return jnp.stack([_sum(dy, channels), _sum(dy * centred, channels)])

    def input_gradient(
        dy: Array, x: Array, mean: Array, mean_dy: Array, slope: Array, factor: Array
    ):
        dy, centred = dy.astype(wide), x.astype(wide) - mean
        return ((dy - mean_dy - centred * slope) * factor).astype(x.dtype)

    sums = row_pairs.reduce(sum_products, dy, x, _broadcastable(mean, x), paired=settings.paired)
    dbias, dscale = sums[0], sums[1] * rate
    if settings.axis_name is not None:
        sums = lax.psum(sums, settings.axis_name)
    mean_dy, mean_product = sums / _count(x, settings.axis_name)
    vectors = (mean, mean_dy, mean_product * jnp.square(rate), scale * rate)
    factors = (_broadcastable(vector, x) for vector in vectors)
    return (
        row_pairs.pointwise(input_gradient, dy, x, *factors, paired=settings.paired),
        dscale,
        dbias,
    )


normalise.defvjp(_normalise_forward, _normalise_backward)


def _moments(x: Float[Array, "*n c"], settings: NormSettings) -> Moments:
    """Mean and biased variance over all devices, in one pass over memory.

    E[x²] − E[x]² loses digits where the mean is much larger than the deviation, so x is first shifted
    by the mean of its middle row (Chan, Golub and LeVeque 1983, §3). The moments of several devices
    are combined exactly, from the mean and the variance of each (Chan et al. 1979).
    """
    moments = functools.partial(_device_moments, channels=x.shape[-1], wide=settings.wide)
    mean, variance = row_pairs.reduce(moments, x, paired=settings.paired)
    if settings.axis_name is None:
        return mean, variance
    means, variances = lax.all_gather(jnp.stack([mean, variance]), settings.axis_name, axis=1)
    mean = jnp.mean(means, axis=0)
    between = jnp.mean(jnp.square(means - mean[None, :]), axis=0)
    return mean, jnp.mean(variances, axis=0) + between


def _device_moments(x: Array, *, channels: int, wide: str) -> Moments:
    """Of one device; `x` may be paired and has twice as many channels then."""
    x = x.astype(wide)
    rows = x if x.ndim < 3 else lax.index_in_dim(x, x.shape[1] // 2, axis=1)
    shift = _mean(rows, channels)
    shifted = x - _broadcastable(row_pairs.repeat_channels(shift, x.shape[-1]), x)
    offset = _mean(shifted, channels)
    variance = _mean(jnp.square(shifted), channels) - jnp.square(offset)
    return shift + offset, jnp.maximum(variance, jnp.zeros_like(variance))


def _affine(x: Array, moments: Moments, scale: Array, bias: Array, settings: NormSettings) -> Array:
    def affine(x: Array, mean: Array, factor: Array, bias: Array) -> Array:
        return ((x.astype(settings.wide) - mean) * factor + bias).astype(settings.dtype)

    mean, variance = moments
    factor = scale * lax.rsqrt(variance + settings.epsilon)
    vectors = (_broadcastable(vector, x) for vector in (mean, factor, bias))
    return row_pairs.pointwise(affine, x, *vectors, paired=settings.paired)


def _mean(x: Array, channels: int) -> Array:
    means = jnp.mean(x, axis=tuple(range(x.ndim - 1)))
    return means if len(means) == channels else row_pairs.split_rows(means, channels).mean(0)


def _sum(x: Array, channels: int) -> Array:
    sums = jnp.sum(x, axis=tuple(range(x.ndim - 1)))
    return sums if len(sums) == channels else row_pairs.split_rows(sums, channels).sum(0)


def _count(x: Array, axis_name: str | None) -> int:
    """Values of a channel over all devices."""
    devices = 1 if axis_name is None else int(lax.axis_size(axis_name))
    return math.prod(x.shape[:-1]) * devices


def _broadcastable(vector: Float[Array, "c"], like: Array) -> Array:
    return vector.reshape((1,) * (like.ndim - 1) + vector.shape)
