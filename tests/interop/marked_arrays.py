"""Arrays whose values tell array and place, where drawn ones would take longer and say no more."""

import zlib
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from mgajax import interop, models


def marked(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Consecutive numbers from one that the name gives, all exact in float32."""
    first = zlib.crc32(name.encode()) % 2**20
    return np.arange(first, first + np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)


def marked_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A PyTorch state dict of these shapes."""
    return {name: marked(name, shape) for name, shape in shapes.items()}


def torch_state(name: str, *, channels: int, classes: int, **options: Any) -> dict[str, np.ndarray]:
    """The state dict of a network, by PyTorch's names."""
    return marked_state(torch_shapes(name, channels=channels, classes=classes, **options))


def torch_shapes(
    name: str, *, channels: int, classes: int, **options: Any
) -> dict[str, tuple[int, ...]]:
    """PyTorch's names of a network's arrays, and their shapes in PyTorch's layout."""
    shapes = variable_shapes(name, channels=channels, classes=classes, **options)
    # Views of one zero: shapes without the memory.
    hollow = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes)
    return {key: array.shape for key, array in interop.to_torch(name, hollow, **options).items()}


def own_variables(name: str, *, channels: int, classes: int, **options: Any) -> dict[str, Any]:
    """The network's variables."""
    shapes = variable_shapes(name, channels=channels, classes=classes, **options)
    ordered = {kind: shapes[kind] for kind in ("params", "batch_stats")}
    flat = flax.traverse_util.flatten_dict(ordered, sep="/")
    arrays = {path: marked(path, leaf.shape) for path, leaf in flat.items()}
    return flax.traverse_util.unflatten_dict(arrays, sep="/")


def variable_shapes(name: str, *, channels: int, classes: int, **options: Any) -> dict[str, Any]:
    """Traced at the size that `interop` traces at, so that a network is traced once."""
    model = models.create(name, num_classes=classes, **options)
    return models.variable_shapes(model, image_size=64, channels=channels)
