"""The classifiers once more, in PyTorch, written for the fixtures only (needs `torch`).

State dict names are those that `mgajax.interop` reads and writes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv(
    inputs: int, outputs: int, *, kernel: int, stride: int = 1, bias: bool = False
) -> nn.Conv2d:
    """A square convolution padded by half its size."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias)


class PaperChannelGate(nn.Module):
    """Shared bias-free 1×1 convolutions on the mean and the maximum over space."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = channels // 16
        self.fc = nn.Sequential(
            conv(channels, squeezed, kernel=1), nn.ReLU(), conv(squeezed, channels, kernel=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        mean, maximum = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return torch.sigmoid(self.fc(mean) + self.fc(maximum))


class PaperSpatialGate(nn.Module):
    """7×7 convolution over [mean, maximum] of the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv(2, 1, kernel=7)

    def forward(self, x: Tensor) -> Tensor:
        pair = torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), dim=1)
        return torch.sigmoid(self.conv1(pair))


class PaperCbam(nn.Module):
    """Eq. 1-2 of the paper."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ca, self.sa = PaperChannelGate(channels), PaperSpatialGate()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x * self.ca(x)
        attention = self.sa(x)
        return x * attention, attention


class OfficialChannelGate(nn.Module):
    """Shared linear layers with biases on the mean and the maximum over space."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = channels // 16
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(channels, squeezed), nn.ReLU(), nn.Linear(squeezed, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        total = self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))
        return torch.sigmoid(total)[:, :, None, None]


class OfficialSpatialGate(nn.Module):
    """7×7 convolution over [maximum, mean] of the channels, normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.ModuleDict(
            {"conv": conv(2, 1, kernel=7), "bn": nn.BatchNorm2d(1, momentum=0.01)}
        )

    def forward(self, x: Tensor) -> Tensor:
        pair = torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), dim=1)
        return torch.sigmoid(self.spatial["bn"](self.spatial["conv"](pair)))


class OfficialCbam(nn.Module):
    """The flavour of the CBAM authors' released code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ChannelGate = OfficialChannelGate(channels)
        self.SpatialGate = OfficialSpatialGate()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x * self.ChannelGate(x)
        attention = self.SpatialGate(x)
        return x * attention, attention


CBAM = {"paper": PaperCbam, "official": OfficialCbam}


class Block(nn.Module):
    """A residual block of either kind; `cbam` is the flavour on its branch, or None."""

    def __init__(
        self, inputs: int, width: int, *, stride: int, bottleneck: bool, cbam: str | None
    ) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        sizes = ((inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1))
        if not bottleneck:
            sizes = ((inputs, width, 3, stride), (width, width, 3, 1))
        self.depth = len(sizes)
        for index, (a, b, kernel, step) in enumerate(sizes, start=1):
            self.add_module(f"conv{index}", conv(a, b, kernel=kernel, stride=step))
            self.add_module(f"bn{index}", nn.BatchNorm2d(b))
        self.cbam = CBAM[cbam](outputs) if cbam else None
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                conv(inputs, outputs, kernel=1, stride=stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        y, attention = x, None
        for index in range(1, self.depth + 1):
            y = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(y))
            y = F.relu(y) if index < self.depth else y
        if self.cbam is not None:
            y, attention = self.cbam(y)
        return F.relu(y + (x if self.downsample is None else self.downsample(x))), attention


class ResNet(nn.Module):
    """ResNet with attention as `placement`, `flavour` and `stages` say (no stages: none)."""

    def __init__(
        self,
        depths: tuple[int, ...],
        *,
        bottleneck: bool = False,
        placement: str = "last_block",
        flavour: str = "paper",
        stages: tuple[int, ...] = (),
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.placement = placement
        self.conv1, self.bn1 = conv(channels, 64, kernel=7, stride=2), nn.BatchNorm2d(64)
        inputs, growth = 64, 4 if bottleneck else 1
        for stage, depth in enumerate(depths, start=1):
            blocks = []
            for index in range(depth):
                inside = placement == "every_block" or (
                    placement == "last_block" and index == depth - 1
                )
                blocks.append(
                    Block(
                        inputs,
                        width := 32 * 2**stage,
                        stride=2 if stage > 1 and index == 0 else 1,
                        bottleneck=bottleneck,
                        cbam=flavour if inside and stage in stages else None,
                    )
                )
                inputs = width * growth
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            if placement.startswith("stage_end") and stage in stages:
                self.add_module(f"cbam{stage}", CBAM[flavour](inputs))
        self.fc = nn.Linear(inputs, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        maps = {}
        for stage in range(1, 5):
            attention = None
            for block in getattr(self, f"layer{stage}"):
                x, attention = block(x)
            if hasattr(self, f"cbam{stage}"):
                gated, attention = getattr(self, f"cbam{stage}")(x)
                x = x + gated if self.placement == "stage_end_residual" else gated
            if attention is not None:
                maps[f"stage{stage}"] = attention
        return self.fc(x.mean((2, 3))), maps


class DenseLayer(nn.Module):
    """Bottleneck layer of 32 new features."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, 128, kernel=1)
        self.norm2, self.conv2 = nn.BatchNorm2d(128), conv(128, 32, kernel=3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        return torch.cat((x, self.conv2(F.relu(self.norm2(y)))), dim=1)


class Transition(nn.Module):
    """Half the channels, half the size."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(inputs), conv(inputs, inputs // 2, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


class DenseNet(nn.Module):
    """DenseNet-121 with three classes."""

    def __init__(self, *, channels: int = 3) -> None:
        super().__init__()
        width = 64
        body = {"conv0": conv(channels, 64, kernel=7, stride=2), "norm0": nn.BatchNorm2d(64)}
        body |= {"relu0": nn.ReLU(), "pool0": nn.MaxPool2d(3, 2, 1)}
        for stage, depth in enumerate((6, 12, 24, 16), start=1):
            layers = {f"denselayer{i + 1}": DenseLayer(width + 32 * i) for i in range(depth)}
            block = nn.Sequential()
            for name, layer in layers.items():
                block.add_module(name, layer)
            body[f"denseblock{stage}"], width = block, width + 32 * depth
            if stage < 4:
                body[f"transition{stage}"], width = Transition(width), width // 2
        self.features = nn.Sequential()
        for name, module in (body | {"norm5": nn.BatchNorm2d(width)}).items():
            self.features.add_module(name, module)
        self.classifier = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.classifier(F.relu(self.features(x)).mean((2, 3))), {}
