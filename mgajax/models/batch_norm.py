"""Batch normalisation over the global batch, with a backward pass of its own."""

import functools
import math
from typing import Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mgajax.errors import ConfigError
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
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: str = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "*n c"], *, train: bool) -> Float[Array, "*n c"]:
        """Normalise `x`; with `train` by the batch's statistics, which update the running ones."""
        channels = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, channels, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)

        # Variables may be numpy arrays (just drawn, or read from a file).
        wide = wide_type(self.dtype)
        scale, bias = jnp.asarray(scale, wide), jnp.asarray(bias, wide)
        mean, variance = jnp.asarray(running_mean.value, wide), jnp.asarray(running_var.value, wide)
        if not train:
            y = _affine(x.astype(wide), (mean, variance), scale, bias, self.epsilon)
            return y.astype(self.dtype)
        n = self._values_per_channel(x)
        y, (new_mean, new_variance) = normalise(
            x, scale, bias, self.epsilon, self.dtype, self.axis_name
        )
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def normalise(
    x: Float[Array, "*n c"],
    scale: Float[Array, "c"],
    bias: Float[Array, "c"],
    epsilon: float,
    dtype: str,
    axis_name: str | None,
) -> tuple[Float[Array, "*n c"], Moments]:
    """`x` by the mean and variance of the global batch, times `scale`, plus `bias`; and those two.

    The moments are for the running statistics, nothing is differentiated through them. The backward
    pass is written out (Ioffe and Szegedy 2015, §3): two sums in one pass over memory and one pass
    that uses them, where the derivative of the formula reads everything once more. It keeps x in
    its own type and nothing else of its size.
    """
    return _normalise_forward(x, scale, bias, epsilon, dtype, axis_name)[0]


def _normalise_forward(
    x: Array, scale: Array, bias: Array, epsilon: float, dtype: str, axis_name: str | None
) -> tuple[tuple[Array, Moments], tuple[Array, Array, Moments]]:
    wide = x.astype(wide_type(dtype))
    moments = _moments(wide, axis_name)
    y = _affine(wide, moments, scale, bias, epsilon).astype(dtype)
    return (y, moments), (x, scale, moments)


def _normalise_backward(
    epsilon: float,
    dtype: str,
    axis_name: str | None,
    residuals: tuple[Array, Array, Moments],
    cotangents: tuple[Array, Any],
) -> tuple[Array, Array, Array]:
    x, scale, (mean, variance) = residuals
    wide = wide_type(dtype)
    dy = cotangents[0].astype(wide)
    centred = x.astype(wide) - _along(mean, x)
    rate = lax.rsqrt(variance + epsilon)
    axes = tuple(range(x.ndim - 1))
    sums = jnp.stack([jnp.sum(dy, axis=axes), jnp.sum(dy * centred, axis=axes)])
    dbias, dscale = sums[0], sums[1] * rate
    if axis_name is not None:
        sums = lax.psum(sums, axis_name)
    mean_dy, mean_product = sums / _count(x, axis_name)
    slope = _along(mean_product * jnp.square(rate), x)
    dx = (dy - _along(mean_dy, x) - centred * slope) * _along(scale * rate, x)
    return dx.astype(x.dtype), dscale, dbias


normalise.defvjp(_normalise_forward, _normalise_backward)


def _moments(x: Float[Array, "*n c"], axis_name: str | None) -> Moments:
    """Mean and biased variance over all devices, found in one pass over memory.

    E[x²] − E[x]² alone loses digits where the mean is large beside the deviation, so that x is first
    shifted by a mean of its own, that of the middle rows (Chan, Golub and LeVeque 1983, §3). Several
    devices join theirs exactly, from the mean and the variance of each (Chan et al. 1979).
    """
    axes = tuple(range(x.ndim - 1))
    rows = x if x.ndim < 3 else lax.index_in_dim(x, x.shape[1] // 2, axis=1)
    near = jnp.mean(rows, axis=axes)
    shifted = x - _along(near, x)
    offset = jnp.mean(shifted, axis=axes)
    variance = jnp.mean(jnp.square(shifted), axis=axes) - jnp.square(offset)
    mean, variance = near + offset, jnp.maximum(variance, jnp.zeros_like(variance))
    if axis_name is None:
        return mean, variance
    means, variances = lax.all_gather(jnp.stack([mean, variance]), axis_name, axis=1)
    mean = jnp.mean(means, axis=0)
    between = jnp.mean(jnp.square(means - mean[None, :]), axis=0)
    return mean, jnp.mean(variances, axis=0) + between


def _affine(x: Array, moments: Moments, scale: Array, bias: Array, epsilon: float) -> Array:
    mean, variance = moments
    factor = _along(scale * lax.rsqrt(variance + epsilon), x)
    return (x - _along(mean, x)) * factor + _along(bias, x)


def _count(x: Array, axis_name: str | None) -> int:
    """Values of a channel over all devices."""
    devices = 1 if axis_name is None else int(lax.axis_size(axis_name))
    return math.prod(x.shape[:-1]) * devices


def _along(vector: Float[Array, "c"], like: Array) -> Array:
    return vector.reshape((1,) * (like.ndim - 1) + vector.shape)
