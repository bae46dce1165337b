"""DeepLabV3 (see `mgajax.models.deeplabv3`)."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgajax.benchmark.torch_baseline.layers import Output, conv, conv_norm, resize, size_of
from mgajax.benchmark.torch_baseline.resnet import TorchBlock

STRIDES = (1, 2, 1, 1)
DILATIONS = (1, 1, 2, 4)
RATES = (12, 24, 36)


class Pyramid(nn.Module):
    """1×1, 3×3 at three rates and the global mean side by side; then dropout."""

    def __init__(self, inputs: int, *, dropout: float) -> None:
        super().__init__()
        width = inputs // 8
        views = [conv_norm(inputs, width, kernel=1)]
        views += [conv_norm(inputs, width, kernel=3, dilation=rate) for rate in RATES]
        views.append([nn.AdaptiveAvgPool2d(1), *conv_norm(inputs, width, kernel=1)])
        self.convs = nn.ModuleList(nn.Sequential(*view) for view in views)
        joined = conv_norm(len(views) * width, width, kernel=1)
        self.project = nn.Sequential(*joined, nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Map features to an eighth of their channels (256 of 2,048) at the same size."""
        views = [view(x).expand(-1, -1, *x.shape[2:]) for view in self.convs]
        return self.project(torch.cat(views, dim=1))


def dilated_backbone(channels: int, depths: Sequence[int], *, width: int) -> nn.ModuleDict:
    """A bottleneck ResNet without its head, at an eighth of the images' size."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv1"], parts["bn1"] = conv(channels, width, kernel=7, stride=2), nn.BatchNorm2d(width)
    inputs, before = width, 1
    for number, depth in enumerate(depths):
        blocks, inner = [], width * 2**number
        for index in range(depth):
            is_first = index == 0
            blocks.append(
                TorchBlock(
                    inputs,
                    inner,
                    kind="bottleneck",
                    stride=STRIDES[number] if is_first else 1,
                    dilation=before if is_first else DILATIONS[number],
                )
            )
            inputs = 4 * inner
        parts[f"layer{number + 1}"] = nn.Sequential(*blocks)
        before = DILATIONS[number]
    return nn.ModuleDict(parts)


class TorchDeepLabV3(nn.Module):
    """A dilated backbone and one or two heads (`auxiliary` is "fcn" or "none")."""

    def __init__(
        self,
        *,
        num_classes: int,
        channels: int,
        depths: Sequence[int],
        width: int,
        auxiliary: str,
        dropout: float,
        auxiliary_dropout: float,
    ) -> None:
        super().__init__()
        self.backbone = dilated_backbone(channels, depths, width=width)
        third, fourth = 16 * width, 32 * width
        self.classifier = nn.Sequential(
            Pyramid(fourth, dropout=dropout),
            *conv_norm(fourth // 8, fourth // 8, kernel=3),
            conv(fourth // 8, num_classes, kernel=1, bias=True),
        )
        self.aux_classifier = None
        if auxiliary == "fcn":
            self.aux_classifier = nn.Sequential(
                *conv_norm(third, third // 4, kernel=3),
                nn.Dropout(auxiliary_dropout),
                conv(third // 4, num_classes, kernel=1, bias=True),
            )

    def forward(self, images: Tensor) -> Output:
        """Segment normalised images `[b, c, h, w]`; `maps` holds "fcn", if there is that head."""
        x = torch.relu(self.backbone["bn1"](self.backbone["conv1"](images)))
        x = F.max_pool2d(x, 3, 2, 1)
        features = []
        for number in range(1, len(DILATIONS) + 1):
            for block in self.backbone[f"layer{number}"]:
                x, _ = block(x)
            features.append(x)
        size = size_of(images)
        logits = resize(self.classifier(x), size)
        if self.aux_classifier is None:
            return Output(logits, {})
        return Output(logits, {"fcn": resize(self.aux_classifier(features[2]), size)})
