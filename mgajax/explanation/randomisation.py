"""A sanity check: a map that explains a network must change when the network's weights do.

Layers are redrawn one after another from the output to the input, and the map of each such network
is compared with the trained one's (Adebayo et al. 2018, cascading randomisation). A map that stays
alike shows edges of the image, not what the network learned.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from mgajax.errors import DataError

Variables = Mapping[str, Mapping[str, Any]]


def randomisation_check(
    explain: Callable[[dict[str, dict[str, Any]]], Float[np.ndarray, "b h w"]],
    variables: Variables,
    *,
    redrawn: Variables,
    layers: Sequence[str],
    counted: Bool[np.ndarray, "b h w"] | None = None,
) -> dict[str, Float[np.ndarray, "b"]]:
    """Rank correlation of each image's map with its map under redrawn weights.

    Args:
      explain: variables to maps; `scores.relevance` of attributions, for example.
      variables: trained parameters and statistics.
      redrawn: others of the same structure, for example from `init_variables` with another seed.
      layers: top-level names, in the order of redrawing; `class_activation.layer_names` reversed.
      counted: the pixels that count, all if None. An attribution is 0 wherever the image equals its
        baseline, under any weights, so that a black background would make all maps alike.

    Returns:
      For each layer Spearman's correlation once it and all before it in `layers` are redrawn; NaN
      for a constant map.

    Raises:
      DataError: a layer that is not among the parameters, or none.
    """
    parameters = tuple(variables["params"])
    if not layers or (missing := [name for name in layers if name not in parameters]):
        unknown = missing[0] if layers else "none given"
        raise DataError(f"layers: {unknown}, expected some of {', '.join(parameters)}")
    trained = explain({key: dict(tree) for key, tree in variables.items()})
    mixed = {key: dict(tree) for key, tree in variables.items()}
    correlations = {}
    for layer in layers:
        for key, tree in mixed.items():
            if layer in tree:
                tree[layer] = redrawn[key][layer]
        correlations[layer] = rank_correlation(trained, explain(mixed), counted=counted)
    return correlations


def rank_correlation(
    maps: Float[np.ndarray, "b h w"],
    other_maps: Float[np.ndarray, "b h w"],
    *,
    counted: Bool[np.ndarray, "b h w"] | None = None,
) -> Float[np.ndarray, "b"]:
    """Spearman's correlation of two maps of each image, float64; NaN if one is constant.

    Args:
      counted: the pixels that count; all if None.
    """
    selected = np.ones(maps.shape, bool) if counted is None else counted
    return np.array(
        [_spearman(a[rows], b[rows]) for a, b, rows in zip(maps, other_maps, selected, strict=True)]
    )


def _spearman(values: Float[np.ndarray, "n"], other_values: Float[np.ndarray, "n"]) -> float:
    a, b = (ranks - ranks.mean() for ranks in (rankdata(values), rankdata(other_values)))
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / size if size > 0 else math.nan
