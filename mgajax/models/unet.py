"""U-Net (Ronneberger et al. 2015), in the form of later papers.

Structure and numerics follow the public PyTorch definition of milesial (Pytorch-UNet): padded
convolutions with batch normalisation, so that the output has the size of the input. The paper
only says "U-Net".
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mgajax.errors import ConfigError, nearest
from mgajax.models.blocks import Layers, check_width
from mgajax.models.initialise import Laws, constant, uniform_fan_in, uniform_fan_out
from mgajax.models.outputs import SegmenterOutput
from mgajax.models.resampling_2x2 import TransposedConv2x2, max_pool_2x2, pad_to
from mgajax.models.resize import resize_features

UPSAMPLINGS = ("transposed", "bilinear")
WIDTH = 64
DOUBLINGS = 4
SMALLEST = 2**DOUBLINGS

UNET_LAWS: Laws = (
    ("*/up/*", uniform_fan_out),
    ("head/*", uniform_fan_in),
    ("*/scale", constant(1.0)),
    ("*/bias", constant(0.0)),
    ("*/kernel", uniform_fan_in),
)
"""The defaults of PyTorch's layers, as in the public definition."""


class DoubleConv(nn.Module):
    """3×3 convolution, normalisation, ReLU, twice: to `middle` channels, then to `width`."""

    middle: int
    width: int
    layers: Layers

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w d"]:
        """Map features to features of the same size."""
        for number, width in enumerate((self.middle, self.width), start=1):
            x = self.layers.conv(width, kernel=3, name=f"conv{number}")(x)
            x = jax.nn.relu(self.layers.norm(name=f"norm{number}")(x, train=train))
        return x


class Decoder(nn.Module):
    """Doubles the size, joins the encoder's features of that size, and convolves."""

    width: int
    upsampling: str
    layers: Layers

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], skip: Float[Array, "b H W s"], *, train: bool
    ) -> Float[Array, "b H W d"]:
        """Map features `x` and the encoder's `skip` to features of the skip's size."""
        middle = self.width
        if self.upsampling == "transposed":
            x = TransposedConv2x2(x.shape[-1] // 2, self.layers, name="up")(x)
        else:
            size = (2 * x.shape[1], 2 * x.shape[2])
            x = resize_features(x, size=size, method="bilinear_corners")
            middle = (x.shape[-1] + skip.shape[-1]) // 2
        x = pad_to(x, size=(skip.shape[1], skip.shape[2]), centred=True)
        joined = jnp.concatenate([skip, x], axis=-1)
        return DoubleConv(middle, self.width, self.layers, name="double")(joined, train=train)


class UNet(nn.Module):
    """Five encoders, four decoders, a 1×1 convolution.

    Attributes:
      num_classes: number of logits k a pixel.
      upsampling: "transposed" convolutions, or "bilinear" without parameters.
      layers: how layers compute.
      width: channels of the first encoder; each later one has twice as many.
    """

    num_classes: int
    upsampling: str
    layers: Layers
    width: int = WIDTH

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], *, train: bool = False) -> SegmenterOutput:
        """Segment normalised images, float32 `[b, h, w, c]`, sides of at least 16 pixels.

        Raises:
          ConfigError: smaller images.
        """
        if min(images.shape[1:3]) < SMALLEST:
            raise ConfigError(
                f"unet: images of {images.shape[1]}×{images.shape[2]} pixels; "
                f"four poolings need sides of at least {SMALLEST}"
            )
        # Without parameters, up-sampling cannot halve the channels: the convolutions before do.
        narrowed = 2 if self.upsampling == "bilinear" else 1
        widths = [self.width * 2**number for number in range(DOUBLINGS + 1)]
        x = DoubleConv(widths[0], widths[0], self.layers, name="encoder0")(images, train=train)
        skips = []
        for number, width in enumerate(widths[1:], start=1):
            skips.append(x)
            width = width // narrowed if number == DOUBLINGS else width
            x = max_pool_2x2(x).values
            x = DoubleConv(width, width, self.layers, name=f"encoder{number}")(x, train=train)
        for number, skip in enumerate(reversed(skips), start=1):
            width = widths[-1 - number]
            width = width if number == len(skips) else width // narrowed
            decoder = Decoder(width, self.upsampling, self.layers, name=f"decoder{number}")
            x = decoder(x, skip, train=train)
        return SegmenterOutput(logits=self.layers.class_scores(self.num_classes, name="head")(x))

    @property
    def laws(self) -> Laws:
        """How `init_variables` draws the parameters."""
        return UNET_LAWS


def unet(
    *,
    num_classes: int,
    upsampling: str = "transposed",
    width: int = WIDTH,
    dtype: str = "float32",
    axis_name: str | None = None,
) -> UNet:
    """U-Net; for two classes and three input channels 31,037,698 parameters ("bilinear": 17,263,042).

    A `width` below 64 narrows every layer in proportion, for devices that the published one overtaxes.

    Raises:
      ConfigError: unknown `upsampling` or `dtype`, an unusable `width`.
    """
    if upsampling not in UPSAMPLINGS:
        raise ConfigError(f"upsampling={upsampling!r}: {nearest(str(upsampling), UPSAMPLINGS)}")
    return UNet(num_classes, upsampling, Layers(dtype, axis_name), check_width(width))
