"""HMSANet: HRNetV2, the OCR head and attention between scales (see `mgajax.models.hmsanet`)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mgajax.benchmark.torch_baseline.hrnet import TorchHRNet
from mgajax.benchmark.torch_baseline.layers import Output, conv, resize, size_of, widen

TRAINING_SCALES = (0.5, 1.0)


class TorchScalePass(NamedTuple):
    """Logits, coarse logits and attention of one scale, at that scale's image size."""

    logits: Tensor
    coarse: Tensor
    attention: Tensor


def norm_relu(channels: int) -> nn.Module:
    """Batch normalisation and ReLU as one layer."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


def unit(inputs: int, outputs: int, *, kernel: int = 1, bias: bool = False) -> list[nn.Module]:
    """Convolution, normalisation, ReLU."""
    return [conv(inputs, outputs, kernel=kernel, bias=bias), norm_relu(outputs)]


class TorchObjectAttention(nn.Module):
    """Every pixel's mixture of the classes' representations, weighted by likeness."""

    def __init__(self, middle: int, key: int) -> None:
        super().__init__()
        self.scale = key**-0.5
        self.f_pixel = nn.Sequential(*unit(middle, key), *unit(key, key))
        self.f_object = nn.Sequential(*unit(middle, key), *unit(key, key))
        self.f_down = nn.Sequential(*unit(middle, key))
        self.f_up = nn.Sequential(*unit(key, middle))

    def forward(self, pixels: Tensor, classes: Tensor) -> Tensor:
        """Pixels `[b, c, h, w]`, classes `[b, c, k, 1]`: the context of every pixel."""
        query = self.f_pixel(pixels).flatten(2).transpose(1, 2)
        key = self.f_object(classes).flatten(2)
        value = self.f_down(classes).flatten(2).transpose(1, 2)
        share = torch.softmax(widen(torch.matmul(query, key)) * self.scale, dim=-1)
        mixture = torch.matmul(share.to(value.dtype), value).transpose(1, 2)
        return self.f_up(mixture.reshape(mixture.shape[0], -1, *pixels.shape[2:]))


class ObjectHead(nn.Module):
    """The context, joined with the pixels."""

    def __init__(self, middle: int, key: int, *, dropout: float) -> None:
        super().__init__()
        self.object_context_block = TorchObjectAttention(middle, key)
        self.conv_bn_dropout = nn.Sequential(*unit(2 * middle, middle), nn.Dropout2d(dropout))

    def forward(self, pixels: Tensor, classes: Tensor) -> Tensor:
        """Map pixels to features of the same shape."""
        context = self.object_context_block(pixels, classes)
        return self.conv_bn_dropout(torch.cat((context, pixels), dim=1))


class TorchOcrHead(nn.Module):
    """Coarse logits, the classes' representations, their context for every pixel, logits."""

    def __init__(
        self, inputs: int, *, num_classes: int, middle: int, key: int, dropout: float
    ) -> None:
        super().__init__()
        self.conv3x3_ocr = nn.Sequential(*unit(inputs, middle, kernel=3, bias=True))
        self.aux_head = nn.Sequential(
            *unit(inputs, inputs, bias=True), conv(inputs, num_classes, kernel=1, bias=True)
        )
        self.ocr_distri_head = ObjectHead(middle, key, dropout=dropout)
        self.cls_head = conv(middle, num_classes, kernel=1, bias=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, coarse logits and the features that the logits were made of."""
        pixels = self.conv3x3_ocr(x)
        coarse = self.aux_head(x)
        weights = torch.softmax(widen(coarse).flatten(2), dim=2).to(pixels.dtype)
        classes = torch.matmul(weights, pixels.flatten(2).transpose(1, 2))
        features = self.ocr_distri_head(pixels, classes.transpose(1, 2).unsqueeze(3))
        return self.cls_head(features), coarse, features


class TorchScaleAttention(nn.Module):
    """How much a pixel trusts the scale that it is seen at."""

    def __init__(self, inputs: int, key: int) -> None:
        super().__init__()
        self.conv0, self.bn0 = conv(inputs, key, kernel=3), nn.BatchNorm2d(key)
        self.conv1, self.bn1 = conv(key, key, kernel=3), nn.BatchNorm2d(key)
        self.conv2 = conv(key, 1, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map features to attention in (0, 1), `[b, 1, h, w]`."""
        x = torch.relu(self.bn0(self.conv0(x)))
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.sigmoid(self.conv2(x))


class TorchHMSANet(nn.Module):
    """One network at several scales, whose logits attention combines (paper Eq. 1).

    Args:
      num_classes: number of logits.
      channels: of the images.
      trunk: the fields of `mgajax.models.hrnet.TrunkPlan`.
      head: the fields of `mgajax.models.ocr.HeadPlan`.
      scales: of inference; training sees `TRAINING_SCALES`.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        channels: int,
        trunk: Mapping[str, Any],
        head: Mapping[str, Any],
        scales: Sequence[float],
    ) -> None:
        super().__init__()
        self.scales = tuple(sorted(scales))
        self.backbone = TorchHRNet(channels=channels, **trunk)
        self.ocr = TorchOcrHead(self.backbone.features, num_classes=num_classes, **head)
        self.scale_attn = TorchScaleAttention(head["middle"], head["key"])

    def forward(self, images: Tensor) -> Output:
        """Segment normalised images `[b, c, h, w]`."""
        size = size_of(images)
        passes = {
            scale: self._pass(resize(images, (int(size[0] * scale), int(size[1] * scale))))
            for scale in (TRAINING_SCALES if self.training else self.scales)
        }
        trust = {scale: scale_pass.attention for scale, scale_pass in passes.items()}
        logits = combine({scale: scale_pass.logits for scale, scale_pass in passes.items()}, trust)
        coarse = combine({scale: scale_pass.coarse for scale, scale_pass in passes.items()}, trust)
        logits_by_scale = {
            f"scale_{scale}": scale_pass.logits for scale, scale_pass in passes.items()
        }
        return Output(logits, {"ocr": coarse, **logits_by_scale})

    def _pass(self, images: Tensor) -> TorchScalePass:
        size = size_of(images)
        logits, coarse, features = self.ocr(self.backbone(images))
        attention = self.scale_attn(features)
        return TorchScalePass(*(resize(widen(x), size) for x in (logits, coarse, attention)))


def combine(logits: Mapping[float, Tensor], attention: Mapping[float, Tensor]) -> Tensor:
    """The scales' logits from the finest to the coarsest; high attention trusts the coarser."""
    finest, *coarser = sorted(logits, reverse=True)
    combined = logits[finest]
    for scale in coarser:
        trust = attention[scale]
        trusted = trust * logits[scale]
        if scale >= 1.0:
            combined = resize(combined, size_of(trusted))
        else:
            size = size_of(combined)
            trust, trusted = resize(trust, size), resize(trusted, size)
        combined = trusted + (1.0 - trust) * combined
    return combined
