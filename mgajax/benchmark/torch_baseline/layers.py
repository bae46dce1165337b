"""Layers of the networks. Layout is NCHW; padding is symmetric."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Output(NamedTuple):
    """What every network returns.

    Attributes:
      logits: `[b, k]`, or `[b, k, h, w]` at the images' size.
      maps: by name: a classifier's attention maps `[b, 1, h, w]`; a segmenter's coarse predictions
        at the images' size ("ocr", "fcn") and HMSANet's of each scale at that scale's size
        ("scale_0.5", ...).
    """

    logits: Tensor
    maps: dict[str, Tensor]


def conv(
    inputs: int,
    outputs: int,
    *,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """A square convolution padded by `dilation * (kernel // 2)` on every side."""
    pad = dilation * (kernel // 2)
    return nn.Conv2d(inputs, outputs, kernel, stride, pad, dilation, bias=bias)


def conv_norm(
    inputs: int,
    outputs: int,
    *,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    activation: str = "relu",
) -> list[nn.Module]:
    """Convolution, batch normalisation and, unless `activation` is "none", ReLU."""
    window = conv(inputs, outputs, kernel=kernel, stride=stride, dilation=dilation)
    layers: list[nn.Module] = [window, nn.BatchNorm2d(outputs)]
    return [*layers, nn.ReLU()] if activation == "relu" else layers


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear with aligned pixel centres and no antialiasing; as it is where the size fits."""
    if x.shape[2:] == size:
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def widen(x: Tensor) -> Tensor:
    """As float32 or wider, for values that must not be rounded (logits, softmax, attention)."""
    return x if x.dtype == torch.float64 else x.float()


def size_of(x: Tensor) -> tuple[int, int]:
    """Height and width."""
    return x.shape[2], x.shape[3]
