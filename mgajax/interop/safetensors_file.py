"""safetensors: the weights under our own names, metadata in the header."""

import json
from pathlib import Path

import flax.traverse_util
import numpy as np

from mgajax.interop.network import Network, OutputFunction


def write(network: Network, path: Path) -> None:
    """Write "params/..." and "batch_stats/...", float32."""
    from safetensors.numpy import save

    arrays = flax.traverse_util.flatten_dict(network.variables, sep="/")
    header = {key: json.dumps(value) for key, value in network.metadata.items()}
    contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    path.write_bytes(save(contiguous, metadata=header))


def load(network: Network, path: Path) -> OutputFunction:
    """The network's answer with the file's weights."""
    from safetensors.numpy import load_file

    return network.answer(flax.traverse_util.unflatten_dict(load_file(path), sep="/"))
