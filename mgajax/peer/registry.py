"""Networks by family."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from mgajax.peer.deeplabv3 import DeepLabV3
from mgajax.peer.densenet import DenseNet
from mgajax.peer.hmsanet import HMSANet
from mgajax.peer.resnet import ResNet
from mgajax.peer.segnet import SegNet
from mgajax.peer.unet import UNet

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
