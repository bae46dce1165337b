"""A PyTorch file: a state dict by the published names (`mgajax.interop.torch_names`)."""

import json
from pathlib import Path

import numpy as np

from mgajax.interop.network import Answer, Network
from mgajax.interop.torch_definition import definition
from mgajax.interop.torch_weights import to_torch


def write(network: Network, path: Path) -> None:
    """Write `{"state_dict": ..., "metadata": JSON}`; `torch.load` needs no trust to read it."""
    import torch

    arrays = to_torch(network.name, network.variables, **network.options)
    state = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    torch.save({"state_dict": state, "metadata": json.dumps(network.metadata)}, path)


def load(network: Network, path: Path) -> Answer:
    """What our PyTorch definition (`mgajax.benchmark.torch_baseline`) says with the file's weights."""
    import torch

    from mgajax.benchmark.torch_baseline.registry import create

    family, dimensions = definition(network.model)
    module = create(family, {"channels": network.channels, **dimensions}).eval()
    module.load_state_dict(torch.load(path, weights_only=True)["state_dict"])

    def answer(images: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            found = module(torch.from_numpy(images.copy()).permute(0, 3, 1, 2))
        named = {"logits": found.logits, "probabilities": torch.softmax(found.logits, dim=1)}
        if found.logits.ndim == 2:  # a segmenter's maps are further predictions
            named |= {f"attention_{name}": one for name, one in found.maps.items()}
        return {name: np.moveaxis(one.numpy(), 1, -1) for name, one in named.items()}

    return answer
