"""Weights of the public PyTorch definitions in and out, by name; numpy only."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.traverse_util
import numpy as np

from mgajax import models
from mgajax.errors import ConfigError, DataError
from mgajax.interop.torch_names import CBAM, Rules, family
from mgajax.models.hmsanet import LOW_SCALES

COUNTER = "num_batches_tracked"
"""PyTorch's count of training batches: it has no use here and is neither needed nor written."""

LISTED = 8
"""Names that a message lists."""

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How an array's axes change from ours to PyTorch's and back."""

    outward: Callable[[np.ndarray], np.ndarray]
    inward: Callable[[np.ndarray], np.ndarray]


_VECTOR = _Layout(outward=lambda a: a, inward=lambda a: a)
_LINEAR = _Layout(outward=lambda a: a.T, inward=lambda a: a.T)
_CONVOLUTION = _Layout(
    outward=lambda a: a.transpose(3, 2, 0, 1), inward=lambda a: a.transpose(2, 3, 1, 0)
)
_TRANSPOSED = _Layout(
    outward=lambda a: a.transpose(2, 3, 0, 1), inward=lambda a: a.transpose(2, 3, 0, 1)
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
      name: a network's name (`mgajax.models.names()`).
      state_dict: name to array, as PyTorch lays them out; `num_batches_tracked` is ignored.
      **options: the network's options. The number of classes and of input channels is read from
        the arrays.

    Returns:
      {'params': ..., 'batch_stats': ...}, float32 numpy leaves. An HMSANet with statistics for each
      scale has the published ones in both sets.

    Raises:
      ConfigError: unknown network or option.
      DataError: entries are missing, unexpected or of another shape; all of them are named.
    """
    entries = _entries(
        name,
        num_classes=_length(state_dict, f"{family(name).last[1]}.weight", axis=0, default=2),
        channels=_length(state_dict, f"{family(name).first[1]}.weight", axis=1, default=3),
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
      ConfigError: unknown network or option, or the network has two sets of running statistics.
      DataError: the variables are not those of this network with these options.
    """
    if options.get("statistics", "shared") != "shared":
        raise ConfigError(
            f"model {name} with statistics={options['statistics']!r} has no PyTorch form: the published "
            "definition keeps one set of running statistics for all scales; export it as safetensors, "
            "orbax, stablehlo or onnx, or train with model.options.statistics=shared"
        )
    leaves = flax.traverse_util.flatten_dict(dict(variables), sep="/")
    entries = _entries(
        name,
        num_classes=_length(leaves, f"params/{family(name).last[0]}/bias", axis=0, default=2),
        channels=_length(leaves, f"params/{family(name).first[0]}/kernel", axis=2, default=3),
        options=options,
    )
    differing = sorted(set(leaves) ^ {entry.path for entry in entries})
    if differing:
        raise DataError(
            f"variables do not fit model {name} with options {options}: {_join_keys(differing)} "
            "on one side only; pass the options that the network was made with"
        )
    arrays = {
        entry.name: np.ascontiguousarray(entry.layout.outward(np.asarray(leaves[entry.path])))
        for entry in entries
    }
    _check_names(arrays, entries, model=name)
    return arrays


def renamed_from_torch(
    name: str, arrays: Mapping[str, np.ndarray], *, channels: int, **options: Any
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays by PyTorch's names under our paths and in our layout, as far as a network has them.

    Unlike `from_torch` this takes parts of a network and other numbers of classes and channels:
    ImageNet files of torchvision and of HRNet's authors, with or without "module." and "model." in
    front of their names; those of a trunk alone go to a segmenter's `backbone`.

    Args:
      name: a network's name.
      arrays: by PyTorch's names.
      channels: of the network's images.
      **options: the network's options.

    Returns:
      By our path ("params/stem/conv/kernel"), of whatever shape; and the names without a place.

    Raises:
      ConfigError: unknown network or option.
    """
    entries = {
        entry.name: entry
        for entry in _entries(name, num_classes=2, channels=channels, options=options)
        if LOW_SCALES not in entry.path
    }
    plain = {key: _plain_name(key) for key in arrays}
    prefix = max(("", "backbone."), key=lambda p: sum(p + n in entries for n in plain.values()))
    leaves, without_place = {}, []
    for key, array in arrays.items():
        entry = entries.get(prefix + plain[key])
        if entry is None:
            without_place.append(key)
        else:
            fits = array.ndim == len(entry.shape)
            leaves[entry.path] = entry.layout.inward(array) if fits else array
    return leaves, without_place


def _plain_name(name: str) -> str:
    """A name without prefixes of training programs; torchvision's old DenseNet names in today's form."""
    name = name.removeprefix("module.").removeprefix("model.")
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)


def _entries(
    name: str, *, num_classes: int, channels: int, options: Mapping[str, Any]
) -> list[_Entry]:
    """All arrays of a network, from its shapes."""
    model = models.create(name, num_classes=num_classes, **options)
    shapes = models.variable_shapes(model, image_size=64, channels=channels)
    flavour = str(options.get("flavour", models.options(name).get("flavour", "paper")))
    rules = (*CBAM[flavour], *family(name).rules)
    return [
        _entry(path, leaf.shape, rules=rules)
        for path, leaf in flax.traverse_util.flatten_dict(shapes, sep="/").items()
    ]


def _entry(path: str, shape: tuple[int, ...], *, rules: Rules) -> _Entry:
    layer, _, leaf = path.partition("/")[2].removeprefix(f"{LOW_SCALES}/").rpartition("/")
    translated = f"{layer}/"
    for pattern, replacement in rules:
        translated = re.sub(pattern, replacement, translated)
    torch_name = f"{translated}{_LEAVES[leaf]}".replace("/", ".")
    layout = _layout(layer, torch_name, len(shape))
    outward_shape = layout.outward(np.empty(shape, np.bool_)).shape
    return _Entry(path=path, name=torch_name, shape=outward_shape, layout=layout)


def _layout(layer: str, torch_name: str, rank: int) -> _Layout:
    if rank == 4:
        if layer.endswith("/up"):
            return _TRANSPOSED
        return _POINTWISE_AS_LINEAR if ".ChannelGate." in torch_name else _CONVOLUTION
    return _LINEAR if rank == 2 else _VECTOR


def _length(arrays: Mapping[str, Any], key: str, *, axis: int, default: int) -> int:
    """A dimension of an array, or `default` where it is absent: `_check_names` reports it then."""
    shape = np.shape(arrays[key]) if key in arrays else ()
    return int(shape[axis]) if len(shape) > axis else default


def _check_names(arrays: Mapping[str, Any], entries: list[_Entry], *, model: str) -> None:
    expected = {entry.name: entry.shape for entry in entries}
    shapes = {key: np.shape(value) for key, value in arrays.items() if not key.endswith(COUNTER)}
    problems = [
        ("missing", sorted(set(expected) - set(shapes))),
        ("unexpected", sorted(set(shapes) - set(expected))),
        (
            "of another shape",
            [
                f"{key} {shapes[key]} instead of {shape}"
                for key, shape in expected.items()
                if key in shapes and shapes[key] != shape
            ],
        ),
    ]
    lines = [f"{len(keys)} {kind}: {_join_keys(keys)}" for kind, keys in problems if keys]
    if lines:
        raise DataError(
            f"state dict does not fit model {model}: {'; '.join(lines)}; "
            f"check the model's name and its options ({', '.join(models.options(model))})"
        )


def _join_keys(keys: list[str]) -> str:
    remainder = f" and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return ", ".join(keys[:LISTED]) + remainder
