"""ResNet-18 and ResNet-50 with optional CBAM (He et al. 2016; Woo et al. 2018; paper Fig. 4).

Structure and numerics as in torchvision (BSD-3): post-activation blocks, shortcut convolutions
only where the shape changes, and in the bottleneck the stride on the 3×3 convolution.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from mgajax.models.blocks import ClassifierOutput, Head, Layers, Stem
from mgajax.models.cbam import Attended, AttentionPlan, Cbam, attention_plan
from mgajax.models.initialise import (
    OFFICIAL_CBAM_LAWS,
    RESNET_LAWS,
    Laws,
)

STAGE_WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; attention, if any, gates the branch before the sum."""

    width: int
    stride: int
    layers: Layers
    flavour: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Attended:
        """Map features to features of `width` channels, `stride` times smaller."""
        make = self.layers
        y = make.conv(self.width, kernel=3, stride=self.stride, name="conv1")(x)
        y = jax.nn.relu(make.norm(name="norm1")(y, train=train))
        y = make.conv(self.width, kernel=3, name="conv2")(y)
        y = make.norm(name="norm2")(y, train=train)
        branch = Attended(y)
        if self.flavour is not None:
            branch = Cbam(make, self.flavour, name="cbam")(y, train=train)
        x = _shortcut(x, self.width, stride=self.stride, make=make, train=train)
        return Attended(jax.nn.relu(branch.features + x), branch.attention)


class BottleneckBlock(nn.Module):
    """1×1, 3×3 (with the stride), 1×1 to four times the width, and a shortcut."""

    width: int
    stride: int
    layers: Layers
    flavour: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Attended:
        """Map features to features of `4 * width` channels, `stride` times smaller."""
        make = self.layers
        y = make.conv(self.width, kernel=1, name="conv1")(x)
        y = jax.nn.relu(make.norm(name="norm1")(y, train=train))
        y = make.conv(self.width, kernel=3, stride=self.stride, name="conv2")(y)
        y = jax.nn.relu(make.norm(name="norm2")(y, train=train))
        y = make.conv(4 * self.width, kernel=1, name="conv3")(y)
        y = make.norm(name="norm3")(y, train=train)
        branch = Attended(y)
        if self.flavour is not None:
            branch = Cbam(make, self.flavour, name="cbam")(y, train=train)
        x = _shortcut(x, 4 * self.width, stride=self.stride, make=make, train=train)
        return Attended(jax.nn.relu(branch.features + x), branch.attention)


def _shortcut(x: Array, channels: int, *, stride: int, make: Layers, train: bool) -> Array:
    if stride == 1 and x.shape[-1] == channels:
        return x
    x = make.conv(channels, kernel=1, stride=stride, name="shortcut_conv")(x)
    return make.norm(name="shortcut_norm")(x, train=train)


class Stage(nn.Module):
    """Blocks of one width, and the attention that the plan gives to this stage."""

    block: type[BasicBlock] | type[BottleneckBlock]
    number: int
    depth: int
    layers: Layers
    plan: AttentionPlan | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Attended:
        """Return the stage's features and its last attention map."""
        width, out = STAGE_WIDTHS[self.number - 1], Attended(x)
        for index in range(self.depth):
            last = index == self.depth - 1
            attends = self.plan is not None and self.plan.in_block(stage=self.number, last=last)
            out = self.block(
                width,
                stride=2 if index == 0 and self.number > 1 else 1,
                layers=self.layers,
                flavour=self.plan.flavour if self.plan is not None and attends else None,
                name=f"block{index}",
            )(out.features, train=train)
        if self.plan is not None and self.plan.after_stage(self.number):
            gated = Cbam(self.layers, self.plan.flavour, name="cbam")(out.features, train=train)
            if self.plan.placement == "stage_end_residual":
                gated = Attended(out.features + gated.features, gated.attention)
            out = gated
        return out


class ResNet(nn.Module):
    """Stem, four stages, head.

    Attributes:
      num_classes: number of logits k.
      block: the residual block.
      depths: blocks in each of the four stages.
      layers: how layers compute.
      plan: where attention sits; None for a plain ResNet.
      guided: name of the attention map that masks supervise ("stage3"); None if none is.
    """

    num_classes: int
    block: type[BasicBlock] | type[BottleneckBlock]
    depths: tuple[int, int, int, int]
    layers: Layers
    plan: AttentionPlan | None = None
    guided: str | None = None

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], *, train: bool = False) -> ClassifierOutput:
        """Classify normalised images, float32 `[b, h, w, c]` with any number of channels."""
        x = Stem(self.layers, name="stem")(images, train=train)
        attention = {}
        for number, depth in enumerate(self.depths, start=1):
            stage = Stage(self.block, number, depth, self.layers, self.plan, name=f"stage{number}")(
                x, train=train
            )
            x = stage.features
            if stage.attention is not None:
                attention[f"stage{number}"] = stage.attention
        logits = Head(self.num_classes, name="head")(x)
        return ClassifierOutput(logits=logits, attention=attention, guided=self.guided)

    @property
    def laws(self) -> Laws:
        """How `init_variables` draws the parameters (CBAM's official code has its own rules)."""
        official = self.plan is not None and self.plan.flavour == "official"
        return OFFICIAL_CBAM_LAWS if official else RESNET_LAWS


def resnet18(*, num_classes: int, dtype: str = "float32", axis_name: str | None = None) -> ResNet:
    """ResNet-18; 11,178,051 parameters for three classes and three input channels."""
    return ResNet(num_classes, BasicBlock, (2, 2, 2, 2), Layers(dtype, axis_name))


def resnet50(*, num_classes: int, dtype: str = "float32", axis_name: str | None = None) -> ResNet:
    """ResNet-50 (v1.5); 23,514,179 parameters for three classes and three input channels."""
    return ResNet(num_classes, BottleneckBlock, (3, 4, 6, 3), Layers(dtype, axis_name))


def resnet18_cbam(
    *,
    num_classes: int,
    placement: str = "last_block",
    flavour: str = "paper",
    stages: Sequence[int] = (1, 2, 3),
    dtype: str = "float32",
    axis_name: str | None = None,
) -> ResNet:
    """ResNet-18 with CBAM, unsupervised attention: the paper's baseline (options: `AttentionPlan`).

    `stages=(1,)` is the simplified form of the paper's §6.3; `placement="every_block"`,
    `flavour="official"`, `stages=(1, 2, 3, 4)` is the network of the CBAM authors.
    """
    plan = attention_plan(placement=placement, flavour=flavour, stages=stages)
    return ResNet(num_classes, BasicBlock, (2, 2, 2, 2), Layers(dtype, axis_name), plan)
