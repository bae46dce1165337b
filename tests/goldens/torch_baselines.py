"""U-Net, SegNet and DeepLabV3 once more, in PyTorch, written for the fixtures only (needs `torch`).

State dict names are those that `mgajax.interop` reads and writes. Every network returns its logits
and those of its auxiliary head (None without one). There is no dropout: its numbers are random.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_networks import conv


def double(inputs: int, outputs: int, middle: int | None = None) -> nn.Module:
    """Two 3×3 convolutions with normalisation and ReLU, named as in U-Net."""
    middle = middle or outputs
    layers = nn.Sequential(
        conv(inputs, middle, kernel=3),
        nn.BatchNorm2d(middle),
        nn.ReLU(),
        conv(middle, outputs, kernel=3),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
    return nn.Sequential(OrderedDict(double_conv=layers))


class Down(nn.Module):
    """Pooling, then two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), double(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Doubling, padding to the skip's size, joining, two convolutions."""

    def __init__(self, inputs: int, outputs: int, *, bilinear: bool) -> None:
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = double(inputs, outputs, inputs // 2)
        else:
            self.up = nn.ConvTranspose2d(inputs, inputs // 2, kernel_size=2, stride=2)
            self.conv = double(inputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        rows, columns = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
        left, top = columns // 2, rows // 2
        x = F.pad(x, (left, columns - left, top, rows - top))
        return self.conv(torch.cat((skip, x), dim=1))


class UNet(nn.Module):
    """The padded form with batch normalisation."""

    def __init__(self, *, channels: int, classes: int = 2, bilinear: bool = False) -> None:
        super().__init__()
        self.inc = double(channels, 64)
        widths = (64, 128, 256, 512, 512 if bilinear else 1024)
        for number in range(1, 5):
            self.add_module(f"down{number}", Down(widths[number - 1], widths[number]))
        narrow = (256, 128, 64, 64) if bilinear else (512, 256, 128, 64)
        for number, (inputs, outputs) in enumerate(
            zip((1024, 512, 256, 128), narrow, strict=True), start=1
        ):
            self.add_module(f"up{number}", Up(inputs, outputs, bilinear=bilinear))
        self.outc = nn.Sequential(OrderedDict(conv=conv(64, classes, kernel=1, bias=True)))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        features = [self.inc(x)]
        for number in range(1, 5):
            features.append(self.get_submodule(f"down{number}")(features[-1]))
        x = features.pop()
        for number in range(1, 5):
            x = self.get_submodule(f"up{number}")(x, features.pop())
        return self.outc(x), None


class SegNet(nn.Module):
    """VGG-16's convolutions and their mirror, joined by the places of the maxima."""

    stages = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)

    def __init__(self, *, channels: int, classes: int = 2) -> None:
        super().__init__()
        before = channels
        for stage, widths in enumerate(self.stages, start=1):
            for number, width in enumerate(widths, start=1):
                self._add(f"conv{stage}_{number}", before, width)
                before = width
        for stage in range(5, 0, -1):
            for number in range(len(self.stages[stage - 1]), 1, -1):
                self._add(f"conv{stage}_{number}_D", before, before)
            if stage > 1:
                after = self.stages[stage - 2][-1]
                self._add(f"conv{stage}_1_D", before, after)
                before = after
        self.conv1_1_D = conv(before, classes, kernel=3, bias=True)

    def _add(self, name: str, inputs: int, outputs: int) -> None:
        self.add_module(name, conv(inputs, outputs, kernel=3, bias=True))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(outputs))

    def _run(self, name: str, x: Tensor) -> Tensor:
        x = self.get_submodule(name)(x)
        return torch.relu(self.get_submodule(f"{name}_bn")(x))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        memory = []
        for stage, widths in enumerate(self.stages, start=1):
            for number in range(1, len(widths) + 1):
                x = self._run(f"conv{stage}_{number}", x)
            size = x.shape[2:]
            x, places = F.max_pool2d(x, 2, return_indices=True)
            memory.append((places, size))
        for stage in range(5, 0, -1):
            places, size = memory.pop()
            x = F.max_unpool2d(x, places, 2, output_size=size)
            for number in range(len(self.stages[stage - 1]), 1 if stage == 1 else 0, -1):
                x = self._run(f"conv{stage}_{number}_D", x)
        return self.conv1_1_D(x), None


class DilatedBottleneck(nn.Module):
    """ResNet's bottleneck with dilation in the 3×3 convolution."""

    def __init__(self, inputs: int, width: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, kernel=1), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, 4 * width, kernel=1), nn.BatchNorm2d(4 * width)
        self.downsample = None
        if inputs != 4 * width:
            shortcut = conv(inputs, 4 * width, kernel=1, stride=stride)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


def unit(inputs: int, outputs: int, *, kernel: int = 1, dilation: int = 1) -> list[nn.Module]:
    """A convolution without bias, normalisation, ReLU."""
    pad = dilation * (kernel // 2)
    window = nn.Conv2d(inputs, outputs, kernel, 1, pad, dilation, bias=False)
    return [window, nn.BatchNorm2d(outputs), nn.ReLU()]


class Pyramid(nn.Module):
    """Five views of the features, joined."""

    def __init__(self) -> None:
        super().__init__()
        views = [unit(2048, 256)]
        views += [unit(2048, 256, kernel=3, dilation=rate) for rate in (12, 24, 36)]
        views.append([nn.AdaptiveAvgPool2d(1), *unit(2048, 256)])
        self.convs = nn.ModuleList(nn.Sequential(*view) for view in views)
        self.project = nn.Sequential(*unit(5 * 256, 256))

    def forward(self, x: Tensor) -> Tensor:
        views = [view(x).expand(-1, -1, *x.shape[2:]) for view in self.convs]
        return self.project(torch.cat(views, dim=1))


class DeepLabV3(nn.Module):
    """Output stride 8, with the auxiliary head."""

    def __init__(self, depths: tuple[int, ...], *, channels: int, classes: int = 2) -> None:
        super().__init__()
        backbone: OrderedDict[str, nn.Module] = OrderedDict()
        backbone["conv1"] = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        backbone["bn1"] = nn.BatchNorm2d(64)
        inputs = 64
        dilations = ((1, 1), (1, 1), (1, 2), (2, 4))
        for number, depth in enumerate(depths):
            first, others = dilations[number]
            blocks = []
            for index in range(depth):
                stride = 2 if number == 1 and index == 0 else 1
                dilation = others if index else first
                width = 64 * 2**number
                blocks.append(DilatedBottleneck(inputs, width, stride=stride, dilation=dilation))
                inputs = 4 * width
            backbone[f"layer{number + 1}"] = nn.Sequential(*blocks)
        self.backbone = nn.ModuleDict(backbone)
        last = conv(256, classes, kernel=1, bias=True)
        self.classifier = nn.Sequential(Pyramid(), *unit(256, 256, kernel=3), last)
        last = conv(256, classes, kernel=1, bias=True)
        self.aux_classifier = nn.Sequential(*unit(1024, 256, kernel=3), nn.Identity(), last)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.backbone["bn1"](self.backbone["conv1"](images)))
        x = F.max_pool2d(x, 3, 2, 1)
        third = self.backbone["layer3"](self.backbone["layer2"](self.backbone["layer1"](x)))
        fourth = self.backbone["layer4"](third)
        heads = (self.classifier(fourth), self.aux_classifier(third))
        size = images.shape[2:]
        main, second = (F.interpolate(head, size, mode="bilinear") for head in heads)
        return main, second
