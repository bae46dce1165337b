"""Weights of the public PyTorch definitions in and out, by name; numpy only.

Names are torchvision's for the backbones (`layer1.0.conv1.weight`, `features.denseblock1...`). CBAM
follows them as `layer3.1.cbam.` inside a block and `cbam3.` after a stage, then `ca.fc.0`, `ca.fc.2`,
`sa.conv1` in the paper's flavour, `ChannelGate.mlp.1`, `ChannelGate.mlp.3`, `SpatialGate.spatial.conv`,
`SpatialGate.spatial.bn` in the official one.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.traverse_util
import numpy as np

from mgajax import models
from mgajax.errors import DataError

COUNTER = "num_batches_tracked"
"""PyTorch's count of training batches: it has no use here and is neither needed nor written."""

_RESNET_NAMES = (
    (r"^stem/conv", "conv1"),
    (r"^stem/norm", "bn1"),
    (r"^head", "fc"),
    (r"^stage(\d)/cbam", r"cbam\1"),
    (r"^stage(\d)/block(\d+)", r"layer\1/\2"),
    (r"/norm(\d)/", r"/bn\1/"),
    (r"/shortcut_conv/", "/downsample/0/"),
    (r"/shortcut_norm/", "/downsample/1/"),
)
_DENSENET_NAMES = (
    (r"^head", "classifier"),
    (r"^stem/(conv|norm)/", r"features/\g<1>0/"),
    (r"^norm/", "features/norm5/"),
    (r"^stage(\d)_layer(\d+)", r"features/denseblock\1/denselayer\2"),
    (r"^transition", "features/transition"),
)
_CBAM_NAMES = {
    "paper": (
        (r"/channel/reduce/", "/ca/fc/0/"),
        (r"/channel/expand/", "/ca/fc/2/"),
        (r"/spatial/conv/", "/sa/conv1/"),
    ),
    "official": (
        (r"/channel/reduce/", "/ChannelGate/mlp/1/"),
        (r"/channel/expand/", "/ChannelGate/mlp/3/"),
        (r"/spatial/conv/", "/SpatialGate/spatial/conv/"),
        (r"/spatial/norm/", "/SpatialGate/spatial/bn/"),
    ),
}
_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How one array changes between the two worlds."""

    outward: Callable[[np.ndarray], np.ndarray]
    inward: Callable[[np.ndarray], np.ndarray]


_VECTOR = _Layout(outward=lambda a: a, inward=lambda a: a)
_LINEAR = _Layout(outward=lambda a: a.T, inward=lambda a: a.T)
_CONVOLUTION = _Layout(
    outward=lambda a: a.transpose(3, 2, 0, 1), inward=lambda a: a.transpose(2, 3, 1, 0)
)
_POINTWISE_AS_LINEAR = _Layout(outward=lambda a: a[0, 0].T, inward=lambda a: a.T[None, None])


@dataclasses.dataclass(frozen=True)
class _Entry:
    """One array: its path here, its name and shape there, and the change of layout."""

    path: str
    name: str
    shape: tuple[int, ...]
    layout: _Layout


def from_torch(name: str, state_dict: Mapping[str, np.ndarray], **options: Any) -> dict[str, Any]:
    """Variables of a network from a PyTorch state dict.

    Args:
      name: a classifier's name (`mgajax.models.names()`).
      state_dict: name to array, as PyTorch lays them out; `num_batches_tracked` is ignored.
      **options: the network's options. The number of classes and of input channels is read from
        the arrays.

    Returns:
      {'params': ..., 'batch_stats': ...}, float32 numpy leaves.

    Raises:
      ConfigError: unknown network or option.
      DataError: entries are missing, unexpected or of another shape; all of them are named.
    """
    entries = _entries(
        name,
        num_classes=_length(state_dict, _last_name(name), axis=0, default=2),
        channels=_length(state_dict, _first_name(name), axis=1, default=3),
        options=options,
    )
    _check_names(state_dict, entries, model=name)
    leaves = {
        entry.path: np.ascontiguousarray(
            entry.layout.inward(np.asarray(state_dict[entry.name], np.float32))
        )
        for entry in entries
    }
    return flax.traverse_util.unflatten_dict(leaves, sep="/")


def to_torch(name: str, variables: Mapping[str, Any], **options: Any) -> dict[str, np.ndarray]:
    """A PyTorch state dict from a network's variables: the inverse of `from_torch`, bit for bit.

    `num_batches_tracked` is left out; `load_state_dict(strict=True)` does not ask for it.

    Raises:
      ConfigError: unknown network or option.
      DataError: the variables are not those of this network with these options.
    """
    leaves = flax.traverse_util.flatten_dict(dict(variables), sep="/")
    entries = _entries(
        name,
        num_classes=_length(leaves, "params/head/bias", axis=0, default=2),
        channels=_length(leaves, "params/stem/conv/kernel", axis=2, default=3),
        options=options,
    )
    differing = sorted(set(leaves) ^ {entry.path for entry in entries})
    if differing:
        raise DataError(
            f"variables do not fit model {name} with options {options}: {_some(differing)} "
            "on one side only; pass the options that the network was made with"
        )
    arrays = {
        entry.name: np.ascontiguousarray(entry.layout.outward(np.asarray(leaves[entry.path])))
        for entry in entries
    }
    _check_names(arrays, entries, model=name)
    return arrays


def _entries(
    name: str, *, num_classes: int, channels: int, options: Mapping[str, Any]
) -> list[_Entry]:
    """All arrays of a network, from its shapes."""
    model = models.create(name, num_classes=num_classes, **options)
    shapes = models.variable_shapes(model, image_size=64, channels=channels)
    flavour = str(options.get("flavour", models.options(name).get("flavour", "paper")))
    rules = (*_CBAM_NAMES[flavour], *_family_names(name))
    return [
        _entry(path, leaf.shape, rules=rules)
        for path, leaf in flax.traverse_util.flatten_dict(shapes, sep="/").items()
    ]


def _entry(path: str, shape: tuple[int, ...], *, rules: tuple[tuple[str, str], ...]) -> _Entry:
    layer, _, leaf = path.partition("/")[2].rpartition("/")
    translated = f"{layer}/"
    for pattern, replacement in rules:
        translated = re.sub(pattern, replacement, translated)
    torch_name = f"{translated}{_LEAVES[leaf]}".replace("/", ".")
    layout = _layout(torch_name, len(shape))
    outward_shape = layout.outward(np.empty(shape, np.bool_)).shape
    return _Entry(path=path, name=torch_name, shape=outward_shape, layout=layout)


def _layout(torch_name: str, rank: int) -> _Layout:
    if rank == 4:
        return _POINTWISE_AS_LINEAR if ".ChannelGate." in torch_name else _CONVOLUTION
    return _LINEAR if rank == 2 else _VECTOR


def _family_names(name: str) -> tuple[tuple[str, str], ...]:
    return _DENSENET_NAMES if name.startswith("densenet") else _RESNET_NAMES


def _first_name(name: str) -> str:
    return "features.conv0.weight" if name.startswith("densenet") else "conv1.weight"


def _last_name(name: str) -> str:
    return "classifier.weight" if name.startswith("densenet") else "fc.weight"


def _length(arrays: Mapping[str, Any], key: str, *, axis: int, default: int) -> int:
    """A dimension of an array, or `default` where it is absent: `_check_names` reports it then."""
    shape = np.shape(arrays[key]) if key in arrays else ()
    return int(shape[axis]) if len(shape) > axis else default


def _check_names(arrays: Mapping[str, Any], entries: list[_Entry], *, model: str) -> None:
    expected = {entry.name: entry.shape for entry in entries}
    found = {key: np.shape(value) for key, value in arrays.items() if not key.endswith(COUNTER)}
    problems = [
        ("missing", sorted(set(expected) - set(found))),
        ("unexpected", sorted(set(found) - set(expected))),
        (
            "of another shape",
            [
                f"{key} {found[key]} instead of {shape}"
                for key, shape in expected.items()
                if key in found and found[key] != shape
            ],
        ),
    ]
    lines = [f"{len(keys)} {what}: {_some(keys)}" for what, keys in problems if keys]
    if lines:
        raise DataError(
            f"state dict does not fit model {model}: {'; '.join(lines)}; "
            "check the model's name and its options (placement, flavour, stages)"
        )


def _some(keys: list[str], *, most: int = 8) -> str:
    rest = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + rest
