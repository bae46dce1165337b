"""Points and weights on the path from a baseline to an image; all weights sum to one."""

import dataclasses
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64

from mgajax.errors import ConfigError, nearest

QuadratureRule = Literal["gauss_legendre", "left", "right", "middle", "trapezoid"]


@dataclasses.dataclass(frozen=True, eq=False)
class Quadrature:
    """∫₀¹ g(α) dα ≈ Σ weights · g(places).

    Attributes:
      places: in [0, 1], ascending.
      weights: sum to 1.
    """

    places: Float64[np.ndarray, "s"]
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
