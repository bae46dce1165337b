"""The methods of `mgajax explain` by name, and their maps of any number of slices."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import numpy as np
from jaxtyping import Bool, Float, Int

from mgajax.errors import ConfigError, nearest
from mgajax.explanation.attribution import Attribution
from mgajax.explanation.class_activation import attention_maps, grad_cam
from mgajax.explanation.deep_lift import deeplift
from mgajax.explanation.integrated import integrated_gradients
from mgajax.models.outputs import shown_map
from mgajax.progress import track

BATCH = 32
"""Slices at once."""


@dataclasses.dataclass(frozen=True, eq=False)
class ExplanationTask:
    """A batch to explain; fields as the arguments of `deeplift`."""

    model: nn.Module
    variables: Mapping[str, Any]
    images: Float[np.ndarray, "b h w c"]
    baselines: Float[np.ndarray, "..."]
    targets: Int[np.ndarray, "b"]

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The fields as arguments of the attribution methods."""
        return self.model, self.variables, self.images, self.baselines, self.targets


@dataclasses.dataclass(frozen=True, eq=False)
class Maps:
    """The maps of a method for a batch.

    Attributes:
      values: float32 `[b, h, w]`: attributions summed over channels (signed), or heat ≥ 0.
      gap: float64 `[b]`, completeness gap; None for what is no attribution.
      difference: float64 `[b]`, what attributions should sum to.
      adds_up: bool `[b]`, whether they do, within the method's tolerance.
    """

    values: Float[np.ndarray, "b h w"]
    gap: Float[np.ndarray, "b"] | None = None
    difference: Float[np.ndarray, "b"] | None = None
    adds_up: Bool[np.ndarray, "b"] | None = None


@dataclasses.dataclass(frozen=True)
class Method:
    """One way to explain.

    Attributes:
      title: for people.
      explain: a batch to maps.
      signed: whether values speak for and against the class.
    """

    title: str
    explain: Callable[[ExplanationTask], Maps]
    signed: bool


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


def _attribution(attribution: Attribution) -> Maps:
    values = attribution.attributions.sum(axis=-1).astype(np.float32)
    return Maps(values, attribution.completeness_gap, attribution.difference, attribution.adds_up)


def _deeplift(nonlinear: str) -> Callable[[ExplanationTask], Maps]:
    return lambda task: _attribution(deeplift(*task.arguments, nonlinear=nonlinear))


def _own_attention(task: ExplanationTask) -> Maps:
    maps = attention_maps(task.model, task.variables, task.images)
    stage = shown_map(maps, guided=getattr(task.model, "guided", None))
    return Maps(maps[stage].astype(np.float32))


def _grad_cam(task: ExplanationTask) -> Maps:
    heat = grad_cam(task.model, task.variables, task.images, task.targets)
    return Maps(heat.astype(np.float32))


def _gradients(task: ExplanationTask) -> Maps:
    return _attribution(integrated_gradients(*task.arguments))


METHODS: dict[str, Method] = {
    "deeplift": Method("DeepLIFT Rescale", _deeplift("rescale"), signed=True),
    "revealcancel": Method("DeepLIFT RevealCancel", _deeplift("reveal_cancel"), signed=True),
    "ig": Method("Integrated Gradients", _gradients, signed=True),
    "gradcam": Method("Grad-CAM", _grad_cam, signed=False),
    "attention": Method("own attention", _own_attention, signed=False),
}


def select_methods(names: tuple[str, ...], *, has_attention: bool) -> dict[str, Method]:
    """The methods asked for; without names, those that are quick.

    Raises:
      ConfigError: an unknown name, or attention of a network without.
    """
    default = ("deeplift", "gradcam", *(("attention",) if has_attention else ()))
    for name in names:
        if name not in METHODS:
            raise ConfigError(f"--method {name}: {nearest(name, tuple(METHODS))}")
    if "attention" in names and not has_attention:
        raise ConfigError("--method attention: the run's network has no attention; leave it out")
    return {name: METHODS[name] for name in names or default}


def explain_slices(name: str, method: Method, task: ExplanationTask) -> MethodMaps:
    """All slices of a task by one method, timed."""
    maps, seconds = [], []
    batches = split_batches(task)
    for batch in track(batches, description=f"{name}: {method.title}"):
        start = time.monotonic()
        maps.append(method.explain(batch))
        seconds.append((time.monotonic() - start) / len(batch.images))
    compiled = len(seconds) > 1
    average = float(np.mean(seconds[1:] if compiled else seconds))
    return MethodMaps(name, method, join_maps(maps, n=len(task.images)), average, compiled)


def split_batches(task: ExplanationTask) -> list[ExplanationTask]:
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


def join_maps(batches: Sequence[Maps], *, n: int) -> Maps:
    """The maps of the first `n` slices."""

    def column(field: str) -> np.ndarray | None:
        arrays = [getattr(batch, field) for batch in batches]
        return None if arrays[0] is None else np.concatenate(arrays)[:n]

    values = column("values")
    assert values is not None
    return Maps(values, column("gap"), column("difference"), column("adds_up"))
