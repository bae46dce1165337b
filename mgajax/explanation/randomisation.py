"""A sanity check: a map that explains a network must change when the network's weights do.

Layers are redrawn one after another from the output to the input, and the map of each such network
is compared with the trained one's (Adebayo et al. 2018, cascading randomisation). A map that stays
alike shows edges of the image, not what was learned.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from mgajax.errors import DataError

Variables = Mapping[str, Mapping[str, Any]]


def randomisation_check(
    explain: Callable[[dict[str, dict[str, Any]]], Float[np.ndarray, "b h w"]],
    variables: Variables,
    *,
    redrawn: Variables,
    layers: Sequence[str],
) -> dict[str, Float[np.ndarray, "b"]]:
    """Rank correlation of each image's map with its map under redrawn weights.

    Args:
      explain: variables to maps; `scores.relevance` of attributions, for example.
      variables: trained parameters and statistics.
      redrawn: others of the same structure, for example from `init_variables` with another seed.
      layers: top-level names, in the order of redrawing; `class_activation.layer_names` reversed.

    Returns:
      For each layer Spearman's correlation once it and all before it in `layers` are redrawn; NaN
      for a constant map.

    Raises:
      DataError: a layer that is not among the parameters, or none.
    """
    known = tuple(variables["params"])
    if not layers or (missing := [name for name in layers if name not in known]):
        wrong = missing[0] if layers else "none given"
        raise DataError(f"layers: {wrong}, expected some of {', '.join(known)}")
    trained = explain({key: dict(tree) for key, tree in variables.items()})
    mixed = {key: dict(tree) for key, tree in variables.items()}
    found = {}
    for layer in layers:
        for key, tree in mixed.items():
            if layer in tree:
                tree[layer] = redrawn[key][layer]
        found[layer] = rank_correlation(trained, explain(mixed))
    return found


def rank_correlation(
    one: Float[np.ndarray, "b h w"], other: Float[np.ndarray, "b h w"]
) -> Float[np.ndarray, "b"]:
    """Spearman's correlation of two maps of each image, float64; NaN if one is constant."""
    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (one, other)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), size, out=np.full(len(a), np.nan), where=size > 0)
