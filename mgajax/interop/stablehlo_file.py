"""StableHLO by `jax.export`: the compiled network's program, weights inside, for JAX without mgajax."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mgajax.interop.network import Network

PLATFORMS = ("cpu", "cuda", "tpu")


def write(network: Network, path: Path) -> None:
    """Write one program for all `PLATFORMS` and any batch size."""
    (batch,) = jax.export.symbolic_shape("batch")
    side = network.image_size
    images = jax.ShapeDtypeStruct((batch, side, side, network.channels), jnp.float32)
    program = jax.jit(functools.partial(network.outputs, network.variables))
    exported = jax.export.export(program, platforms=PLATFORMS)(images)
    path.write_bytes(exported.serialize())


def run(network: Network, path: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """The file's own answer; `network` has no part in it."""
    exported = jax.export.deserialize(bytearray(path.read_bytes()))
    found: dict[str, np.ndarray] = jax.device_get(exported.call(images))
    return found
