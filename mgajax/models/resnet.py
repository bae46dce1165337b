"""ResNet-18 and ResNet-50 with optional CBAM (He et al. 2016; Woo et al. 2018; paper Fig. 4).

Structure and numerics as in torchvision (BSD-3): post-activation blocks, shortcut convolutions
only where the shape changes, and in the bottleneck the stride on the 3×3 convolution.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from mgajax.errors import ConfigError
from mgajax.models.blocks import Head, Layers, Stem, check_width
from mgajax.models.cbam import (
    NO_ATTENTION,
    REDUCTION,
    AttentionPlan,
    Cbam,
    GatedFeatures,
    make_attention_plan,
)
from mgajax.models.initialise import OFFICIAL_CBAM_LAWS, RESNET_LAWS, Laws
from mgajax.models.outputs import ClassifierOutput

STAGE_WIDTHS = (64, 128, 256, 512)
DEPTHS_18 = (2, 2, 2, 2)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; attention, if any, gates the branch before the addition."""

    width: int
    stride: int
    layers: Layers
    flavour: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> GatedFeatures:
        """Map features to features of `width` channels, `stride` times smaller."""
        layers = self.layers
        x, y = layers.fork(x)
        y = layers.conv(self.width, kernel=3, stride=self.stride, name="conv1")(y)
        y = layers.apply(jax.nn.relu, layers.norm(name="norm1")(y, train=train))
        y = layers.conv(self.width, kernel=3, name="conv2")(y)
        y = layers.norm(name="norm2")(y, train=train)
        return _join(y, x, block=self, train=train)


class BottleneckBlock(nn.Module):
    """1×1, 3×3 (with the stride and the dilation), 1×1 to four times the width, and a shortcut."""

    width: int
    stride: int
    layers: Layers
    flavour: str | None = None
    dilation: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> GatedFeatures:
        """Map features to features of `4 * width` channels, `stride` times smaller."""
        layers = self.layers
        y = layers.conv(self.width, kernel=1, name="conv1")(x)
        y = jax.nn.relu(layers.norm(name="norm1")(y, train=train))
        window = layers.conv(
            self.width, kernel=3, stride=self.stride, dilation=self.dilation, name="conv2"
        )
        y = jax.nn.relu(layers.norm(name="norm2")(window(y), train=train))
        y = layers.conv(4 * self.width, kernel=1, name="conv3")(y)
        y = layers.norm(name="norm3")(y, train=train)
        return _join(y, x, block=self, train=train)


def _join(y: Array, x: Array, *, block: BasicBlock | BottleneckBlock, train: bool) -> GatedFeatures:
    """Gate the branch `y`, convert the shortcut `x` to its shape, add, apply ReLU."""
    layers, branch = block.layers, GatedFeatures(y)
    if block.flavour is not None:
        branch = Cbam(layers, block.flavour, name="cbam")(y, train=train)
    if x.shape != y.shape:
        x = layers.conv(y.shape[-1], kernel=1, stride=block.stride, name="shortcut_conv")(x)
        x = layers.norm(name="shortcut_norm")(x, train=train)
    return GatedFeatures(layers.apply(_add_and_rectify, branch.features, x), branch.attention)


def _add_and_rectify(x: Array, y: Array) -> Array:
    return jax.nn.relu(x + y)


class Stage(nn.Module):
    """Blocks of one width, and the attention that the plan gives to this stage."""

    block: type[BasicBlock] | type[BottleneckBlock]
    number: int
    depth: int
    width: int
    layers: Layers
    plan: AttentionPlan

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> GatedFeatures:
        """Return the stage's features and its last attention map."""
        out = GatedFeatures(x)
        for index in range(self.depth):
            block = self.block(
                self.width,
                stride=2 if index == 0 and self.number > 1 else 1,
                layers=self.layers,
                flavour=self.plan.flavour_in_block(
                    stage=self.number, is_last=index == self.depth - 1
                ),
                name=f"block{index}",
            )
            out = block(out.features, train=train)
        flavour = self.plan.flavour_after(self.number)
        if flavour is None:
            return out
        gated = Cbam(self.layers, flavour, name="cbam")(out.features, train=train)
        if self.plan.placement == "stage_end_residual":
            return GatedFeatures(out.features + gated.features, gated.attention)
        return gated


class ResNet(nn.Module):
    """Stem, four stages, head.

    Attributes:
      num_classes: number of logits k.
      block: the residual block.
      depths: blocks in each of the four stages.
      layers: how layers compute.
      plan: where attention is.
      guided: name of the attention map that lesion masks supervise ("stage3"); None if none is.
      lungs: name of the map that masks of the lungs supervise; None if none is.
      width: channels of the stem and of the first stage; each later stage has twice as many.
    """

    num_classes: int
    block: type[BasicBlock] | type[BottleneckBlock]
    depths: tuple[int, int, int, int]
    layers: Layers
    plan: AttentionPlan = NO_ATTENTION
    guided: str | None = None
    lungs: str | None = None
    width: int = STAGE_WIDTHS[0]

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], *, train: bool = False) -> ClassifierOutput:
        """Classify normalised images, float32 `[b, h, w, c]` with any number of channels."""
        x = Stem(self.layers, self.width, name="stem")(images, train=train)
        attention = {}
        for number, depth in enumerate(self.depths, start=1):
            width, name = self.width * 2 ** (number - 1), f"stage{number}"
            stage = Stage(self.block, number, depth, width, self.layers, self.plan, name=name)(
                x, train=train
            )
            x = stage.features
            if stage.attention is not None:
                attention[f"stage{number}"] = stage.attention
        logits = Head(self.num_classes, name="head")(x)
        return ClassifierOutput(logits, attention, guided=self.guided, lungs=self.lungs)

    @property
    def laws(self) -> Laws:
        """How `init_variables` draws the parameters (CBAM's official code has its own rules)."""
        return OFFICIAL_CBAM_LAWS if self.plan.flavour == "official" else RESNET_LAWS


def resnet18(
    *,
    num_classes: int,
    width: int = STAGE_WIDTHS[0],
    depths: Sequence[int] = DEPTHS_18,
    dtype: str = "float32",
    axis_name: str | None = None,
) -> ResNet:
    """ResNet-18; 11,178,051 parameters for three classes and three input channels.

    A `width` below 64 or smaller `depths` make a narrow network that compiles and runs in a
    fraction of the time, for trials in which the network does not matter.

    Raises:
      ConfigError: `width` or `depths` cannot be used.
    """
    return _basic_resnet(num_classes, width, depths, Layers(dtype, axis_name))


def _basic_resnet(
    num_classes: int,
    width: int,
    depths: Sequence[int],
    layers: Layers,
    plan: AttentionPlan = NO_ATTENTION,
) -> ResNet:
    """A ResNet of basic blocks; checks the sizes."""
    width = check_width(width, least=REDUCTION if plan.stages else 1)
    counts = tuple(depths) if isinstance(depths, Sequence) else ()
    if len(counts) != 4 or not all(isinstance(count, int) and count > 0 for count in counts):
        raise ConfigError(
            f"depths={depths!r}: expected four positive whole numbers, the blocks of each stage, "
            f"such as {DEPTHS_18}"
        )
    return ResNet(num_classes, BasicBlock, counts, layers.in_pairs, plan, width=width)


def resnet50(*, num_classes: int, dtype: str = "float32", axis_name: str | None = None) -> ResNet:
    """ResNet-50 (v1.5); 23,514,179 parameters for three classes and three input channels."""
    return ResNet(num_classes, BottleneckBlock, (3, 4, 6, 3), Layers(dtype, axis_name))


def resnet18_cbam(
    *,
    num_classes: int,
    placement: str = "last_block",
    flavour: str = "paper",
    stages: Sequence[int] = (1, 2, 3),
    width: int = STAGE_WIDTHS[0],
    depths: Sequence[int] = DEPTHS_18,
    dtype: str = "float32",
    axis_name: str | None = None,
) -> ResNet:
    """ResNet-18 with CBAM, unsupervised attention: the paper's baseline (options: `AttentionPlan`).

    `stages=(1,)` is the simplified form of the paper's §6.3; `placement="every_block"`,
    `flavour="official"`, `stages=(1, 2, 3, 4)` is the network of the CBAM authors. `width` (at
    least 16: CBAM keeps a sixteenth of the channels) and `depths`: see `resnet18`.
    """
    plan = make_attention_plan(placement=placement, flavour=flavour, stages=stages)
    return _basic_resnet(num_classes, width, depths, Layers(dtype, axis_name), plan)
