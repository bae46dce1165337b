"""One operation of a traced network, applied to values."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jaxtyping import Array

from mgajax.explanation.difference import Difference

Value = Any
"""An array, the same under input and baseline, or a `Difference`."""


@dataclasses.dataclass(frozen=True, eq=False)
class Operation:
    """An equation of a jaxpr with its operands.

    Attributes:
      name: of the primitive, or of the jitted function that was marked to be taken as a whole.
      run: operands to the output (of the operations with rules, all have one).
      operands: arrays and differences.
      axes: over which a reduction goes.
    """

    name: str
    run: Callable[..., Array]
    operands: tuple[Value, ...]
    axes: tuple[int, ...] = ()

    @property
    def differing_indices(self) -> tuple[int, ...]:
        """Indices of the operands that differ."""
        return tuple(i for i, v in enumerate(self.operands) if isinstance(v, Difference))

    @property
    def differing(self) -> tuple[Difference, ...]:
        """The operands that differ."""
        return tuple(v for v in self.operands if isinstance(v, Difference))

    def at(self, *varying: Array) -> Array:
        """The output, given arrays for the operands that differ."""
        operands = list(self.operands)
        for index, value in zip(self.differing_indices, varying, strict=True):
            operands[index] = value
        return self.run(*operands)

    def along(self, points: Sequence[Array], directions: Sequence[Array]) -> Array:
        """The derivative at `points` in `directions`, one of each an operand that differs."""
        return jax.jvp(self.at, tuple(points), tuple(directions))[1]

    @property
    def under_input(self) -> Array:
        """The output under the input."""
        return self.at(*(v.input for v in self.differing))

    @property
    def under_baseline(self) -> Array:
        """The output under the baseline."""
        return self.at(*(v.baseline for v in self.differing))


def bind_parameters(equation: Any) -> Callable[..., Any]:
    """The equation as a function of its operands; several results come as a list. Calls are excluded."""
    return functools.partial(equation.primitive.bind, **equation.params)
