"""A PyTorch file: a state dict by the published names (`mgajax.interop.torch_names`).

And which of our PyTorch definitions (`benchmark.torch_baseline`) is the same network as a Flax module.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from mgajax.errors import ConfigError
from mgajax.interop.network import Network, OutputFunction
from mgajax.interop.torch_weights import to_torch
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
    arguments: dict[str, Any] = {"num_classes": model.num_classes}
    match model:
        case ResNet():
            block = "bottleneck" if model.block is BottleneckBlock else "basic"
            sizes = {"depths": model.depths, "width": model.width}
            return "resnet", arguments | {"block": block} | sizes | dataclasses.asdict(model.plan)
        case DenseNet():
            return "densenet", arguments | {"depths": model.depths}
        case UNet():
            return "unet", arguments | {"upsampling": model.upsampling, "width": model.width}
        case SegNet():
            return "segnet", arguments | {"width": model.width}
        case DeepLabV3():
            heads = dataclasses.asdict(model.heads)
            return "deeplabv3", arguments | {"depths": model.depths, "width": model.width} | heads
        case HMSANet():
            trunk, head = dataclasses.asdict(model.trunk), dataclasses.asdict(model.head)
            return "hmsanet", arguments | {"trunk": trunk, "head": head, "scales": model.scales}
    raise ConfigError(f"{type(model).__name__} has no PyTorch definition")


def write(network: Network, path: Path) -> None:
    """Write `{"state_dict": ..., "metadata": JSON}`; `torch.load` needs no trust to read it."""
    import torch

    arrays = to_torch(network.name, network.variables, **network.options)
    state = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    torch.save({"state_dict": state, "metadata": json.dumps(network.metadata)}, path)


def load(network: Network, path: Path) -> OutputFunction:
    """The answer of our PyTorch definition (`mgajax.benchmark.torch_baseline`) with the file's weights."""
    import torch

    from mgajax.benchmark.torch_baseline.registry import create

    family, dimensions = definition(network.model)
    module = create(family, {"channels": network.channels, **dimensions}).eval()
    module.load_state_dict(torch.load(path, weights_only=True)["state_dict"])

    def answer(images: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            output = module(torch.from_numpy(images.copy()).permute(0, 3, 1, 2))
        outputs = {"logits": output.logits, "probabilities": torch.softmax(output.logits, dim=1)}
        if output.logits.ndim == 2:  # a segmenter's maps are further predictions
            outputs |= {f"attention_{name}": array for name, array in output.maps.items()}
        return {name: np.moveaxis(array.numpy(), 1, -1) for name, array in outputs.items()}

    return answer
