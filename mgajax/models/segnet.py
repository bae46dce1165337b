"""SegNet (Badrinarayanan et al. 2017): VGG-16's convolutions, and their mirror image.

The decoder has no learnt up-sampling: it puts each value back where the encoder's pooling found its
maximum. Layers have the names of the authors' Caffe definition (`conv3_2`, `conv3_2_bn`,
`conv3_2_D`, ...), which is followed here except in one point: as in the PyTorch ports, an odd last row
or column is not pooled.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from mgajax.errors import ConfigError
from mgajax.models.blocks import Layers, check_width
from mgajax.models.initialise import Laws, constant, normal_fan_in
from mgajax.models.outputs import SegmenterOutput
from mgajax.models.resampling_2x2 import max_pool_2x2, unpool_2x2

WIDTH = 64
ENCODER = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
"""Channels of each convolution by stage, in units of the network's width."""

SMALLEST = 2 ** len(ENCODER)
ROUNDING = 4.0
"""In evaluation, values of a pooling window that differ by rounding alone count as equal. On the uniform
background of a CT slice all four do, and another runtime, with other rounding, would put them back at
other positions. (In training the largest one wins, as in PyTorch.)"""

SEGNET_LAWS: Laws = (
    ("*/scale", constant(1.0)),
    ("*_bn/bias", constant(0.001)),
    ("*/bias", constant(0.0)),
    ("*/kernel", normal_fan_in),
)
"""The authors': He et al.'s law (their encoder starts from VGG-16), normalisation shifted by 0.001."""


class SegNet(nn.Module):
    """Five encoder stages with pooling, five decoder stages with unpooling at the same positions.

    Attributes:
      num_classes: number of logits k a pixel.
      layers: how layers compute.
      width: channels of the first stage; the last has eight times as many.
    """

    num_classes: int
    layers: Layers
    width: int = WIDTH

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], *, train: bool = False) -> SegmenterOutput:
        """Segment normalised images, float32 `[b, h, w, c]`, sides of at least 32 pixels.

        Raises:
          ConfigError: smaller images.
        """
        if min(images.shape[1:3]) < SMALLEST:
            raise ConfigError(
                f"segnet: images of {images.shape[1]}×{images.shape[2]} pixels; "
                f"five poolings need sides of at least {SMALLEST}"
            )
        x, positions, sizes = images, [], []
        for stage, multiples in enumerate(ENCODER, start=1):
            names = [f"conv{stage}_{number}" for number in range(1, len(multiples) + 1)]
            x = self._convolutions(x, multiples, names=names, train=train)
            sizes.append((x.shape[1], x.shape[2]))
            pooled = max_pool_2x2(x, rounding=0.0 if train else ROUNDING)
            x = pooled.values
            positions.append(pooled.positions)
        for stage in range(len(ENCODER), 0, -1):
            x = unpool_2x2(x, positions[stage - 1], size=sizes[stage - 1])
            multiples = _decoder_multiples(stage)
            last = len(ENCODER[stage - 1])
            names = [f"conv{stage}_{last - index}_D" for index in range(len(multiples))]
            x = self._convolutions(x, multiples, names=names, train=train)
        scores = self.layers.class_scores(self.num_classes, kernel=3, name="conv1_1_D")
        return SegmenterOutput(logits=scores(x))

    def _convolutions(
        self, x: Array, multiples: Sequence[int], *, names: Sequence[str], train: bool
    ) -> Array:
        """3×3 convolution with bias, normalisation, ReLU; once a multiple of the width."""
        for multiple, name in zip(multiples, names, strict=True):
            x = self.layers.conv(multiple * self.width, kernel=3, bias=True, name=name)(x)
            x = jax.nn.relu(self.layers.norm(name=f"{name}_bn")(x, train=train))
        return x

    @property
    def laws(self) -> Laws:
        """How `init_variables` draws the parameters."""
        return SEGNET_LAWS


def _decoder_multiples(stage: int) -> tuple[int, ...]:
    """A stage's multiples mirrored, the last one that of the stage above (the first: the class scores)."""
    same = ENCODER[stage - 1][1:]
    return same if stage == 1 else (*same, ENCODER[stage - 2][-1])


def segnet(
    *,
    num_classes: int,
    width: int = WIDTH,
    dtype: str = "float32",
    axis_name: str | None = None,
) -> SegNet:
    """SegNet; 29,444,162 parameters for two classes and three input channels (`width`: see `unet`).

    Raises:
      ConfigError: unknown `dtype`, an unusable `width`.
    """
    return SegNet(num_classes, Layers(dtype, axis_name), check_width(width))
