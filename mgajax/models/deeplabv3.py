"""DeepLabV3 (Chen et al. 2017): a dilated ResNet, pooling at several rates, an auxiliary head.

Structure and numerics as in torchvision (BSD-3): output stride 8, where the last two stages dilate
instead of striding and the first block of each keeps the dilation of the stage before. No decoder
and no skip from early features (those are V3+).
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mgajax.errors import ConfigError, nearest
from mgajax.models.blocks import Layers, Stem, check_width
from mgajax.models.initialise import Laws, constant, normal_fan_out, uniform_fan_in
from mgajax.models.outputs import SegmenterOutput
from mgajax.models.resize import resize_features
from mgajax.models.resnet import STAGE_WIDTHS, BottleneckBlock

STRIDES = (1, 2, 1, 1)
DILATIONS = (1, 1, 2, 4)
RATES = (12, 24, 36)
WIDTH = STAGE_WIDTHS[0]
AUXILIARIES = ("fcn", "none")

DEEPLABV3_LAWS: Laws = (
    ("*/scale", constant(1.0)),
    ("*/norm/bias", constant(0.0)),
    ("*/norm[123]/bias", constant(0.0)),
    ("*/shortcut_norm/bias", constant(0.0)),
    ("backbone/*/kernel", normal_fan_out),
    ("*", uniform_fan_in),
)
"""torchvision's: the ResNet's laws in the backbone, PyTorch's default in the heads."""


class DilatedBackbone(nn.Module):
    """A bottleneck ResNet without its head, at an eighth of the images' size."""

    depths: tuple[int, int, int, int]
    layers: Layers
    width: int = WIDTH

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w c"], *, train: bool
    ) -> tuple[Float[Array, "b _h _w d"], Float[Array, "b _h _w 2*d"]]:
        """Return the features of the third stage (16 times `width`) and of the fourth."""
        x = Stem(self.layers, self.width, name="stem")(images, train=train)
        features = []
        before = 1
        for number, depth in enumerate(self.depths):
            stage = DilatedStage(
                depth=depth,
                width=self.width * 2**number,
                stride=STRIDES[number],
                dilations=(before, DILATIONS[number]),
                layers=self.layers,
                name=f"stage{number + 1}",
            )
            x = stage(x, train=train)
            features.append(x)
            before = DILATIONS[number]
        return features[2], features[3]


class DilatedStage(nn.Module):
    """Bottleneck blocks of one width.

    Attributes:
      stride: of the first block.
      dilations: of the first block, and of the others.
    """

    depth: int
    width: int
    stride: int
    dilations: tuple[int, int]
    layers: Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b _h _w d"]:
        """Map features to features of four times `width` channels."""
        for index in range(self.depth):
            block = BottleneckBlock(
                self.width,
                stride=self.stride if index == 0 else 1,
                layers=self.layers,
                dilation=self.dilations[min(index, 1)],
                name=f"block{index}",
            )
            x = block(x, train=train).features
        return x


class ConvNormRelu(nn.Module):
    """A convolution without bias, normalisation, ReLU."""

    width: int
    layers: Layers
    kernel: int = 1
    dilation: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w d"]:
        """Map features to features of the same size."""
        conv = self.layers.conv(self.width, kernel=self.kernel, dilation=self.dilation, name="conv")
        return jax.nn.relu(self.layers.norm(name="norm")(conv(x), train=train))


class SpatialPyramid(nn.Module):
    """Atrous spatial pyramid pooling: 1×1, 3×3 at three rates and the global mean, side by side."""

    layers: Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w d"]:
        """Map features to an eighth of their channels (256 of 2,048) at the same size."""
        unit, width = ConvNormRelu, x.shape[-1] // 8
        views = [unit(width, self.layers, name="branch0")(x, train=train)]
        for number, rate in enumerate(RATES, start=1):
            branch = unit(width, self.layers, kernel=3, dilation=rate, name=f"branch{number}")
            views.append(branch(x, train=train))
        mean = jnp.mean(x.astype(self.layers.wide), axis=(1, 2), keepdims=True).astype(x.dtype)
        overall = unit(width, self.layers, name="overall")(mean, train=train)
        views.append(jnp.broadcast_to(overall, views[0].shape))
        joined = jnp.concatenate(views, axis=-1)
        return unit(width, self.layers, name="project")(joined, train=train)


class PyramidHead(nn.Module):
    """The pyramid, dropout, a 3×3 convolution, and class scores."""

    num_classes: int
    dropout: float
    layers: Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w k"]:
        """Map the fourth stage's features to logits of their size."""
        x = SpatialPyramid(self.layers, name="pyramid")(x, train=train)
        x = self.layers.dropout(self.dropout, name="dropout")(x, train=train)
        x = ConvNormRelu(x.shape[-1], self.layers, kernel=3, name="hidden")(x, train=train)
        return self.layers.class_scores(self.num_classes, name="head")(x)


class FcnHead(nn.Module):
    """A 3×3 convolution to a quarter of the channels, dropout, and class scores."""

    num_classes: int
    dropout: float
    layers: Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w k"]:
        """Map the third stage's features to logits of their size."""
        width = x.shape[-1] // 4
        x = ConvNormRelu(width, self.layers, kernel=3, name="hidden")(x, train=train)
        x = self.layers.dropout(self.dropout, name="dropout")(x, train=train)
        return self.layers.class_scores(self.num_classes, name="head")(x)


@dataclasses.dataclass(frozen=True)
class Heads:
    """The heads on the backbone.

    Attributes:
      auxiliary: "fcn" for the auxiliary head on the third stage, "none" without.
      dropout: rate in the main head.
      auxiliary_dropout: rate in the auxiliary head.
    """

    auxiliary: str = "fcn"
    dropout: float = 0.5
    auxiliary_dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.auxiliary not in AUXILIARIES:
            raise ConfigError(
                f"auxiliary={self.auxiliary!r}: {nearest(str(self.auxiliary), AUXILIARIES)}"
            )
        for key in ("dropout", "auxiliary_dropout"):
            if not 0.0 <= getattr(self, key) < 1.0:
                raise ConfigError(f"{key}={getattr(self, key)!r}: expected a rate in [0, 1)")

    @property
    def needs_random_numbers(self) -> bool:
        """Whether a dropout rate is above 0."""
        return self.dropout > 0.0 or (self.auxiliary == "fcn" and self.auxiliary_dropout > 0.0)


class DeepLabV3(nn.Module):
    """A dilated backbone and one or two heads, whose logits are enlarged to the images' size.

    Attributes:
      num_classes: number of logits k a pixel.
      depths: blocks in each of the four stages.
      heads: which heads, and their dropout.
      layers: how layers compute.
      width: of the backbone's stem and first stage; all else follows in proportion.
    """

    num_classes: int
    depths: tuple[int, int, int, int]
    heads: Heads
    layers: Layers
    width: int = WIDTH

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], *, train: bool = False) -> SegmenterOutput:
        """Segment normalised images, float32 `[b, h, w, c]`; `auxiliary` holds "fcn", if any.

        Raises:
          ConfigError: training without `rngs={"dropout": key}` though a dropout rate is not zero;
            or on one image on all devices, whose global mean batch normalisation cannot normalise.
        """
        if train and self.heads.needs_random_numbers and not self.has_rng("dropout"):
            raise ConfigError(
                f"deeplabv3: dropout={self.heads.dropout}, auxiliary_dropout="
                f"{self.heads.auxiliary_dropout} in training without random numbers; pass "
                'rngs={"dropout": key} to apply, or set both rates to 0'
            )
        size = (images.shape[1], images.shape[2])
        backbone = DilatedBackbone(self.depths, self.layers, self.width, name="backbone")
        third, fourth = backbone(images, train=train)
        main = PyramidHead(self.num_classes, self.heads.dropout, self.layers, name="classifier")
        logits = resize_features(main(fourth, train=train), size=size)
        if self.heads.auxiliary == "none":
            return SegmenterOutput(logits=logits)
        second = FcnHead(
            self.num_classes, self.heads.auxiliary_dropout, self.layers, name="auxiliary"
        )
        auxiliary = resize_features(second(third, train=train), size=size)
        return SegmenterOutput(logits=logits, auxiliary={"fcn": auxiliary})

    @property
    def laws(self) -> Laws:
        """How `init_variables` draws the parameters."""
        return DEEPLABV3_LAWS


def deeplabv3_resnet50(
    *,
    num_classes: int,
    auxiliary: str = "fcn",
    dropout: float = 0.5,
    auxiliary_dropout: float = 0.1,
    width: int = WIDTH,
    dtype: str = "float32",
    axis_name: str | None = None,
) -> DeepLabV3:
    """DeepLabV3 on ResNet-50 (options: `Heads`); 41,994,308 parameters for two classes, RGB.

    `width`: see `unet`.

    Raises:
      ConfigError: an option has an unknown or impossible value.
    """
    heads = Heads(auxiliary, dropout, auxiliary_dropout)
    return DeepLabV3(num_classes, (3, 4, 6, 3), heads, Layers(dtype, axis_name), check_width(width))


def deeplabv3_resnet101(
    *,
    num_classes: int,
    auxiliary: str = "fcn",
    dropout: float = 0.5,
    auxiliary_dropout: float = 0.1,
    width: int = WIDTH,
    dtype: str = "float32",
    axis_name: str | None = None,
) -> DeepLabV3:
    """DeepLabV3 on ResNet-101 (options: `Heads`); 60,986,436 parameters for two classes, RGB.

    `width`: see `unet`.

    Raises:
      ConfigError: an option has an unknown or impossible value.
    """
    heads = Heads(auxiliary, dropout, auxiliary_dropout)
    return DeepLabV3(
        num_classes, (3, 4, 23, 3), heads, Layers(dtype, axis_name), check_width(width)
    )
