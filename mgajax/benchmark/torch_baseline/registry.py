"""Networks by family."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from mgajax.benchmark.torch_baseline.deeplabv3 import TorchDeepLabV3
from mgajax.benchmark.torch_baseline.densenet import TorchDenseNet
from mgajax.benchmark.torch_baseline.hmsanet import TorchHMSANet
from mgajax.benchmark.torch_baseline.resnet import TorchResNet
from mgajax.benchmark.torch_baseline.segnet import TorchSegNet
from mgajax.benchmark.torch_baseline.unet import TorchUNet

FAMILIES: dict[str, type[nn.Module]] = {
    "resnet": TorchResNet,
    "densenet": TorchDenseNet,
    "unet": TorchUNet,
    "segnet": TorchSegNet,
    "deeplabv3": TorchDeepLabV3,
    "hmsanet": TorchHMSANet,
}


def create(family: str, dimensions: Mapping[str, Any]) -> nn.Module:
    """A network with its dimensions, as `mgajax.benchmark.torch_process.make_job` takes them from ours."""
    return FAMILIES[family](**dimensions)
