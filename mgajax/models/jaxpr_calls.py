"""Calls among the operations of a traced network, for DeepLIFT and the ONNX writer."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax.extend as jex

Equation: TypeAlias = Any
"""One operation of a jaxpr, the list of primitive operations that JAX compiles."""

_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""Parameters in which JAX stores the operations of a call."""
_LOOPS = ("cond", "scan", "while")
"""Operations that contain others and are not calls."""


def find_call(equation: Equation, operands: Sequence[Any]) -> tuple[Any, Sequence[Any]] | None:
    """The operations inside a call, as a closed jaxpr, and their operands; None if it is no call.

    Of `lax.platform_dependent` these are the operations of its default, for platforms without a form
    of their own (`mgajax.models.convolution`).
    """
    if equation.params.get("branches_platforms") is not None:
        return equation.params["branches"][-1], operands[1:]  # the first one is the platform
    if equation.primitive.name in _LOOPS:
        return None
    jaxpr = next((equation.params[key] for key in _INNER if key in equation.params), None)
    if isinstance(jaxpr, jex.core.Jaxpr):
        jaxpr = jex.core.ClosedJaxpr(jaxpr, ())
    return (jaxpr, operands) if isinstance(jaxpr, jex.core.ClosedJaxpr) else None
