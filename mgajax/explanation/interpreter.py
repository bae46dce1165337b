"""Walks the operations of a traced network on pairs of values, by `rules`.

The network is traced to a jaxpr, the list of primitive operations that JAX compiles, so no second
copy of a model is needed: what our modules, or a user's, do is what is explained.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend as jex
import jax.numpy as jnp
from jaxtyping import Array, Float

from mgajax.errors import ConfigError
from mgajax.explanation.difference import Difference, DifferenceParts, last_mixer
from mgajax.explanation.one_variable import Nonlinear
from mgajax.explanation.operation import Operation, Value, bind_parameters
from mgajax.explanation.rules import RULES, WHOLE, OperationRule, mixing
from mgajax.models.jaxpr_calls import find_call


def propagate(
    function: Callable[[Array], Array],
    *,
    image: Float[Array, "b *size"],
    baseline: Float[Array, "b *size"],
    parts: DifferenceParts,
    nonlinear: Nonlinear,
) -> Difference:
    """The difference of a function's output, and its parts as linear functions of `parts`.

    Args:
      function: traceable; arrays in, one array out.
      image: its argument.
      baseline: its other argument.
      parts: of the difference of the two, one or two.
      nonlinear: the rule for functions of one variable.

    Raises:
      ConfigError: the function contains an operation without a rule.
    """
    traced = jax.make_jaxpr(function)(image)
    (output,) = _run(traced, [Difference(image, baseline, parts)], nonlinear)
    if isinstance(output, Difference):
        return output
    # Nothing of the input reaches the output.
    return Difference(output, output, tuple(jnp.zeros_like(output) for _ in parts))


def _run(closed: Any, arguments: Sequence[Value], nonlinear: Nonlinear) -> list[Value]:
    jaxpr = closed.jaxpr
    values: dict[Any, Value] = dict(zip(jaxpr.constvars, map(_array, closed.consts), strict=True))
    values |= zip(jaxpr.invars, arguments, strict=True)

    def value_of(atom: Any) -> Value:
        return _array(atom.val) if isinstance(atom, jex.core.Literal) else values[atom]

    for equation in _needed_equations(jaxpr):
        results = _apply(equation, tuple(map(value_of, equation.invars)), nonlinear)
        values |= zip(equation.outvars, results, strict=True)
    return [value_of(atom) for atom in jaxpr.outvars]


def _array(constant: Any) -> Array:
    """A constant of the network: JAX keeps some as numpy arrays."""
    return constant if isinstance(constant, jax.Array) else jnp.asarray(constant)


def _needed_equations(jaxpr: Any) -> list[Any]:
    """The equations that the outputs depend on, in order."""
    needed = {v for v in jaxpr.outvars if not isinstance(v, jex.core.Literal)}
    equations = []
    for equation in reversed(jaxpr.eqns):
        if needed.intersection(equation.outvars):
            equations.append(equation)
            needed |= {v for v in equation.invars if not isinstance(v, jex.core.Literal)}
    return equations[::-1]


def _apply(equation: Any, operands: tuple[Value, ...], nonlinear: Nonlinear) -> list[Value]:
    differs = any(isinstance(value, Difference) for value in operands)
    inner_call, name = find_call(equation, operands), equation.primitive.name
    if inner_call is not None:
        rule_of_whole = WHOLE.get(str(equation.params.get("name"))) if differs else None
        if rule_of_whole is None:
            return _run(*inner_call, nonlinear)
        run, name = jex.core.jaxpr_as_fun(inner_call[0]), equation.params["name"]
        return [_difference(Operation(name, _nth(run, 0), operands), rule_of_whole, nonlinear)]
    run = bind_parameters(equation)
    if not differs:
        results = run(*operands)
        return list(results) if equation.primitive.multiple_results else [results]
    rule = RULES.get(name)
    if rule is None:
        raise _without_rule(name)
    several = equation.primitive.multiple_results
    runs = [_nth(run, n) for n in range(len(equation.outvars))] if several else [run]
    axes = tuple(equation.params.get("axes", ()))
    return [
        _difference(Operation(name, run_of_result, operands, axes), rule, nonlinear)
        for run_of_result in runs
    ]


def _nth(run: Callable[..., Any], n: int) -> Callable[..., Array]:
    """The function that returns the nth of several results."""
    return lambda *operands: run(*operands)[n]


def _difference(operation: Operation, rule: OperationRule, nonlinear: Nonlinear) -> Difference:
    try:
        parts = rule(operation, nonlinear)
    except NotImplementedError as error:
        raise _without_rule(operation.name, because=str(error)) from error
    mixer = _mixer(operation) if rule is mixing else last_mixer(operation.operands)
    return Difference(operation.under_input, operation.under_baseline, parts, mixer)


def _mixer(operation: Operation) -> str:
    """A product of feature maps is a convolution, too: `mgajax.models.convolution` has small ones."""
    flat = operation.name == "dot_general" and operation.differing[0].input.ndim <= 2
    return "dense" if flat else "convolution"


def _without_rule(name: str, *, because: str = "") -> ConfigError:
    detail = f" ({because})" if because else ""
    return ConfigError(
        f"DeepLIFT has no rule for the operation {name!r}{detail}; use integrated_gradients, or "
        f"write the network with supported operations: {', '.join(sorted(RULES))}; or with the "
        f"jitted functions {', '.join(sorted(WHOLE))}"
    )
