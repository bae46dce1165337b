"""Batch normalisation over the global batch, with PyTorch's running statistics."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mgajax.errors import ConfigError
from mgajax.models import image_pairs
from mgajax.models.normalisation import (
    NormSettings,
    Pool,
    affine,
    normalise,
    normalise_and_pool,
    values_per_channel,
)


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
    def __call__(
        self,
        x: Float[Array, "*n c"],
        *,
        train: bool,
        pool: Pool | None = None,
    ) -> Float[Array, "*m c"]:
        """Normalise `x`; with `train` by the batch's statistics, which update the running ones.

        Args:
          x: features.
          train: see above.
          pool: maxima over windows that are to follow, after ReLU: `pool(relu(norm(x)))` is returned
            (`normalise_and_pool`).
        """
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
            y = affine(x, (mean, variance), scale, bias, settings)
            if pool is None:
                return y
            return pool(image_pairs.apply(jax.nn.relu, y, paired=self.paired))
        n = self._values_per_channel(x)
        if pool is None:
            y, (new_mean, new_variance) = normalise(x, scale, bias, mean, settings)
        else:
            y, (new_mean, new_variance) = normalise_and_pool(x, pool, scale, bias, mean, settings)
        if not self.is_initializing():
            unbiased = new_variance * (n / (n - 1))
            for variable, old, new in (
                (running_mean, mean, new_mean),
                (running_var, variance, unbiased),
            ):
                variable.value = self._decay(old, new).astype(variable.value.dtype)
        return y

    def _values_per_channel(self, x: Array) -> int:
        n = values_per_channel(x, self.axis_name)
        if n < 2:
            raise ConfigError(
                f"batch normalisation {'/'.join(self.path)}: 1 value per channel in training, "
                "needs at least 2; use a larger batch or image size"
            )
        return n

    def _decay(self, old: Array, new: Array) -> Array:
        new = lax.stop_gradient(new)
        return self.momentum * old + (1.0 - self.momentum) * new
