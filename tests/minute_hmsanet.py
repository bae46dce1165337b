"""HMSANet at its smallest."""

import functools

import jax
import jax.numpy as jnp

from mgajax import models
from mgajax.models.blocks import Layers
from mgajax.models.hmsanet import LOW_SCALES, HMSANet
from mgajax.models.hrnet import TrunkPlan
from mgajax.models.ocr import HeadPlan

FLOAT32 = Layers()


def minute(
    *,
    scales: tuple[float, ...] = (0.5, 1.0),
    dropout: float = 0.0,
    remat: str = "none",
    layers: Layers = FLOAT32,
    statistics: str = "shared",
) -> HMSANet:
    """Two branches, one block each, a few channels: what compiles within seconds."""
    trunk = TrunkPlan(4, modules=(1,), blocks=1, stem=4, bottlenecks=1, bottleneck_width=4)
    head = HeadPlan(8, 4, dropout)
    return HMSANet(2, trunk, head, layers, scales, remat, statistics=statistics)


@functools.cache
def variables() -> dict:
    """The minute network's, livelier than at the start, where attention is 0.5 nearly everywhere."""
    drawn = models.init_variables(minute(), image_size=32, channels=1, seed=1)
    drawn["params"]["scale_attention"]["conv2"]["kernel"] *= 60.0
    drawn["params"]["backbone"] = jax.tree.map(
        lambda leaf: leaf * 200.0 if leaf.ndim == 4 else leaf, drawn["params"]["backbone"]
    )
    return jax.tree.map(jnp.asarray, drawn)


def per_scale_variables() -> dict:
    """Those of `variables`, with statistics of their own below full size."""
    start = variables()
    low = jax.tree.map(lambda leaf: 1.5 * leaf + 0.25, start["batch_stats"])
    return {**start, "batch_stats": {**start["batch_stats"], LOW_SCALES: low}}
