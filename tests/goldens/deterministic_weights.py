"""Weights that need no storage: each array of a PyTorch state dict is drawn from its name.

The generator of an entry is seeded with the CRC-32 of its name, so order and selection never
matter. Shapes and fan-in are those of PyTorch's layout.
"""

import fnmatch
import math
import zlib
from collections.abc import Mapping

import numpy as np


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 array of one entry: kernels scaled by √(2 / fan_in), the rest near 0 or 1."""
    normal = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if len(shape) > 1:
        return (normal * np.sqrt(2.0 / math.prod(shape[1:]))).astype(np.float32)
    match name.rpartition(".")[2]:
        case "weight":
            values = 1.0 + 0.1 * normal
        case "running_var":
            values = 1.0 + 0.1 * np.abs(normal)
        case "bias" | "running_mean":
            values = 0.1 * normal
        case other:
            raise KeyError(f"no rule for {other!r} ({name})")
    return values.astype(np.float32)


def drawn_state(
    shapes: Mapping[str, tuple[int, ...]], *, gains: Mapping[str, float] | None = None
) -> dict[str, np.ndarray]:
    """All entries of a state dict but PyTorch's batch counters.

    `gains` maps glob patterns of names to factors, for networks whose sums would grow too large.
    """
    state = {
        name: drawn(name, tuple(shape))
        for name, shape in shapes.items()
        if not name.endswith("num_batches_tracked")
    }
    for pattern, gain in (gains or {}).items():
        for name in fnmatch.filter(state, pattern):
            state[name] = state[name] * np.float32(gain)
    return state


def drawn_images(shape: tuple[int, ...], *, seed: int = 0) -> np.ndarray:
    """Standard normal float32 images, NCHW."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
