"""Number and list of a network's parameters."""

import math
from collections.abc import Mapping
from typing import Any

import flax.traverse_util


def count(variables: Mapping[str, Any]) -> int:
    """Number of trainable parameters (running statistics are not counted)."""
    leaves = flax.traverse_util.flatten_dict(variables["params"]).values()
    return sum(math.prod(leaf.shape) for leaf in leaves)


def describe(variables: Mapping[str, Any]) -> str:
    """A table of parameters by layer, with shapes and counts, and the totals below it."""
    params = flax.traverse_util.flatten_dict(variables["params"], sep="/")
    statistics = flax.traverse_util.flatten_dict(variables.get("batch_stats", {}))
    width = max(len(path) for path in params)
    lines = [
        f"{path:<{width}}  {'×'.join(map(str, leaf.shape)):>16}  {math.prod(leaf.shape):>10,}"
        for path, leaf in params.items()
    ]
    running = sum(math.prod(leaf.shape) for leaf in statistics.values())
    lines.append(f"{count(variables):,} parameters, {running:,} running statistics")
    return "\n".join(lines)
