"""Checks of maps that need no lesion masks: insertion, deletion, and weight randomisation."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mgajax.explanation import baselines
from mgajax.explanation.class_activation import layer_names
from mgajax.explanation.methods import ExplanationTask, MethodMaps, join_maps, split_batches
from mgajax.explanation.pixel_curves import move_pixels
from mgajax.explanation.question import EVALUATION, ExplainedNetwork
from mgajax.explanation.randomisation import randomisation_check
from mgajax.models import init_variables
from mgajax.progress import track

CHECKS = ("insertion", "deletion", "randomisation")
JUST_ABOVE = 1e-3
"""In normalised grey values: far less than one level of 255."""


@dataclasses.dataclass(frozen=True, eq=False)
class Check:
    """The outcome of a check for one method's maps of one model.

    Attributes:
      model: what the run is called.
      method: title of the method.
      kind: one of `checks.CHECKS`.
      points: shares of the pixels moved (insertion, deletion) or layers redrawn so far.
      values: of each slice at each point: the target's probability, or the rank correlation with
        the trained network's map.
      score: of each slice: the area under its curve, or the correlation once all is redrawn.
    """

    model: str
    method: str
    kind: str
    points: tuple[str, ...]
    values: Float[np.ndarray, "n p"]
    score: Float[np.ndarray, "n"]


def run_checks(
    results: Sequence[MethodMaps], task: ExplanationTask, *, kinds: Sequence[str], other_seed: int
) -> list[Check]:
    """Check each method's maps of one model.

    Args:
      results: its maps.
      task: all slices that they explain.
      kinds: of `CHECKS`.
      other_seed: draws the weights that randomisation puts in; not the one that training began from.

    Returns:
      Insertion and deletion go by the signed maps, highest value first, from and to the blurred
      slice, which is the least unnatural of baselines. Randomisation redraws layers from the
      output to the input and compares the size of values where the slice is not black; a method
      that needs the network's attention sees that of the redrawn one.
    """
    pairs = [(result, kind) for result in results for kind in kinds]
    return [
        _check_randomisation(result, task, seed=other_seed)
        if kind == "randomisation"
        else _check_pixels(result, task, direction=kind)
        for result, kind in track(pairs, description="checking maps")
    ]


def _check_pixels(result: MethodMaps, task: ExplanationTask, *, direction: str) -> Check:
    curve = move_pixels(
        task.model,
        task.variables,
        task.images,
        baselines.blurred(task.images),
        task.targets,
        maps=result.maps.values,
        direction=direction,
    )
    points = tuple(f"{share:.2f}" for share in curve.shares)
    return Check(
        result.model, result.method.title, direction, points, curve.probabilities, curve.area
    )


def _check_randomisation(result: MethodMaps, task: ExplanationTask, *, seed: int) -> Check:
    network = ExplainedNetwork(task.model, tuple(EVALUATION.items()))
    layers = layer_names(network, task.variables, jnp.asarray(task.images[:1]))[::-1]
    size, channels = task.images.shape[1], task.images.shape[3]
    redrawn = init_variables(task.model, image_size=size, channels=channels, seed=seed)

    def sizes(variables: dict[str, Any]) -> Float[np.ndarray, "n s s"]:
        batches = split_batches(dataclasses.replace(task, variables=variables))
        maps = [result.method.explain(batch) for batch in batches]
        return np.abs(join_maps(maps, n=len(task.images)).values)

    correlations = randomisation_check(
        sizes,
        jax.device_get(task.variables),
        redrawn=jax.device_get(redrawn),
        layers=layers,
        counted=np.any(task.images > baselines.BLACK + JUST_ABOVE, axis=-1),
    )
    values = np.stack(list(correlations.values()), axis=1)
    return Check(
        result.model,
        result.method.title,
        "randomisation",
        tuple(correlations),
        values,
        values[:, -1],
    )
