"""Insertion and deletion: does the network need the pixels that a map calls important?

Pixels go from baseline to image (insertion) or back (deletion), those of the highest value first,
and the target's probability is watched (Petsiuk et al. 2018). High area is good for insertion, low
area for deletion. Mixed pictures are unlike
anything the network has seen, so that curves compare maps of one network, not networks.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mgajax.data.loader import AnyArray
from mgajax.errors import ConfigError, DataError
from mgajax.explanation.question import (
    EVALUATION,
    AttributionQuestion,
    ExplainedNetwork,
    Targets,
    make_question,
    target_logits,
)

Direction = Literal["insertion", "deletion"]


@dataclasses.dataclass(frozen=True, eq=False)
class PixelCurve:
    """Probabilities of the target at each share of moved pixels.

    Attributes:
      shares: of the pixels moved, 0 … 1.
      probabilities: of each image at each share.
      area: under each curve, by the trapezoid rule.
    """

    shares: Float[np.ndarray, "s"]
    probabilities: Float[np.ndarray, "b s"]
    area: Float[np.ndarray, "b"]


def move_pixels(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: Float[AnyArray, "b h w c"],
    baselines: Float[AnyArray, "b h w c"],
    targets: Targets,
    *,
    maps: Float[AnyArray, "_b _h _w"],
    direction: Direction | str,
    steps: int = 20,
    batch_size: int = 32,
) -> PixelCurve:
    """Insert or delete pixels in the order of `maps`; of equal ones the first in reading order.

    Args:
      model: a classifier.
      variables: what `model.apply` takes.
      images: normalised.
      baselines: one for each image; a blurred image makes the least unnatural pictures.
      targets: class of each image.
      maps: the higher, the earlier.
      direction: "insertion" into the baseline or "deletion" from the image.
      steps: equal portions of pixels; the curve has one point more.
      batch_size: pictures at once.

    Raises:
      ConfigError: an unknown direction, no step, a target out of range.
      DataError: maps or baselines that do not fit the images.
    """
    if direction not in ("insertion", "deletion") or steps < 1:
        raise ConfigError(
            f"direction={direction!r}, steps={steps}: expected insertion or deletion in 1 or more"
        )
    if maps.shape != images.shape[:3]:
        raise DataError(f"maps {maps.shape} with images {images.shape}: expected one map an image")
    question = make_question(model, variables, images, baselines, targets, call=EVALUATION)
    shares = np.linspace(0.0, 1.0, steps + 1)
    start, end = question.baselines[0], question.images
    if direction == "deletion":
        start, end = end, start
    curves = _curves(
        question, start, end, ranks=_ranks(np.asarray(maps)), shares=shares, batch_size=batch_size
    )
    return PixelCurve(shares, curves, np.asarray(np.trapezoid(curves, shares, axis=1)))


def _curves(
    question: AttributionQuestion,
    start: Array,
    end: Array,
    *,
    ranks: Int[np.ndarray, "b h w"],
    shares: Float[np.ndarray, "s"],
    batch_size: int,
) -> Float[np.ndarray, "b s"]:
    """All pictures of all images, a batch at a time; the last batch is filled up."""
    n, points = len(question), len(shares)
    owners = np.repeat(np.arange(n, dtype=np.int32), points)
    counts = np.tile(np.round(shares * ranks[0].size).astype(np.int32), n)
    size = min(batch_size, n * points)
    surplus = -len(owners) % size
    owners, counts = np.pad(owners, (0, surplus)), np.pad(counts, (0, surplus))
    probabilities = [
        _probabilities(
            question.variables,
            start,
            end,
            jnp.asarray(ranks),
            question.targets,
            owners[offset : offset + size],
            counts[offset : offset + size],
            network=question.network,
        )
        for offset in range(0, len(owners), size)
    ]
    return np.concatenate(probabilities)[: n * points].reshape(n, points).astype(np.float64)


def _ranks(maps: np.ndarray) -> Int[np.ndarray, "b h w"]:
    """0 for the pixel of the highest value."""
    flat = maps.reshape(len(maps), -1)
    order = np.argsort(-flat, axis=1, kind="stable")
    ranks = np.empty(flat.shape, np.int32)
    np.put_along_axis(ranks, order, np.arange(flat.shape[1], dtype=np.int32)[None], axis=1)
    return ranks.reshape(maps.shape)


@functools.partial(jax.jit, static_argnames="network")
def _probabilities(
    variables: Mapping[str, Any],
    start: Float[Array, "b h w c"],
    end: Float[Array, "b h w c"],
    ranks: Int[Array, "b h w"],
    targets: Int[Array, "b"],
    owners: Int[Array, "q"],
    counts: Int[Array, "q"],
    *,
    network: ExplainedNetwork,
) -> Float[Array, "q"]:
    is_moved = ranks[owners] < counts[:, None, None]
    pictures = jnp.where(is_moved[..., None], end[owners], start[owners])
    chances = jax.nn.softmax(network.logits(variables, pictures), axis=-1)
    return target_logits(chances, targets[owners])
