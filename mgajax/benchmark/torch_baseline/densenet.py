"""DenseNet (see `mgajax.models.densenet`)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgajax.benchmark.torch_baseline.layers import Output, conv

GROWTH = 32


class TorchDenseLayer(nn.Module):
    """BN-ReLU-1×1, BN-ReLU-3×3: `GROWTH` new features, appended after the old ones."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        middle = 4 * GROWTH
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, middle, kernel=1)
        self.norm2, self.conv2 = nn.BatchNorm2d(middle), conv(middle, GROWTH, kernel=3)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[b, c, h, w]` to `[b, c + GROWTH, h, w]`."""
        y = self.conv1(torch.relu(self.norm1(x)))
        return torch.cat((x, self.conv2(torch.relu(self.norm2(y)))), dim=1)


class TorchTransition(nn.Module):
    """BN-ReLU-1×1 to half the channels, then 2×2 averages."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(inputs), conv(inputs, inputs // 2, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[b, c, h, w]` to `[b, c // 2, h // 2, w // 2]`."""
        return F.avg_pool2d(self.conv(torch.relu(self.norm(x))), 2)


class TorchDenseNet(nn.Module):
    """Stem, dense stages with transitions between them, a last normalisation, head."""

    def __init__(self, *, num_classes: int, channels: int, depths: Sequence[int]) -> None:
        super().__init__()
        self.features = nn.Sequential()
        add = self.features.add_module
        width = 64
        add("conv0", conv(channels, width, kernel=7, stride=2))
        add("norm0", nn.BatchNorm2d(width))
        add("relu0", nn.ReLU())
        add("pool0", nn.MaxPool2d(3, 2, 1))
        for stage, depth in enumerate(depths, start=1):
            block = nn.Sequential()
            for number in range(1, depth + 1):
                block.add_module(f"denselayer{number}", TorchDenseLayer(width))
                width += GROWTH
            add(f"denseblock{stage}", block)
            if stage < len(depths):
                add(f"transition{stage}", TorchTransition(width))
                width //= 2
        add("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Output:
        """Classify normalised images `[b, c, h, w]`."""
        return Output(self.classifier(torch.relu(self.features(images)).mean((2, 3))), {})
