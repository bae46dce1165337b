"""How each operation passes a difference on. `RULES` is the list of what is supported.

A rule takes an `Operation` and the parts' rule for functions of one variable, and gives the parts
of the output. Each obeys: operand parts that sum to the operands' changes become output parts that
sum to the output's change. See docs/explanation/attribution.md for where each comes from.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from mgajax.explanation.difference import (
    Difference,
    DifferenceParts,
    add_parts,
    exchange_parts,
    scale_parts,
    split_by_net_sign,
)
from mgajax.explanation.one_variable import Function, Nonlinear, one_variable
from mgajax.explanation.operation import Operation

OperationRule: TypeAlias = Callable[[Operation, Nonlinear], DifferenceParts]


def structural(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
    """Sums, copies and moves, all with weights ≥ 0: each part by itself."""
    values = operation.differing
    points = [v.middle for v in values]
    count = len(values[0].parts)
    return tuple(
        operation.along(points, [value.parts[part] for value in values]) for part in range(count)
    )


def identity(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
    """An operation that stops gradients passes the difference on (a softmax subtracts its maximum so)."""
    return operation.differing[0].parts


def difference_of_two(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
    """a − b: what pushed b up pushes the result down."""
    parts = [v.parts for v in operation.differing]
    if 1 in operation.differing_indices:
        parts[-1] = exchange_parts(parts[-1])
    points = [v.middle for v in operation.differing]
    return tuple(operation.along(points, directions) for directions in zip(*parts, strict=True))


def negative(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
    """−a."""
    return scale_parts(
        operation.differing[0].parts, jnp.asarray(-1.0, operation.operands[0].input.dtype)
    )


def product(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
    """a · b, element by element: Δ(ab) = mean(a) Δb + mean(b) Δa, or a constant times Δ."""

    def one_operand(index: int) -> DifferenceParts:
        return scale_parts(operation.operands[index].parts, _middle(operation.operands[1 - index]))

    return _sum_over_operands(operation, one_operand)


def quotient(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
    """a / b as a · (1 / b): the reciprocal by the rule of one variable, then the product rule."""
    numerator, denominator = operation.operands
    if not isinstance(denominator, Difference):
        return scale_parts(numerator.parts, 1 / denominator)
    reciprocal = Function(lambda x: 1 / x, everywhere=False)
    inverse = Difference(
        1 / denominator.input,
        1 / denominator.baseline,
        one_variable(reciprocal, denominator, nonlinear),
    )
    of_inverse = scale_parts(inverse.parts, _middle(numerator))
    if not isinstance(numerator, Difference):
        return of_inverse
    return add_parts(of_inverse, scale_parts(numerator.parts, inverse.middle))


def mixing(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
    """Convolution and matrix product: linear in each operand, products by the product rule.

    With two parts, weight times change goes up or down by its own sign.
    """

    def one_operand(index: int) -> DifferenceParts:
        value, weights = operation.operands[index], _middle(operation.operands[1 - index])

        def mix(change: Array, weights: Array) -> Array:
            return operation.run(*((weights, change) if index else (change, weights)))

        if len(value.parts) == 1:
            return (mix(value.parts[0], weights),)
        changes = jnp.stack(split_by_net_sign(value))
        rose_up, fell_up = jax.vmap(mix, (0, None))(changes, jnp.maximum(weights, 0.0))
        rose_down, fell_down = jax.vmap(mix, (0, None))(changes, jnp.minimum(weights, 0.0))
        return (rose_up + fell_down, rose_down + fell_up)

    return _sum_over_operands(operation, one_operand)


def selection(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
    """A maximum or minimum over values that all may differ: the cross rule, on each part.

    With c = max(out, out₀), the winner under the input gets c − out₀, the winner under the baseline
    out − c, each as a share in [0, 1] of its own change. Windows may overlap.
    """
    values = operation.differing
    out, before = operation.under_input, operation.under_baseline
    lowest = operation.name.removeprefix("reduce_").startswith(("min", "window_min"))
    between = (jnp.minimum if lowest else jnp.maximum)(out, before)
    moves = [jnp.stack([v.change, *v.parts]) for v in values]
    totals = [jnp.zeros_like(out) for _ in values[0].parts]
    for points, amount in (
        ([v.input for v in values], between - before),
        ([v.baseline for v in values], out - between),
    ):
        change, *parts = jax.vmap(functools.partial(_pick, operation, points))(moves)
        ratio = amount / jnp.where(change == 0, 1.0, change)
        # Rounding must not leave the range.
        share = jnp.where(change == 0, 0.0, jnp.clip(ratio, 0.0, 1.0))
        totals = [total + share * part for total, part in zip(totals, parts, strict=True)]
    return tuple(totals)


def largest_of_two(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
    """max(a, b) or min(a, b): one variable if the other is a constant (ReLU), else the cross rule."""
    if len(operation.differing_indices) == 2:
        return selection(operation, nonlinear)
    constant = operation.operands[1 - operation.differing_indices[0]]
    sign = 1.0 if operation.name == "max" else -1.0
    function = Function(operation.at, slope=lambda x: (sign * x > sign * constant).astype(x.dtype))
    return one_variable(function, operation.differing[0], nonlinear)


def clamp(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
    """clamp(low, x, high) with constant bounds."""
    low, value, high = operation.operands
    if operation.differing_indices != (1,):
        raise NotImplementedError("bounds that depend on the input")
    function = Function(operation.at, slope=lambda x: ((x > low) & (x < high)).astype(x.dtype))
    return one_variable(function, value, nonlinear)


def choice(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
    """`where` by a condition that is the same under input and baseline."""
    if 0 in operation.differing_indices:
        raise NotImplementedError("a choice by a condition that depends on the input")
    return structural(operation, nonlinear)


def elementwise(*, everywhere: bool) -> OperationRule:
    """A smooth function of one variable, defined for all numbers or not."""

    def rule(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
        if len(operation.differing_indices) != 1:
            raise NotImplementedError("two operands that both depend on the input")
        function = Function(operation.at, everywhere=everywhere)
        return one_variable(function, operation.differing[0], nonlinear)

    return rule


def indexing(operation: Operation, nonlinear: Nonlinear) -> DifferenceParts:
    """Indexing by indices that are the same under input and baseline."""
    if operation.differing_indices != (0,):
        raise NotImplementedError("indices that depend on the input")
    return structural(operation, nonlinear)


def _middle(value: Difference | Array) -> Array:
    return value.middle if isinstance(value, Difference) else value


def _sum_over_operands(
    operation: Operation, share: Callable[[int], DifferenceParts]
) -> DifferenceParts:
    return functools.reduce(add_parts, map(share, operation.differing_indices))


def _pick(operation: Operation, points: Sequence[Array], values: Sequence[Array]) -> Array:
    """Of `values`, those that the selection chooses at `points`."""
    if operation.name in ("reduce_max", "reduce_min"):
        return _pick_over_axes(operation, points[0], values[0])
    return operation.along(points, values)


def _pick_over_axes(operation: Operation, point: Array, values: Array) -> Array:
    """By the index of the first maximum, not by equality as in JAX's own derivative: compilers may
    round a recomputed value in another way (see `mgajax.models.blocks.peak`)."""
    shape = jax.eval_shape(operation.at, point).shape
    axes = [axis for axis in range(point.ndim) if axis in operation.axes]
    order = [axis for axis in range(point.ndim) if axis not in axes] + axes
    flat = point.transpose(order).reshape(*shape, -1)
    winner = (jnp.argmax if operation.name == "reduce_max" else jnp.argmin)(
        flat, axis=-1, keepdims=True
    )
    indices = lax.broadcasted_iota(winner.dtype, flat.shape, len(shape))
    moved = values.transpose(order).reshape(flat.shape)
    return jnp.sum(jnp.where(indices == winner, moved, 0.0), axis=-1)


RULES: dict[str, OperationRule] = {
    **dict.fromkeys(
        (
            "add",
            "add_any",
            "broadcast_in_dim",
            "concatenate",
            "convert_element_type",
            "copy",
            "copy_p",
            "cumsum",
            "expand_dims",
            "pad",
            "reduce_precision",
            "reduce_sum",
            "reduce_window_sum",
            "reshape",
            "rev",
            "slice",
            "split",
            "squeeze",
            "stack",
            "transpose",
            "unstack",
        ),
        structural,
    ),
    **dict.fromkeys(("gather", "dynamic_slice"), indexing),
    "stop_gradient": identity,
    "sub": difference_of_two,
    "neg": negative,
    "mul": product,
    "div": quotient,
    **dict.fromkeys(("conv_general_dilated", "dot_general"), mixing),
    **dict.fromkeys(
        ("reduce_max", "reduce_min", "reduce_window_max", "reduce_window_min"), selection
    ),
    **dict.fromkeys(("max", "min"), largest_of_two),
    "clamp": clamp,
    "select_n": choice,
    **dict.fromkeys(
        (
            "abs",
            "atan",
            "cbrt",
            "cos",
            "erf",
            "erfc",
            "exp",
            "exp2",
            "expm1",
            "logistic",
            "sin",
            "square",
            "tanh",
        ),
        elementwise(everywhere=True),
    ),
    **dict.fromkeys(
        ("integer_pow", "log", "log1p", "pow", "rsqrt", "sqrt"), elementwise(everywhere=False)
    ),
}
"""By the name of the primitive."""

WHOLE: dict[str, OperationRule] = {
    "largest_of_nine": selection,  # mgajax.models.pooling
    **dict.fromkeys(
        ("celu", "elu", "gelu", "leaky_relu", "selu", "silu", "softplus", "relu6"),
        elementwise(everywhere=True),
    ),
}
"""By the name of a jitted function, which is taken as a whole: its operations alone have no right rule."""
