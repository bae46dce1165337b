"""Networks by family."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from mgajax.benchmark.torch_baseline.deeplabv3 import DeepLabV3
from mgajax.benchmark.torch_baseline.densenet import DenseNet
from mgajax.benchmark.torch_baseline.hmsanet import HMSANet
from mgajax.benchmark.torch_baseline.resnet import ResNet
from mgajax.benchmark.torch_baseline.segnet import SegNet
from mgajax.benchmark.torch_baseline.unet import UNet

FAMILIES: dict[str, type[nn.Module]] = {
    "resnet": ResNet,
    "densenet": DenseNet,
    "unet": UNet,
    "segnet": SegNet,
    "deeplabv3": DeepLabV3,
    "hmsanet": HMSANet,
}


def create(family: str, dimensions: Mapping[str, Any]) -> nn.Module:
    """A network with its dimensions, as `mgajax.benchmark.peer_job` takes them from ours."""
    return FAMILIES[family](**dimensions)
