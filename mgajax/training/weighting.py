"""The sum of the losses with learned weights: paper Eq. 6, and variants of it.

Pure functions of arrays. For each term one number θ is learned; it starts at 0.
"""

from enum import StrEnum

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

FIXED = "fixed"


class Weighting(StrEnum):
    """What θ is. All but `POSITIVE` have the same optimum, a weight of 1 / (2 L).

    They approach it at different speeds, so a training of a given learning rate ends with different
    weights: Adam moves θ by the rate each step, which multiplies σ² by e^rate where θ is its logarithm.
    """

    UNCERTAINTY = "uncertainty"
    """θ = log σ²: Eq. 6 as printed, stable for any θ; the default."""

    SIGMA = "uncertainty_sigma"
    """θ = σ − 1: Eq. 6 with σ itself as the parameter."""

    KENDALL = "uncertainty_kendall"
    """θ = log σ²; the class term has 1 / σ² (Kendall et al. 2018)."""

    POSITIVE = "uncertainty_positive"
    """θ = σ − 1, with log(1 + σ²) for log σ: the sum stays positive (Liebel & Körner 2018)."""


def task_weights(
    theta: Float[Array, "t"],
    *,
    is_class: Bool[Array, "t"] | bool = False,
    form: Weighting = Weighting.UNCERTAINTY,
) -> Float[Array, "t"]:
    """The factor of each loss: 1 / (2 σ²).

    The paper has that for both tasks, unlike Kendall et al. (2018), whose class term has 1 / σ².

    Args:
      theta: [t], one a term.
      is_class: which terms classify; the others regress.
      form: what θ is.
    """
    halves = 0.5 * jnp.exp(-log_variances(theta, form=form))
    return jnp.where(is_class, 2.0 * halves, halves) if form == Weighting.KENDALL else halves


def log_variances(
    theta: Float[Array, "t"], *, form: Weighting = Weighting.UNCERTAINTY
) -> Float[Array, "t"]:
    """log σ² of each term."""
    if form in (Weighting.SIGMA, Weighting.POSITIVE):
        return jnp.log(jnp.square(1.0 + theta))
    return theta


def penalties(
    theta: Float[Array, "t"], *, form: Weighting = Weighting.UNCERTAINTY
) -> Float[Array, "t"]:
    """What keeps each σ from growing: log σ."""
    if form == Weighting.POSITIVE:
        return jnp.log1p(jnp.square(1.0 + theta))
    return 0.5 * log_variances(theta, form=form)


def weighted_total(
    losses: Float[Array, "t"],
    theta: Float[Array, "t"],
    *,
    is_class: Bool[Array, "t"] | bool = False,
    form: Weighting = Weighting.UNCERTAINTY,
    penalised: Float[Array, "t"] | float = 1.0,
) -> Float[Array, ""]:
    """Σ L / (2 σ²) + log σ over the terms (paper Eq. 6).

    The total may be negative, and falls when only θ moves, so it is no criterion for stopping or for
    the best checkpoint.

    Args:
      losses: one a term.
      theta: learned, one a term.
      is_class: see `task_weights`.
      form: what θ is.
      penalised: share of each log σ that counts here (1 for the formula as it stands).
    """
    weights = task_weights(theta, is_class=is_class, form=form)
    return jnp.sum(weights * losses + penalties(theta, form=form) * penalised)
