"""Batch normalisation over the global batch, with a backward pass of its own."""

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
    """Batch normalisation over all axes but the last, with PyTorch's bookkeeping.

    Normalises with the biased variance of the batch; the running variance receives the unbiased
    one, n / (n − 1), where n counts the values of a channel over *all* devices of `axis_name`, so
    that any number of devices gives the numbers of one. Arithmetic is float32 under every compute
    type but float64; statistics are made as float32 and stay in the type in which they come; only
    the result is cast. In training there is reverse mode only (`normalise`).

    Attributes:
      momentum: share of the old running value that stays (1 − PyTorch's momentum).
      epsilon: added to the variance.
      dtype: type of the result.
      axis_name: mapped axis over which statistics are averaged; None for one device, or under
        `jit` with sharded arrays, where a mean is global anyway. Shards must be equally large.
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

        # Variables may be numpy arrays (just drawn, or read from a file).
        manner = Manner(self.epsilon, self.dtype, self.axis_name, self.paired)
        wide = manner.wide
        scale, bias = jnp.asarray(scale, wide), jnp.asarray(bias, wide)
        mean, variance = jnp.asarray(running_mean.value, wide), jnp.asarray(running_var.value, wide)
        if not train:
            return _affine(x, (mean, variance), scale, bias, manner)
        n = self._values_per_channel(x)
        y, (new_mean, new_variance) = normalise(x, scale, bias, manner)
        if not self.is_initializing():
            unbiased = new_variance * (n / (n - 1))
            for running, old, new in (
                (running_mean, mean, new_mean),
                (running_var, variance, unbiased),
            ):
                running.value = self._decay(old, new).astype(running.value.dtype)
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
class Manner:
    """How a normalisation computes; see `BatchNorm`."""

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
    x: Float[Array, "*n c"], scale: Float[Array, "c"], bias: Float[Array, "c"], manner: Manner
) -> tuple[Float[Array, "*n c"], Moments]:
    """`x` by the mean and variance of the global batch, times `scale`, plus `bias`; and those two.

    The moments are for the running statistics, nothing is differentiated through them. The backward
    pass is written out (Ioffe and Szegedy 2015, §3): two sums in one pass over memory and one pass
    that uses them, where the derivative of the formula reads everything once more. It keeps x in
    its own type and nothing else of its size.
    """
    return _normalise_forward(x, scale, bias, manner)[0]


def _normalise_forward(
    x: Array, scale: Array, bias: Array, manner: Manner
) -> tuple[tuple[Array, Moments], tuple[Array, Array, Moments]]:
    moments = _moments(x, manner)
    return (_affine(x, moments, scale, bias, manner), moments), (x, scale, moments)


def _normalise_backward(
    manner: Manner, residuals: tuple[Array, Array, Moments], cotangents: tuple[Array, Any]
) -> tuple[Array, Array, Array]:
    x, scale, (mean, variance) = residuals
    dy, wide, channels = cotangents[0], manner.wide, x.shape[-1]
    rate = lax.rsqrt(variance + manner.epsilon)

    def summed(dy: Array, x: Array, mean: Array) -> Array:
        dy, centred = dy.astype(wide), x.astype(wide) - mean
        return jnp.stack([_sum(dy, channels), _sum(dy * centred, channels)])

    def used(dy: Array, x: Array, mean: Array, mean_dy: Array, slope: Array, factor: Array):
        dy, centred = dy.astype(wide), x.astype(wide) - mean
        return ((dy - mean_dy - centred * slope) * factor).astype(x.dtype)

    sums = row_pairs.reduced(summed, dy, x, _along(mean, x), paired=manner.paired)
    dbias, dscale = sums[0], sums[1] * rate
    if manner.axis_name is not None:
        sums = lax.psum(sums, manner.axis_name)
    mean_dy, mean_product = sums / _count(x, manner.axis_name)
    vectors = (mean, mean_dy, mean_product * jnp.square(rate), scale * rate)
    alongs = (_along(vector, x) for vector in vectors)
    return row_pairs.pointwise(used, dy, x, *alongs, paired=manner.paired), dscale, dbias


normalise.defvjp(_normalise_forward, _normalise_backward)


def _moments(x: Float[Array, "*n c"], manner: Manner) -> Moments:
    """Mean and biased variance over all devices, found in one pass over memory.

    E[x²] − E[x]² alone loses digits where the mean is large beside the deviation, so that x is first
    shifted by a mean of its own, that of the middle rows (Chan, Golub and LeVeque 1983, §3). Several
    devices join theirs exactly, from the mean and the variance of each (Chan et al. 1979).
    """
    found = functools.partial(_own_moments, channels=x.shape[-1], wide=manner.wide)
    mean, variance = row_pairs.reduced(found, x, paired=manner.paired)
    if manner.axis_name is None:
        return mean, variance
    means, variances = lax.all_gather(jnp.stack([mean, variance]), manner.axis_name, axis=1)
    mean = jnp.mean(means, axis=0)
    between = jnp.mean(jnp.square(means - mean[None, :]), axis=0)
    return mean, jnp.mean(variances, axis=0) + between


def _own_moments(x: Array, *, channels: int, wide: str) -> Moments:
    """Of one device; `x` may be paired, then it has twice as many channels."""
    x = x.astype(wide)
    rows = x if x.ndim < 3 else lax.index_in_dim(x, x.shape[1] // 2, axis=1)
    near = _mean(rows, channels)
    shifted = x - _along(row_pairs.spread(near, x.shape[-1]), x)
    offset = _mean(shifted, channels)
    variance = _mean(jnp.square(shifted), channels) - jnp.square(offset)
    return near + offset, jnp.maximum(variance, jnp.zeros_like(variance))


def _affine(x: Array, moments: Moments, scale: Array, bias: Array, manner: Manner) -> Array:
    def affine(x: Array, mean: Array, factor: Array, bias: Array) -> Array:
        return ((x.astype(manner.wide) - mean) * factor + bias).astype(manner.dtype)

    mean, variance = moments
    factor = scale * lax.rsqrt(variance + manner.epsilon)
    alongs = (_along(vector, x) for vector in (mean, factor, bias))
    return row_pairs.pointwise(affine, x, *alongs, paired=manner.paired)


def _mean(x: Array, channels: int) -> Array:
    found = jnp.mean(x, axis=tuple(range(x.ndim - 1)))
    return found if len(found) == channels else row_pairs.gathered(found, channels).mean(0)


def _sum(x: Array, channels: int) -> Array:
    found = jnp.sum(x, axis=tuple(range(x.ndim - 1)))
    return found if len(found) == channels else row_pairs.gathered(found, channels).sum(0)


def _count(x: Array, axis_name: str | None) -> int:
    """Values of a channel over all devices."""
    devices = 1 if axis_name is None else int(lax.axis_size(axis_name))
    return math.prod(x.shape[:-1]) * devices


def _along(vector: Float[Array, "c"], like: Array) -> Array:
    return vector.reshape((1,) * (like.ndim - 1) + vector.shape)
