"""U-Net (see `mgajax.models.unet`)."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgajax.benchmark.torch_baseline.layers import Output, conv, conv_norm

DOUBLINGS = 4


def double(inputs: int, middle: int, outputs: int) -> nn.Module:
    """3×3 convolution, normalisation, ReLU, twice."""
    layers = [*conv_norm(inputs, middle, kernel=3), *conv_norm(middle, outputs, kernel=3)]
    return nn.Sequential(OrderedDict(double_conv=nn.Sequential(*layers)))


class Encoder(nn.Module):
    """Half the size, then two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), double(inputs, outputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map `[b, c, h, w]` to `[b, d, h // 2, w // 2]`."""
        return self.maxpool_conv(x)


class TorchDecoder(nn.Module):
    """Doubles the size, joins the encoder's features of that size, and convolves."""

    def __init__(self, inputs: int, skipped: int, outputs: int, *, upsampling: str) -> None:
        super().__init__()
        if upsampling == "transposed":
            self.up = nn.ConvTranspose2d(inputs, inputs // 2, kernel_size=2, stride=2)
            self.conv = double(inputs // 2 + skipped, outputs, outputs)
        else:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            joined = inputs + skipped
            self.conv = double(joined, joined // 2, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map features and the encoder's `skip` to features of the skip's size."""
        x = self.up(x)
        down, right = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
        x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        return self.conv(torch.cat((skip, x), dim=1))


class TorchUNet(nn.Module):
    """Five encoders, four decoders, a 1×1 convolution; `upsampling` is "transposed" or "bilinear"."""

    def __init__(self, *, num_classes: int, channels: int, upsampling: str, width: int) -> None:
        super().__init__()
        narrowed = 2 if upsampling == "bilinear" else 1
        widths = [width * 2**number for number in range(DOUBLINGS + 1)]
        self.inc = double(channels, width, width)
        inputs = width
        for number, outputs in enumerate(widths[1:], start=1):
            outputs = outputs // narrowed if number == DOUBLINGS else outputs
            self.add_module(f"down{number}", Encoder(inputs, outputs))
            inputs = outputs
        for number, skipped in enumerate(reversed(widths[:-1]), start=1):
            outputs = skipped if number == DOUBLINGS else skipped // narrowed
            self.add_module(
                f"up{number}", TorchDecoder(inputs, skipped, outputs, upsampling=upsampling)
            )
            inputs = outputs
        last = conv(inputs, num_classes, kernel=1, bias=True)
        self.outc = nn.Sequential(OrderedDict(conv=last))

    def forward(self, images: Tensor) -> Output:
        """Segment normalised images `[b, c, h, w]`."""
        features = [self.inc(images)]
        numbers = range(1, DOUBLINGS + 1)
        for number in numbers:
            features.append(getattr(self, f"down{number}")(features[-1]))
        x = features.pop()
        for number in numbers:
            x = getattr(self, f"up{number}")(x, features.pop())
        return Output(self.outc(x), {})
