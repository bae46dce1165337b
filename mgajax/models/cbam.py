"""Convolutional block attention module: a channel gate, then a spatial gate (paper Eq. 1-2).

Two flavours. "paper" follows Eq. 2: the spatial gate sees [mean, max], its 7×7 convolution has
neither bias nor normalisation, and the channel gate's two layers have no biases. "official" is the
released code of the CBAM authors: [max, mean], batch normalisation after the 7×7 convolution, and
biases in the channel gate.
"""

import dataclasses
import functools
from collections.abc import Sequence

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mgajax.errors import ConfigError, nearest
from mgajax.models import image_pairs
from mgajax.models.blocks import Layers, peak
from mgajax.models.line_convolution import convolve_lines

PLACEMENTS = ("last_block", "stage_end", "stage_end_residual", "every_block")
FLAVOURS = ("paper", "official")
STAGES = (1, 2, 3, 4)
REDUCTION = 16


@flax.struct.dataclass
class GatedFeatures:
    """Features `[b, h, w, c]` and the spatial map `[b, h, w, 1]` (float32) that gated them, if any."""

    features: Float[Array, "b h w c"]
    attention: Float[Array, "b h w 1"] | None = None


@dataclasses.dataclass(frozen=True)
class AttentionPlan:
    """Where in the four residual stages attention is, and of which flavour.

    Attributes:
      placement: "last_block" (default reading of the paper): in the last block of a stage, before
        the addition. "every_block": in all of them. "stage_end": after the stage, f → CBAM(f).
        "stage_end_residual": f → f + CBAM(f).
      flavour: "paper" or "official", see the module's docstring.
      stages: stages that get attention, 1-4.

    Note:
      The paper has three CBAMs, one for each of the first three stages, and skip connections around
      them that carry features without attention; only `last_block` gives both.
    """

    placement: str = "last_block"
    flavour: str = "paper"
    stages: tuple[int, ...] = (1, 2, 3)

    def flavour_in_block(self, *, stage: int, is_last: bool) -> str | None:
        """The flavour on the residual branch of a block of `stage`; None: no attention there."""
        is_placed = self.placement == "every_block" or (self.placement == "last_block" and is_last)
        return self.flavour if stage in self.stages and is_placed else None

    def flavour_after(self, stage: int) -> str | None:
        """The flavour of the module that follows `stage`; None: no attention there."""
        is_placed = self.placement in ("stage_end", "stage_end_residual")
        return self.flavour if stage in self.stages and is_placed else None


NO_ATTENTION = AttentionPlan(stages=())


def make_attention_plan(*, placement: str, flavour: str, stages: Sequence[int]) -> AttentionPlan:
    """An `AttentionPlan` from a config's values (lists become tuples).

    Raises:
      ConfigError: an unknown placement, flavour or stage, a stage twice, or no stage at all.
    """
    _check_choice("placement", placement, PLACEMENTS)
    _check_choice("flavour", flavour, FLAVOURS)
    chosen = tuple(stages)
    if not chosen or not set(chosen) <= set(STAGES) or len(set(chosen)) < len(chosen):
        raise ConfigError(
            f"stages={chosen!r}: expected one or more different stages of {STAGES}, "
            "for example (1, 2, 3)"
        )
    return AttentionPlan(placement=placement, flavour=flavour, stages=chosen)


def _check_choice(key: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ConfigError(f"{key}={value!r}: {nearest(str(value), valid)}")


class ChannelGate(nn.Module):
    """Sigmoid weights per channel from the mean and the maximum over space, one shared MLP."""

    layers: Layers
    flavour: str = "paper"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b 1 1 c"]:
        """Return the weights in (0, 1), in the type of `x`."""
        channels = x.shape[-1]
        hidden = channels // REDUCTION
        if hidden < 1:
            raise ConfigError(f"CBAM on {channels} channels: needs at least {REDUCTION}")
        bias = self.flavour == "official"
        reduce = self.layers.conv(hidden, kernel=1, bias=bias, name="reduce")
        expand = self.layers.conv(channels, kernel=1, bias=bias, name="expand")
        wide = self.layers.wide
        pooled = self.layers.apply(functools.partial(_pool_over_space, wide=wide), x)
        total = sum(expand(jax.nn.relu(reduce(vector))).astype(wide) for vector in pooled)
        return jax.nn.sigmoid(total).astype(x.dtype)


def _pool_over_space(x: Array, *, wide: str) -> tuple[Array, Array]:
    """Mean and maximum of each channel, `[b, 1, 1, c]`.

    A mean over many pixels in bfloat16 would lose digits; the maximum cannot.
    """
    mean = jnp.mean(x.astype(wide), axis=(1, 2), keepdims=True)
    return mean.astype(x.dtype), peak(x.reshape(x.shape[0], -1, 1, x.shape[3]), 1)


class SpatialGate(nn.Module):
    """Sigmoid weights per pixel from the mean and the maximum over channels (paper Eq. 2)."""

    layers: Layers
    flavour: str = "paper"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w 1"]:
        """Return the map in (0, 1), float32 (float64 under that compute type)."""
        wide = self.layers.wide
        pool = functools.partial(_pool_over_channels, channels=x.shape[-1], wide=wide)
        maps = self.layers.apply(pool, x)
        maps = maps if self.flavour == "paper" else maps[::-1]
        layers = dataclasses.replace(self.layers, convolution=convolve_lines)
        y = layers.conv(1, kernel=7, name="conv")(jnp.concatenate(maps, axis=-1))
        if self.flavour == "official":
            y = self.layers.norm(momentum=0.99, name="norm")(y, train=train)
        return jax.nn.sigmoid(y.astype(wide))


def _pool_over_channels(x: Array, *, channels: int, wide: str) -> tuple[Array, Array]:
    """Mean and maximum of each pixel, `[b, h, w, 1]`, or 2 of a pair of images."""
    images = image_pairs.images(x.astype(wide), channels, others=0.0)
    sums = [jnp.sum(image, axis=-1, keepdims=True) for image in images]
    mean = (jnp.concatenate(sums, axis=-1) / channels).astype(x.dtype)
    images = image_pairs.images(x, channels, others=-jnp.inf)
    return mean, jnp.concatenate([peak(image, -1) for image in images], axis=-1)


class Cbam(nn.Module):
    """Channel gate, then spatial gate on its result."""

    layers: Layers
    flavour: str = "paper"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> GatedFeatures:
        """Return the gated features and the spatial map."""
        layers = self.layers
        x, gate_input = layers.fork(x)
        weights = ChannelGate(layers, self.flavour, name="channel")(gate_input)
        x, gate_input = layers.fork(layers.apply(jnp.multiply, x, weights))
        attention = SpatialGate(layers, self.flavour, name="spatial")(gate_input, train=train)
        gated = layers.apply(jnp.multiply, x, attention.astype(x.dtype))
        return GatedFeatures(gated, attention)
