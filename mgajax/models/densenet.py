"""DenseNet-121 (Huang et al. 2017), structure and numerics as in torchvision (BSD-3)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mgajax.models.blocks import Head, Layers, Stem
from mgajax.models.convolution import strided_slice
from mgajax.models.initialise import DENSENET_LAWS, Laws
from mgajax.models.outputs import ClassifierOutput

GROWTH = 32
BOTTLENECK = 4 * GROWTH


class DenseLayer(nn.Module):
    """BN-ReLU-1×1, BN-ReLU-3×3: `GROWTH` new features, appended after the old ones."""

    layers: Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w d"]:
        """Return `[b, h, w, c + GROWTH]`."""
        y = jax.nn.relu(self.layers.norm(name="norm1")(x, train=train))
        y = self.layers.conv(BOTTLENECK, kernel=1, name="conv1")(y)
        y = jax.nn.relu(self.layers.norm(name="norm2")(y, train=train))
        y = self.layers.conv(GROWTH, kernel=3, name="conv2")(y)
        return jnp.concatenate((x.astype(y.dtype), y), axis=-1)


class Transition(nn.Module):
    """BN-ReLU-1×1 to half the channels, then 2×2 averages: half the size (an odd edge is cut)."""

    layers: Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h2 w2 d"]:
        """Return `[b, h // 2, w // 2, c // 2]`."""
        y = jax.nn.relu(self.layers.norm(name="norm")(x, train=train))
        y = self.layers.conv(x.shape[-1] // 2, kernel=1, name="conv")(y)
        return _average_pool_2x2(y)


def _average_pool_2x2(x: Array) -> Array:
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    x = strided_slice(x, rows=slice(2 * rows), columns=slice(2 * columns))
    blocks = x.reshape(x.shape[0], rows, 2, columns, 2, x.shape[-1])
    return jnp.mean(blocks, axis=(2, 4))


class DenseNet(nn.Module):
    """Stem, dense stages with transitions between them, a last normalisation, head.

    Attributes:
      num_classes: number of logits k.
      depths: dense layers in each stage.
      layers: how layers compute.
    """

    num_classes: int
    depths: tuple[int, ...]
    layers: Layers

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], *, train: bool = False) -> ClassifierOutput:
        """Classify normalised images, float32 `[b, h, w, c]` with any number of channels."""
        x = Stem(self.layers, name="stem")(images, train=train)
        for number, depth in enumerate(self.depths, start=1):
            for index in range(1, depth + 1):
                x = DenseLayer(self.layers, name=f"stage{number}_layer{index}")(x, train=train)
            if number < len(self.depths):
                x = Transition(self.layers, name=f"transition{number}")(x, train=train)
        x = jax.nn.relu(self.layers.norm(name="norm")(x, train=train))
        return ClassifierOutput(logits=Head(self.num_classes, name="head")(x), attention={})

    @property
    def laws(self) -> Laws:
        """How `init_variables` draws the parameters."""
        return DENSENET_LAWS


def densenet121(
    *, num_classes: int, dtype: str = "float32", axis_name: str | None = None
) -> DenseNet:
    """DenseNet-121; 6,956,931 parameters for three classes and three input channels."""
    return DenseNet(num_classes, (6, 12, 24, 16), Layers(dtype, axis_name))
