"""The maps and checks that explaining one or more runs gives."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from mgajax.explanation.methods import ExplanationTask, Maps, Method
from mgajax.explanation.slices import Slices
from mgajax.progress import track

BATCH = 32
"""Slices at once."""


@dataclasses.dataclass(frozen=True, eq=False)
class MethodMaps:
    """One method's maps of one model.

    Attributes:
      model: what the run is called.
      method: how the maps were made.
      maps: of all slices.
      seconds: a slice took, on average.
      compiled: whether `seconds` is without compilation: there was more than one batch.
    """

    model: str
    method: Method
    maps: Maps
    seconds: float
    compiled: bool


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


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What `explain_runs` gives.

    Attributes:
      slices: what was explained.
      targets: by model, the explained class of each slice.
      probabilities: by model, `[n, k]`.
      results: of each model and method.
      checks: of each model, method and kind of check that was asked for.
      files: what was written, the page last.
    """

    slices: Slices
    targets: Mapping[str, Int[np.ndarray, "n"]]
    probabilities: Mapping[str, Float[np.ndarray, "n k"]]
    results: Sequence[MethodMaps]
    checks: Sequence[Check] = ()
    files: Sequence[Path] = ()


def explain_all(name: str, method: Method, task: ExplanationTask) -> MethodMaps:
    """All slices of a task by one method, timed."""
    maps, seconds = [], []
    batches = batches_of(task)
    for batch in track(batches, description=f"{name}: {method.title}"):
        start = time.monotonic()
        maps.append(method.explain(batch))
        seconds.append((time.monotonic() - start) / len(batch.images))
    compiled = len(seconds) > 1
    average = float(np.mean(seconds[1:] if compiled else seconds))
    return MethodMaps(name, method, joined(maps, n=len(task.images)), average, compiled)


def batches_of(task: ExplanationTask) -> list[ExplanationTask]:
    """Parts of a task; the last one is filled up, so that one compilation serves all."""
    n = len(task.images)
    size = min(BATCH, n)
    several = task.baselines.ndim > task.images.ndim
    return [
        dataclasses.replace(
            task,
            images=task.images[rows],
            baselines=task.baselines[:, rows] if several else task.baselines[rows],
            targets=task.targets[rows],
        )
        for rows in np.arange(n + -n % size).clip(max=n - 1).reshape(-1, size)
    ]


def joined(batches: Sequence[Maps], *, n: int) -> Maps:
    """The maps of the first `n` slices."""

    def column(field: str) -> np.ndarray | None:
        arrays = [getattr(batch, field) for batch in batches]
        return None if arrays[0] is None else np.concatenate(arrays)[:n]

    values = column("values")
    assert values is not None
    return Maps(values, column("gap"), column("difference"))
