"""A network's variables to start training from: a file's arrays, else drawn ones; with an account of each."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.traverse_util
import numpy as np

from mgajax.errors import DataError
from mgajax.interop.torch_names import family
from mgajax.interop.torch_weights import renamed_from_torch
from mgajax.interop.weight_files import Weights
from mgajax.models.hmsanet import LOW_SCALES

SHOWN = 8
"""Names of each kind in a short account."""


@dataclasses.dataclass(frozen=True, eq=False)
class StartingWeights:
    """What became of a file's weights.

    Attributes:
      variables: `{"params", "batch_stats"}`, float32.
      source: the file.
      used: our paths of arrays that were taken as they are.
      adapted: paths of those that were changed, and how.
      fresh: paths of those that stay as they were drawn, and why.
      unused: names of the file's arrays that the network has no place for.
    """

    variables: dict[str, Any]
    source: Path
    used: list[str]
    adapted: dict[str, str]
    fresh: dict[str, str]
    unused: list[str]

    def account(self, *, most: int | None = None) -> str:
        """Arrays that were used, adapted, left as drawn and not used, a line each.

        Args:
          most: names of each kind; all by default.
        """
        parts = [
            f"init_from {self.source}: {len(self.used)} arrays used as they are",
            *_list_lines(
                "adapted", [f"{key}: {change}" for key, change in self.adapted.items()], most
            ),
            *_list_lines(
                "left as drawn", [f"{key}: {reason}" for key, reason in self.fresh.items()], most
            ),
            *_list_lines("in the file, not used", self.unused, most),
        ]
        return "\n".join(parts)


def start_from(
    weights: Weights,
    *,
    variables: Mapping[str, Any],
    source: Path,
    name: str,
    num_classes: int,
    options: Mapping[str, Any],
) -> StartingWeights:
    """Replace drawn arrays by those of a file.

    A first layer for colour is summed over its channels where ours sees one: the answer to a grey
    picture copied to all of them. Layers for another number of classes stay as drawn. Running
    statistics of the lower scales are, where the file has none, those of full size.

    Args:
      weights: the file's.
      variables: the network's, drawn; or their shapes, to see whether the file fits.
      source: the file.
      name: the network's name.
      num_classes: its number of logits.
      options: its options.

    Raises:
      DataError: nothing fits, or arrays are those of another network.
    """
    arrays = flax.traverse_util.flatten_dict(dict(variables), sep="/")
    first_layer = f"params/{family(name).first[0]}/kernel"
    file_arrays: Mapping[str, np.ndarray] = weights.arrays
    unused: list[str] = []
    if weights.naming == "torch":
        channels = arrays[first_layer].shape[2]
        file_arrays, unused = renamed_from_torch(name, file_arrays, channels=channels, **options)
    unused += [path for path in file_arrays if path not in arrays]
    used, adapted, fresh, mismatches = [], {}, {}, []
    merged = dict(arrays)
    for path, initial in arrays.items():
        file_path = path if path in file_arrays else path.replace(f"/{LOW_SCALES}/", "/")
        if file_path not in file_arrays:
            fresh[path] = "not in the file"
            continue
        array, shape = file_arrays[file_path], tuple(initial.shape)
        if array.shape == shape and file_path != path:
            adapted[path] = "that of full size"
            merged[path] = array.astype(np.float32)
        elif array.shape == shape:
            used.append(path)
            merged[path] = array.astype(np.float32)
        elif path == first_layer and _is_for_colour(array.shape, grey=shape):
            adapted[path] = f"summed over {array.shape[2]} input channels"
            merged[path] = array.astype(np.float32).sum(axis=2, keepdims=True)
        elif array.shape[:-1] == shape[:-1] and shape[-1] == num_classes:
            fresh[path] = f"{array.shape[-1]} classes in the file, {num_classes} here"
        else:
            mismatches.append(f"{path} {array.shape} instead of {shape}")
    if mismatches or not used:
        reason = f"{name} with options {dict(options)}: {_misfit(weights.arrays, mismatches)}"
        raise DataError(f"{source}: not the weights of {reason}; check model.name and its options")
    tree = flax.traverse_util.unflatten_dict(merged, sep="/")
    return StartingWeights(tree, source, used, adapted, fresh, unused)


def _misfit(arrays: Mapping[str, np.ndarray], mismatches: list[str]) -> str:
    count = len(mismatches)
    problem = f"{count} arrays of other shapes ({mismatches[0]})" if count else "nothing fits"
    return f"{problem}; the file has {len(arrays)} arrays, the first is {next(iter(arrays))}"


def _is_for_colour(shape: tuple[int, ...], *, grey: tuple[int, ...]) -> bool:
    """Whether a kernel `[h, w, inputs, outputs]` differs from a grey picture's in its inputs alone."""
    return shape[2] > 1 and shape[:2] + shape[3:] == grey[:2] + grey[3:]


def _list_lines(title: str, lines: list[str], most: int | None) -> list[str]:
    listed = lines if most is None else lines[:most]
    remainder = [f"  ... and {len(lines) - len(listed)} more"] if len(listed) < len(lines) else []
    return (
        [f"{title}: {len(lines)}", *(f"  {line}" for line in listed), *remainder] if lines else []
    )
