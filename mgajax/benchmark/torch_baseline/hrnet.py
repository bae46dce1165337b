"""HRNetV2, the trunk of HMSANet (see `mgajax.models.hrnet`)."""

import functools
import operator
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mgajax.benchmark.torch_baseline.layers import conv, conv_norm, resize, size_of
from mgajax.benchmark.torch_baseline.resnet import TorchBlock


class TorchExchangeModule(nn.Module):
    """Residual blocks on every branch, then every branch receives the sum of all of them."""

    def __init__(self, channels: Sequence[int], *, blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(TorchBlock(width, width, kind="basic") for _ in range(blocks)))
            for width in channels
        )
        numbers = range(len(channels))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(sender(channels, source, target) for source in numbers)
            for target in numbers
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map one feature map a branch, finest first, to maps of the same shapes."""
        inner = []
        for blocks, x in zip(self.branches, branches, strict=True):
            for block in blocks:
                x, _ = block(x)
            inner.append(x)
        received = []
        for target, senders in enumerate(self.fuse_layers):
            size = size_of(inner[target])
            sent = [resize(send(x), size) for send, x in zip(senders, inner, strict=True)]
            received.append(torch.relu(functools.reduce(operator.add, sent)))
        return received


def sender(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """What branch `source` does to its features before branch `target` adds them."""
    if source == target:
        return nn.Identity()
    if source > target:
        layers = conv_norm(channels[source], channels[target], kernel=1, activation="none")
        return nn.Sequential(*layers)
    steps = []
    for step in range(target - source):
        is_last = step == target - source - 1
        outputs = channels[target if is_last else source]
        activation = "none" if is_last else "relu"
        shrink = conv_norm(channels[source], outputs, kernel=3, stride=2, activation=activation)
        steps.append(nn.Sequential(*shrink))
    return nn.Sequential(*steps)


class TorchHRNet(nn.Module):
    """Stem to stride 4, stage 1 at one resolution, then one more resolution in every stage.

    The arguments are the fields of `mgajax.models.hrnet.TrunkPlan`.
    """

    def __init__(
        self,
        *,
        channels: int,
        width: int,
        modules: Sequence[int],
        blocks: int,
        stem: int,
        bottlenecks: int,
        bottleneck_width: int,
    ) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(channels, stem, kernel=3, stride=2), nn.BatchNorm2d(stem)
        self.conv2, self.bn2 = conv(stem, stem, kernel=3, stride=2), nn.BatchNorm2d(stem)
        coarsest = 4 * bottleneck_width
        self.layer1 = nn.Sequential(
            *(
                TorchBlock(coarsest if index else stem, bottleneck_width, kind="bottleneck")
                for index in range(bottlenecks)
            )
        )
        self.stages = range(2, 2 + len(modules))
        for stage, count in zip(self.stages, modules, strict=True):
            widths = [width * 2**branch for branch in range(stage)]
            shrink = conv_norm(coarsest, widths[-1], kernel=3, stride=2)
            added: dict[str, nn.Module] = {str(stage - 1): nn.Sequential(nn.Sequential(*shrink))}
            if stage == 2:
                added["0"] = nn.Sequential(*conv_norm(coarsest, widths[0], kernel=3))
            self.add_module(f"transition{stage - 1}", nn.ModuleDict(added))
            exchanges = (TorchExchangeModule(widths, blocks=blocks) for _ in range(count))
            self.add_module(f"stage{stage}", nn.Sequential(*exchanges))
            coarsest = widths[-1]
        self.features = width * (2 ** (len(modules) + 1) - 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images to `features` channels at a quarter of their size, rounded up."""
        x = torch.relu(self.bn1(self.conv1(images)))
        x = torch.relu(self.bn2(self.conv2(x)))
        for block in self.layer1:
            x, _ = block(x)
        branches = [x]
        for stage in self.stages:
            transition = getattr(self, f"transition{stage - 1}")
            added = transition[str(stage - 1)](branches[-1])
            if stage == 2:
                branches = [transition["0"](branches[0])]
            branches = getattr(self, f"stage{stage}")([*branches, added])
        size = size_of(branches[0])
        return torch.cat([resize(x, size) for x in branches], dim=1)
