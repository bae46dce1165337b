"""Initial parameters, drawn by numpy from the shapes alone: no compilation, no device.

Every parameter has its own generator, seeded by (seed, CRC-32 of its path): neither the order of the
layers nor an added layer changes the initial values of another one.

A table of glob patterns for each family of networks says which law draws which parameter; the first
match counts. The laws are those of the public PyTorch definitions (torchvision; the CBAM authors' code).
"""

import fnmatch
import functools
import math
import zlib
from collections.abc import Callable
from typing import Any, TypeAlias

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from mgajax.errors import ConfigError

ParameterShape: TypeAlias = tuple[int, ...]
Law: TypeAlias = Callable[[np.random.Generator, ParameterShape, ParameterShape], np.ndarray]
"""(generator, shape of the parameter, shape of its layer's kernel) → float64 values."""
Laws: TypeAlias = tuple[tuple[str, Law], ...]


def constant(value: float) -> Law:
    """Every element `value`."""
    return lambda rng, shape, kernel: np.full(shape, value)


def normal(deviation: float) -> Law:
    """Normal with a given deviation."""
    return lambda rng, shape, kernel: rng.standard_normal(shape) * deviation


def normal_fan_out(
    rng: np.random.Generator, shape: ParameterShape, kernel: ParameterShape
) -> np.ndarray:
    """Normal with deviation √(2 / fan_out), fan_out = output channels × window (He et al. 2015)."""
    return rng.standard_normal(shape) * math.sqrt(2.0 / (kernel[-1] * math.prod(kernel[:-2])))


def normal_fan_in(
    rng: np.random.Generator, shape: ParameterShape, kernel: ParameterShape
) -> np.ndarray:
    """Normal with deviation √(2 / fan_in), fan_in = input channels × window."""
    return rng.standard_normal(shape) * math.sqrt(2.0 / math.prod(kernel[:-1]))


def uniform_fan_in(
    rng: np.random.Generator, shape: ParameterShape, kernel: ParameterShape
) -> np.ndarray:
    """Uniform within ±1 / √fan_in: the default of PyTorch's layers."""
    bound = 1.0 / math.sqrt(math.prod(kernel[:-1]))
    return rng.uniform(-bound, bound, shape)


def uniform_fan_out(
    rng: np.random.Generator, shape: ParameterShape, kernel: ParameterShape
) -> np.ndarray:
    """Uniform within ±1 / √fan_out: PyTorch's transposed convolutions, where it takes it for fan_in."""
    bound = 1.0 / math.sqrt(kernel[-1] * math.prod(kernel[:-2]))
    return rng.uniform(-bound, bound, shape)


_NORMALISATION: Laws = (("*/scale", constant(1.0)), ("*/bias", constant(0.0)))

RESNET_LAWS: Laws = (
    ("head/*", uniform_fan_in),
    *_NORMALISATION,
    ("*/kernel", normal_fan_out),
)
"""torchvision's ResNet; CBAM in the paper's flavour draws its convolutions by the same law."""

DENSENET_LAWS: Laws = (
    ("head/kernel", uniform_fan_in),
    ("head/bias", constant(0.0)),
    *_NORMALISATION,
    ("*/kernel", normal_fan_in),
)
"""torchvision's DenseNet."""

OFFICIAL_CBAM_LAWS: Laws = (
    ("head/kernel", normal_fan_in),
    ("head/bias", constant(0.0)),
    ("*/cbam/channel/*/kernel", uniform_fan_in),
    ("*/shortcut_conv/kernel", uniform_fan_in),
    ("*/cbam/spatial/norm/scale", constant(0.0)),
    *_NORMALISATION,
    ("*/kernel", normal_fan_out),
)
"""The CBAM authors' ResNet: the spatial gate starts at exactly 0.5 everywhere (scale 0, bias 0)."""


def variable_shapes(model: nn.Module, *, image_size: int, channels: int) -> dict[str, Any]:
    """The model's variables as `jax.ShapeDtypeStruct`, traced without computing anything."""
    shapes = _traced_shapes(model, image_size, channels)
    return jax.tree.map(lambda leaf: leaf, shapes)  # a copy, which the caller may change


@functools.lru_cache
def _traced_shapes(model: nn.Module, image_size: int, channels: int) -> dict[str, Any]:
    """Traced once a model: it takes seconds, and reading and writing weights needs it each time."""
    images = jax.ShapeDtypeStruct((1, image_size, image_size, channels), jnp.float32)
    initialise = functools.partial(model.init, train=False)
    shapes: dict[str, Any] = jax.eval_shape(initialise, jax.random.key(0), images)
    return shapes


def init_variables(
    model: nn.Module, *, image_size: int, channels: int, seed: int
) -> dict[str, Any]:
    """Initial variables of a model made by `create`.

    Args:
      model: a network with a table of `laws`.
      image_size: side of the images in pixels (fully convolutional: any size the net accepts).
      channels: channels of the images, 1 or 3.
      seed: the same seed gives the same numbers for the same parameter path and shape.

    Returns:
      {'params': ..., 'batch_stats': ...} with float32 numpy leaves.

    Raises:
      ConfigError: the model has no laws, or none of them covers one of its parameters.
    """
    laws: Laws | None = getattr(model, "laws", None)
    if laws is None:
        raise ConfigError(f"{type(model).__name__} has no table of initialisation laws")
    shapes = variable_shapes(model, image_size=image_size, channels=channels)
    params = flax.traverse_util.flatten_dict(shapes["params"], sep="/")
    initial = {
        path: _draw(path, leaf.shape, kernel=_kernel_shape(path, params), laws=laws, seed=seed)
        for path, leaf in params.items()
    }
    statistics = flax.traverse_util.flatten_dict(shapes.get("batch_stats", {}), sep="/")
    initial_statistics = {
        path: np.full(leaf.shape, 1.0 if path.endswith("/var") else 0.0, np.float32)
        for path, leaf in statistics.items()
    }
    return {
        "params": flax.traverse_util.unflatten_dict(initial, sep="/"),
        "batch_stats": flax.traverse_util.unflatten_dict(initial_statistics, sep="/"),
    }


def _draw(
    path: str, shape: ParameterShape, *, kernel: ParameterShape, laws: Laws, seed: int
) -> np.ndarray:
    for pattern, law in laws:
        if fnmatch.fnmatchcase(path, pattern):
            rng = np.random.default_rng((seed, zlib.crc32(path.encode())))
            return law(rng, shape, kernel).astype(np.float32)
    raise ConfigError(f"parameter {path}: no initialisation law matches; add one to the table")


def _kernel_shape(path: str, params: dict[str, Any]) -> ParameterShape:
    layer = path.rpartition("/")[0]
    kernel = params.get(f"{layer}/kernel")
    return () if kernel is None else tuple(kernel.shape)
