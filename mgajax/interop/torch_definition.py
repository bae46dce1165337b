"""Which of our PyTorch definitions (`benchmark.torch_baseline`) is the same network as a Flax module."""

import dataclasses
from typing import Any

from mgajax.errors import ConfigError
from mgajax.models.deeplabv3 import DeepLabV3
from mgajax.models.densenet import DenseNet
from mgajax.models.hmsanet import HMSANet
from mgajax.models.resnet import BottleneckBlock, ResNet
from mgajax.models.segnet import SegNet
from mgajax.models.unet import UNet


def definition(model: Any) -> tuple[str, dict[str, Any]]:
    """A network's family, and the arguments of `torch_baseline.registry.create` but `channels`.

    Raises:
      ConfigError: it has no PyTorch definition.
    """
    own: dict[str, Any] = {"num_classes": model.num_classes}
    match model:
        case ResNet():
            block = "bottleneck" if model.block is BottleneckBlock else "basic"
            sizes = {"depths": model.depths, "width": model.width}
            return "resnet", own | {"block": block} | sizes | dataclasses.asdict(model.plan)
        case DenseNet():
            return "densenet", own | {"depths": model.depths}
        case UNet():
            return "unet", own | {"upsampling": model.upsampling}
        case SegNet():
            return "segnet", own
        case DeepLabV3():
            heads = dataclasses.asdict(model.heads)
            return "deeplabv3", own | {"depths": model.depths} | heads
        case HMSANet():
            trunk, head = dataclasses.asdict(model.trunk), dataclasses.asdict(model.head)
            return "hmsanet", own | {"trunk": trunk, "head": head, "scales": model.scales}
    raise ConfigError(f"{type(model).__name__} has no PyTorch definition")
