"""CBAM in its two flavours (see `mgajax.models.cbam`)."""

import torch
from torch import Tensor, nn

from mgajax.benchmark.torch_baseline.layers import conv

REDUCTION = 16


class PaperChannelGate(nn.Module):
    """Weights a channel from its mean and its maximum, by one pair of bias-free convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // REDUCTION
        self.fc = nn.Sequential(
            conv(channels, hidden, kernel=1), nn.ReLU(), conv(hidden, channels, kernel=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `[b, c, h, w]` to `[b, c, 1, 1]` in (0, 1)."""
        mean, maximum = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return torch.sigmoid(self.fc(mean) + self.fc(maximum))


class OfficialChannelGate(nn.Module):
    """The same with linear layers and biases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // REDUCTION
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `[b, c, h, w]` to `[b, c, 1, 1]` in (0, 1)."""
        total = self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))
        return torch.sigmoid(total)[:, :, None, None]


class PaperSpatialGate(nn.Module):
    """Weights a pixel by a 7×7 convolution over [mean, maximum] of its channels (paper Eq. 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv(2, 1, kernel=7)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[b, c, h, w]` to `[b, 1, h, w]` in (0, 1)."""
        pair = torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), dim=1)
        return torch.sigmoid(self.conv1(pair))


class OfficialSpatialGate(nn.Module):
    """The same over [maximum, mean], normalised before the sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(1, momentum=0.01)
        self.spatial = nn.ModuleDict({"conv": conv(2, 1, kernel=7), "bn": norm})

    def forward(self, x: Tensor) -> Tensor:
        """Map `[b, c, h, w]` to `[b, 1, h, w]` in (0, 1)."""
        pair = torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), dim=1)
        return torch.sigmoid(self.spatial["bn"](self.spatial["conv"](pair)))


class PaperCbam(nn.Module):
    """Channel gate, then spatial gate (paper Eq. 1-2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ca, self.sa = PaperChannelGate(channels), PaperSpatialGate()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gated features and the spatial map."""
        x = x * self.ca(x)
        attention = self.sa(x)
        return x * attention, attention


class OfficialCbam(nn.Module):
    """The flavour of the CBAM authors' released code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ChannelGate = OfficialChannelGate(channels)
        self.SpatialGate = OfficialSpatialGate()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gated features and the spatial map."""
        x = x * self.ChannelGate(x)
        attention = self.SpatialGate(x)
        return x * attention, attention


FLAVOURS: dict[str, type[nn.Module]] = {"paper": PaperCbam, "official": OfficialCbam}
