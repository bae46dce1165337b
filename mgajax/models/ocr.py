"""Object-contextual representations (Yuan et al. 2020): pixels attend to the classes' mean features.

Structure and numerics as in NVIDIA's semantic-segmentation (BSD-3).
"""

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mgajax.models.blocks import Layers
from mgajax.models.hrnet import ConvNorm


@dataclasses.dataclass(frozen=True)
class HeadPlan:
    """The dimensions of the heads.

    Attributes:
      middle: channels of the pixels' features.
      key: channels in which pixels and classes are compared, and of the scale attention.
      dropout: share of the channels that are dropped whole, per image, in training.
    """

    middle: int = 512
    key: int = 256
    dropout: float = 0.05


class OcrOutput(NamedTuple):
    """Outputs of the head, of its feature map's size.

    Attributes:
      logits: float32 `[b, h, w, k]`.
      auxiliary: float32 `[b, h, w, k]`, the coarse logits by which the classes are located.
      features: `[b, h, w, middle]`, after the dropout.
    """

    logits: Array
    auxiliary: Array
    features: Array


class ObjectAttention(nn.Module):
    """Every pixel's mixture of the classes' representations, weighted by similarity."""

    plan: HeadPlan
    layers: Layers

    @nn.compact
    def __call__(
        self, pixels: Float[Array, "b h w c"], classes: Float[Array, "b k c"], *, train: bool
    ) -> Float[Array, "b h w c"]:
        """Return the context of every pixel."""

        def project(x: Array, name: str, features: int = self.plan.key) -> Array:
            return ConvNorm(features, self.layers, kernel=1, name=name)(x, train=train)

        class_rows = classes[:, :, None, :]
        query = project(project(pixels, "query1"), "query2")
        key = project(project(class_rows, "key1"), "key2").squeeze(2)
        value = project(class_rows, "value").squeeze(2)
        similarity = jnp.einsum("bhwc,bkc->bhwk", query, key).astype(self.layers.wide)
        weights = jax.nn.softmax(similarity * self.plan.key**-0.5, axis=-1)
        mixture = jnp.einsum("bhwk,bkc->bhwc", weights.astype(value.dtype), value)
        return project(mixture, "output", self.plan.middle)


class OcrHead(nn.Module):
    """Coarse logits, the classes' representations, their context for every pixel, logits.

    Normalisation inside the object path sees `b · k` values a channel: with one image a device and
    two classes that is two, of which only a sign remains. Use `axis_name` or larger batches.
    """

    num_classes: int
    plan: HeadPlan
    layers: Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> OcrOutput:
        """Segment the trunk's features."""
        pixels = ConvNorm(self.plan.middle, self.layers, bias=True, name="pixels")(x, train=train)
        coarse = ConvNorm(x.shape[-1], self.layers, kernel=1, bias=True, name="coarse")
        auxiliary = self.layers.class_scores(self.num_classes, name="coarse_logits")(
            coarse(x, train=train)
        )
        # For each class over the pixels. The main loss, too, trains the coarse logits through it.
        weights = jax.nn.softmax(auxiliary, axis=(1, 2)).astype(pixels.dtype)
        classes = jnp.einsum("bhwk,bhwc->bkc", weights, pixels)

        attention = ObjectAttention(self.plan, self.layers, name="object_attention")
        context = attention(pixels, classes, train=train)
        joined = ConvNorm(self.plan.middle, self.layers, kernel=1, name="joined")(
            jnp.concatenate((context, pixels), axis=-1), train=train
        )
        drop = self.layers.dropout(self.plan.dropout, unit="channel", name="dropout")
        features = drop(joined, train=train)
        return OcrOutput(
            self.layers.class_scores(self.num_classes, name="logits")(features), auxiliary, features
        )


class ScaleAttention(nn.Module):
    """The weight of a scale at each pixel, against the finer scales: one map in (0, 1) for all classes."""

    plan: HeadPlan
    layers: Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w 1"]:
        """Map the head's features to float32 attention."""
        for index in range(2):
            x = self.layers.conv(self.plan.key, kernel=3, name=f"conv{index}")(x)
            x = jax.nn.relu(self.layers.norm(name=f"norm{index}")(x, train=train))
        wide_layers = dataclasses.replace(self.layers, dtype=self.layers.wide)
        return jax.nn.sigmoid(wide_layers.conv(1, kernel=1, name="conv2")(x))
