"""StableHLO by `jax.export`: the compiled network's program, weights inside, for JAX without mgajax."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp

from mgajax.interop.network import Network, OutputFunction

PLATFORMS = ("cpu", "cuda", "tpu")


def write(network: Network, path: Path) -> None:
    """Write one program for all `PLATFORMS` and any batch size."""
    (batch,) = jax.export.symbolic_shape("batch")
    side = network.image_size
    images = jax.ShapeDtypeStruct((batch, side, side, network.channels), jnp.float32)
    program = jax.jit(functools.partial(network.outputs, network.variables))
    exported = jax.export.export(program, platforms=PLATFORMS)(images)
    path.write_bytes(exported.serialize())


def load(network: Network, path: Path) -> OutputFunction:
    """The file's own answer."""
    program = jax.jit(jax.export.deserialize(bytearray(path.read_bytes())).call)
    return lambda images: jax.device_get(program(images))
