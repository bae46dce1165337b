"""Integrated Gradients (Sundararajan et al. 2017; the paper's §6.4 as further work).

(x − b) · ∫₀¹ ∇f(b + α (x − b)) dα, with the integral by a rule of `Quadrature`. With several
baselines an image, attributions are averaged: the expectation of expected gradients (Erion et al.
2021), with the integral over the path done by the rule instead of by chance.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int

from mgajax.data.loader import AnyArray
from mgajax.errors import ConfigError, nearest
from mgajax.explanation.attribution import Attribution, make_attribution
from mgajax.explanation.question import (
    EVALUATION,
    AttributionQuestion,
    Baselines,
    ExplainedNetwork,
    Targets,
    make_question,
    target_logits,
)

QuadratureRule = Literal["gauss_legendre", "left", "right", "middle", "trapezoid"]


@dataclasses.dataclass(frozen=True, eq=False)
class Quadrature:
    """∫₀¹ g(α) dα ≈ Σ weights · g(nodes).

    Attributes:
      nodes: in [0, 1], ascending.
      weights: sum to 1.
    """

    nodes: Float64[np.ndarray, "s"]
    weights: Float64[np.ndarray, "s"]


def quadrature(rule: QuadratureRule | str, *, steps: int) -> Quadrature:
    """The points of a rule.

    Note: captum's trapezoid has weights that sum to (steps − 1) / steps, which shrinks every map by
    that factor; here the inner points have weight 1 / (steps − 1) and the ends half of it.

    Args:
      rule: "gauss_legendre" (exact for polynomials of degree 2 · steps − 1), or a Riemann rule.
      steps: number of points, at least 1 (2 for the trapezoid).

    Raises:
      ConfigError: an unknown rule, or too few steps.
    """
    least = 2 if rule == "trapezoid" else 1
    if rule not in get_args(QuadratureRule):
        raise ConfigError(f"rule={rule!r}: {nearest(str(rule), get_args(QuadratureRule))}")
    if steps < least:
        raise ConfigError(f"steps={steps}: the rule {rule!r} needs at least {least}")
    if rule == "gauss_legendre":
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        return Quadrature((1 + nodes) / 2, weights / 2)
    if rule == "trapezoid":
        weights = np.full(steps, 1 / (steps - 1))
        weights[[0, -1]] /= 2
        return Quadrature(np.linspace(0, 1, steps), weights)
    shift = {"left": 0.0, "middle": 0.5, "right": 1.0}[rule]
    return Quadrature((np.arange(steps) + shift) / steps, np.full(steps, 1 / steps))


def integrated_gradients(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: Float[AnyArray, "b *size"],
    baselines: Baselines,
    targets: Targets,
    *,
    rule: QuadratureRule | str = "gauss_legendre",
    steps: int = 50,
    batch_size: int = 32,
    call: Mapping[str, Any] = EVALUATION,
    tolerance: float = 0.1,
) -> Attribution:
    """Attribute the logit of each image's target to its pixels.

    Args:
      model: a classifier of ours, or any Flax module that gives logits `[b, k]`.
      variables: what `model.apply` takes.
      images: normalised, as the network takes them.
      baselines: of the images' shape, or `[m, b, ...]` for the mean over m baselines an image.
      targets: class of each image, 0 … k − 1.
      rule: of the integral, see `quadrature`.
      steps: points on each path. A ReLU network's gradient jumps along the path, so the gap falls
        only slowly with it: about 1e-3 of the difference at 50.
      batch_size: points whose gradients are computed at once; bounds the memory.
      call: keyword arguments of the module's call.
      tolerance: of the completeness gap, see `make_attribution`.

    Raises:
      ConfigError: unknown rule, a target out of range, a model in train mode.
      DataError: baselines that do not fit the images.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}: expected at least 1")
    question = make_question(model, variables, images, baselines, targets, call=call)
    points = quadrature(rule, steps=steps)
    total = np.zeros(question.images.shape, question.images.dtype)
    differences = np.zeros(len(question), np.float64)
    with jax.default_matmul_precision("highest"):
        for reference in question.baselines:
            total += _one_baseline(question, reference, points=points, batch_size=batch_size)
            differences += logit_differences(question, reference, batch_size=batch_size)
    count = len(question.baselines)
    return make_attribution(
        f"integrated gradients ({rule}, {steps} steps)",
        total / total.dtype.type(count),
        difference=differences / count,
        tolerance=tolerance,
    )


def logit_differences(
    question: AttributionQuestion, reference: Float[Array, "b *size"], *, batch_size: int
) -> Float[np.ndarray, "b"]:
    """f(x) − f(reference) of each target's logit, float64."""
    differences = []
    for start in range(0, len(question), batch_size):
        rows = slice(start, start + batch_size)
        arguments = question.images[rows], reference[rows], question.targets[rows]
        differences.append(_difference(question.variables, *arguments, network=question.network))
    return np.concatenate(differences).astype(np.float64)


def _one_baseline(
    question: AttributionQuestion, reference: Array, *, points: Quadrature, batch_size: int
) -> np.ndarray:
    """All points of all paths, a batch at a time; the last batch is filled up with weight 0."""
    n, steps = len(question), len(points.nodes)
    owners = np.repeat(np.arange(n, dtype=np.int32), steps)
    nodes, weights = np.tile(points.nodes, n), np.tile(points.weights, n)
    size = min(batch_size, n * steps)
    surplus = -len(owners) % size
    owners = np.pad(owners, (0, surplus), mode="edge")
    nodes, weights = np.pad(nodes, (0, surplus)), np.pad(weights, (0, surplus))
    dtype = question.images.dtype
    mean = jnp.zeros_like(question.images)
    for start in range(0, len(owners), size):
        rows = slice(start, start + size)
        mean = mean + _weighted_gradients(
            question.variables,
            question.images,
            reference,
            question.targets,
            owners[rows],
            nodes[rows].astype(dtype),
            weights[rows].astype(dtype),
            network=question.network,
        )
    return np.asarray(mean * (question.images - reference))


@functools.partial(jax.jit, static_argnames="network")
def _weighted_gradients(
    variables: Mapping[str, Any],
    images: Float[Array, "b *size"],
    references: Float[Array, "b *size"],
    targets: Int[Array, "b"],
    owners: Int[Array, "q"],
    nodes: Float[Array, "q"],
    weights: Float[Array, "q"],
    *,
    network: ExplainedNetwork,
) -> Float[Array, "b *size"]:
    """Weighted gradients at q points, summed for each image."""
    line = (-1,) + (1,) * (images.ndim - 1)
    start = references[owners]
    points = start + nodes.reshape(line) * (images[owners] - start)

    def total(at: Array) -> Array:
        return jnp.sum(target_logits(network.logits(variables, at), targets[owners]))

    gradients = jax.grad(total)(points) * weights.reshape(line)
    return jax.ops.segment_sum(gradients, owners, num_segments=images.shape[0])


@functools.partial(jax.jit, static_argnames="network")
def _difference(
    variables: Mapping[str, Any],
    images: Float[Array, "b *size"],
    references: Float[Array, "b *size"],
    targets: Int[Array, "b"],
    *,
    network: ExplainedNetwork,
) -> Float[Array, "b"]:
    of_image, of_reference = (network.logits(variables, x) for x in (images, references))
    return target_logits(of_image - of_reference, targets)
