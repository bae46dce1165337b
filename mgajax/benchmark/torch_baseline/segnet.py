"""SegNet (see `mgajax.models.segnet`)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgajax.benchmark.torch_baseline.layers import Output, conv, size_of

ENCODER = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
"""Channels of each convolution by stage, in units of the network's width."""


class TorchSegNet(nn.Module):
    """VGG-16's convolutions and their mirror image, joined by the indices of the maxima."""

    def __init__(self, *, num_classes: int, channels: int, width: int) -> None:
        super().__init__()
        inputs = channels
        for stage, multiples in enumerate(ENCODER, start=1):
            for number, multiple in enumerate(multiples, start=1):
                self._add(f"conv{stage}_{number}", inputs, multiple * width)
                inputs = multiple * width
        for stage in range(len(ENCODER), 0, -1):
            inner = width * ENCODER[stage - 2][-1] if stage > 1 else None
            for number in range(len(ENCODER[stage - 1]), 1, -1):
                self._add(f"conv{stage}_{number}_D", inputs, inputs)
            if inner is not None:
                self._add(f"conv{stage}_1_D", inputs, inner)
                inputs = inner
        self.conv1_1_D = conv(inputs, num_classes, kernel=3, bias=True)

    def _add(self, name: str, inputs: int, outputs: int) -> None:
        self.add_module(name, conv(inputs, outputs, kernel=3, bias=True))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(outputs))

    def _unit(self, x: Tensor, name: str) -> Tensor:
        return torch.relu(getattr(self, f"{name}_bn")(getattr(self, name)(x)))

    def forward(self, images: Tensor) -> Output:
        """Segment normalised images `[b, c, h, w]`."""
        x, pooled = images, []
        for stage, multiples in enumerate(ENCODER, start=1):
            for number in range(1, len(multiples) + 1):
                x = self._unit(x, f"conv{stage}_{number}")
            size = size_of(x)
            x, indices = F.max_pool2d(x, 2, return_indices=True)
            pooled.append((indices, size))
        for stage in range(len(ENCODER), 0, -1):
            indices, size = pooled.pop()
            x = F.max_unpool2d(x, indices, 2, output_size=size)
            for number in range(len(ENCODER[stage - 1]), 1 if stage == 1 else 0, -1):
                x = self._unit(x, f"conv{stage}_{number}_D")
        return Output(self.conv1_1_D(x), {})
