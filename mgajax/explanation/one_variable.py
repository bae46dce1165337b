"""Functions of one variable, element by element: where Rescale and RevealCancel differ."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from mgajax.explanation.difference import Difference, DifferenceParts

Nonlinear = Literal["rescale", "reveal_cancel", "genomics_default"]

ZERO = {4: 1e-7, 8: 1e-10}
"""Changes up to here count as none, by bytes of the type."""


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of one variable.

    Attributes:
      at: the function.
      slope: its derivative; None: JAX's. Written out where there is a kink, on which the slope of a
        ReLU is 0 (as in the public implementations; JAX's own for `max` is one half).
      everywhere: it is defined for all numbers, so that RevealCancel may leave the range between
        baseline and input.
    """

    at: Callable[[Array], Array]
    slope: Callable[[Array], Array] | None = None
    everywhere: bool = True

    def derivative(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The slope at `x`."""
        if self.slope is not None:
            return self.slope(x)
        return jax.jvp(self.at, (x,), (jnp.ones_like(x),))[1]


def one_variable(function: Function, value: Difference, nonlinear: Nonlinear) -> DifferenceParts:
    """Parts of f(x).

    Rescale: every part times Δf / Δx. RevealCancel: p' = ½ [f(r + p) − f(r) + f(x) − f(r + n)] and
    n' = ½ [f(r + n) − f(r) + f(x) − f(r + p)], each as a multiple of its part (Shrikumar et al.
    2017, §3.5.3). Where a change is 0, the derivative stands for the ratio.
    """
    if not _reveals(value, nonlinear) or not function.everywhere:
        ratio = _ratio(function, value.baseline, value.input)
        return tuple(ratio * part for part in value.parts)
    # The parts are what JAX transposes; their multiples are constants to it.
    with_up, with_down = (value.baseline + lax.stop_gradient(part) for part in value.parts)
    up, down = value.parts
    return (
        0.5
        * up
        * (_ratio(function, value.baseline, with_up) + _ratio(function, with_down, value.input)),
        0.5
        * down
        * (_ratio(function, value.baseline, with_down) + _ratio(function, with_up, value.input)),
    )


def _reveals(value: Difference, nonlinear: Nonlinear) -> bool:
    """The genomics default reveals after dense layers and rescales after convolutions."""
    if nonlinear == "genomics_default":
        return value.mixer == "dense"
    return nonlinear == "reveal_cancel"


def _ratio(function: Function, start: Array, end: Array) -> Array:
    """(f(end) − f(start)) / (end − start). The change is that of the rounded values: for a part that is
    tiny beside them, the ratio would be of rounding errors."""
    change = end - start
    zero = jnp.abs(change) <= ZERO[np.dtype(change.dtype).itemsize]
    ratio = (function.at(end) - function.at(start)) / jnp.where(zero, 1.0, change)
    return jnp.where(zero, function.derivative(start + 0.5 * change), ratio)
