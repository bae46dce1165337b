"""ResNets with optional CBAM (see `mgajax.models.resnet`)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgajax.benchmark.torch_baseline.cbam import FLAVOURS
from mgajax.benchmark.torch_baseline.layers import Output, conv

STAGE_WIDTHS = (64, 128, 256, 512)


class TorchBlock(nn.Module):
    """A residual block, basic or bottleneck; attention, if any, gates the branch before the sum."""

    def __init__(
        self,
        inputs: int,
        width: int,
        *,
        kind: str,
        stride: int = 1,
        dilation: int = 1,
        flavour: str | None = None,
    ) -> None:
        super().__init__()
        outputs = outputs_of(kind, width)
        plans = [(inputs, width, 3, stride), (width, width, 3, 1)]
        if kind == "bottleneck":
            plans = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        self.depth = len(plans)
        for number, (before, after, kernel, step) in enumerate(plans, start=1):
            spread = dilation if kernel == 3 else 1
            window = conv(before, after, kernel=kernel, stride=step, dilation=spread)
            self.add_module(f"conv{number}", window)
            self.add_module(f"bn{number}", nn.BatchNorm2d(after))
        self.cbam = None if flavour is None else FLAVOURS[flavour](outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            shortcut = conv(inputs, outputs, kernel=1, stride=stride)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the features, and the spatial attention map if there is one."""
        y, attention = x, None
        for number in range(1, self.depth + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            y = torch.relu(y) if number < self.depth else y
        if self.cbam is not None:
            y, attention = self.cbam(y)
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(y + shortcut), attention


def outputs_of(kind: str, width: int) -> int:
    """Channels that leave a block of this width."""
    return 4 * width if kind == "bottleneck" else width


class TorchResNet(nn.Module):
    """Stem, four stages, head.

    Args:
      num_classes: number of logits.
      channels: of the images.
      block: "basic" or "bottleneck".
      depths: blocks in each stage.
      placement: where attention sits, as in `mgajax.models.cbam.AttentionPlan`.
      flavour: "paper" or "official".
      width: channels of the stem and of the first stage; each later stage has twice as many.
      stages: which stages have attention; none for a plain ResNet.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        channels: int,
        block: str,
        depths: Sequence[int],
        placement: str,
        flavour: str,
        stages: Sequence[int],
        width: int = STAGE_WIDTHS[0],
    ) -> None:
        super().__init__()
        self.residual = placement == "stage_end_residual"
        self.conv1, self.bn1 = conv(channels, width, kernel=7, stride=2), nn.BatchNorm2d(width)
        self.depths, inputs = tuple(depths), width
        for stage, depth in enumerate(self.depths, start=1):
            blocks, inner = [], width * 2 ** (stage - 1)
            for index in range(depth):
                last = placement == "last_block" and index == depth - 1
                attended = stage in stages and (last or placement == "every_block")
                blocks.append(
                    TorchBlock(
                        inputs,
                        inner,
                        kind=block,
                        stride=2 if stage > 1 and index == 0 else 1,
                        flavour=flavour if attended else None,
                    )
                )
                inputs = outputs_of(block, inner)
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            if stage in stages and placement.startswith("stage_end"):
                self.add_module(f"cbam{stage}", FLAVOURS[flavour](inputs))
        self.fc = nn.Linear(inputs, num_classes)

    def forward(self, images: Tensor) -> Output:
        """Classify normalised images `[b, c, h, w]`; maps are named "stage1", ..."""
        x = F.max_pool2d(torch.relu(self.bn1(self.conv1(images))), 3, 2, 1)
        maps = {}
        for stage in range(1, len(self.depths) + 1):
            attention = None
            for block in getattr(self, f"layer{stage}"):
                x, attention = block(x)
            if hasattr(self, f"cbam{stage}"):
                gated, attention = getattr(self, f"cbam{stage}")(x)
                x = x + gated if self.residual else gated
            if attention is not None:
                maps[f"stage{stage}"] = attention
        return Output(self.fc(x.mean((2, 3))), maps)
