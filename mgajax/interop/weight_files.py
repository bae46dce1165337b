"""Weights from files and folders, ours or PyTorch's, as arrays by name on the host."""

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.traverse_util
import numpy as np

from mgajax.errors import ConfigError, DataError
from mgajax.interop import orbax_folder

COLLECTIONS = ("params", "batch_stats")
TORCH_SUFFIXES = (".pt", ".pth", ".bin")
_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training programs keep a state dict."""


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a file.

    Attributes:
      arrays: by our paths ("params/stem/conv/kernel") or by PyTorch's names.
      naming: "own" or "torch".
    """

    arrays: dict[str, np.ndarray]
    naming: str


def read_weights(path: Path) -> Weights:
    """Read weights.

    Args:
      path: a folder that Orbax wrote (an export, or the `state` of a checkpoint), a .safetensors
        file of either naming, or a PyTorch file of a state dict, bare or wrapped as usual.

    Raises:
      ConfigError: no such file, another kind of file, or a package for it is not installed.
      DataError: it cannot be read, or holds no arrays.
    """
    if not path.exists():
        raise ConfigError(f"{path}: not found; give a run's folder or a file of weights")
    if path.is_dir():
        return Weights(_read_guarded(path, _from_orbax), "own")
    if path.suffix == ".safetensors":
        _check_installed("safetensors", extra="export", path=path)
        arrays = _read_guarded(path, _from_safetensors)
        return Weights(arrays, "own" if any(n.startswith("params/") for n in arrays) else "torch")
    if path.suffix in TORCH_SUFFIXES:
        _check_installed("torch", extra="peer", path=path)
        return Weights(_read_guarded(path, _from_torch), "torch")
    raise ConfigError(
        f"{path}: expected a run's folder, .safetensors, or a PyTorch file "
        f"({', '.join(TORCH_SUFFIXES)})"
    )


def _check_installed(package: str, *, extra: str, path: Path) -> None:
    if importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"{path}: reading it needs {package}, which is not installed: "
            f"pip install 'mgajax[{extra}]'"
        )


def _read_guarded(path: Path, read_arrays: Any) -> dict[str, np.ndarray]:
    try:
        arrays: dict[str, np.ndarray] = read_arrays(path)
    except Exception as error:  # each library raises kinds of its own for a damaged file
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: no weights can be read ({reason}); get the file again") from error
    if not arrays:
        raise DataError(f"{path}: holds no arrays; expected weights by name")
    return arrays


def _from_orbax(path: Path) -> dict[str, np.ndarray]:
    tree = orbax_folder.read(path, only=COLLECTIONS)
    # A training state keeps the loss weights beside the model's parameters.
    params = tree["params"].get("model", tree["params"])
    variables = {"params": params, "batch_stats": tree["batch_stats"]}
    return flax.traverse_util.flatten_dict(variables, sep="/")


def _from_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    arrays: dict[str, np.ndarray] = load_file(path)
    return arrays


def _from_torch(path: Path) -> dict[str, np.ndarray]:
    import torch

    content = torch.load(path, map_location="cpu", weights_only=True)
    wrapped = next(
        (content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content
    )
    tensors = {key: value for key, value in wrapped.items() if isinstance(value, torch.Tensor)}
    return {key: _array(value) for key, value in tensors.items()}


def _array(tensor: Any) -> np.ndarray:
    """As NumPy: bfloat16, which it lacks, becomes float32; integers, which are counters, stay."""
    plain = tensor.detach()
    array: np.ndarray = (plain.float() if plain.is_floating_point() else plain).numpy()
    return array
