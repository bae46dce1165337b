"""From a traced network to ONNX: what depends on the weights alone is computed, the rest becomes nodes.

Own code, since the network needs two dozen primitive operations, and the general converters either
store the weights twice or ask for other versions of what training needs.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import jax.extend as jex
import jax.numpy as jnp
import numpy as np
from jax.export import is_symbolic_dim

from mgajax.models.jaxpr_calls import find_call

if TYPE_CHECKING:
    import onnx

OPSET = 18
IR_VERSION = 8
"""The file format's version of ONNX 1.13, which introduced that opset; older runtimes refuse later ones."""

OnnxValue: TypeAlias = "np.ndarray | str"
"""A constant, or the name of a tensor that is there once the graph runs.

A constant may lack the batch axis' length (1 stands for it): ONNX's operators broadcast.
"""


class UnsupportedOperation(Exception):
    """An operation, or a form of one, that has no translation."""


class Graph:
    """Nodes in order, and each different constant once."""

    def __init__(self) -> None:
        """Begin an empty graph."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, operator: str, *operands: OnnxValue, **attributes: Any) -> str:
        """Add a node; returns the name of its result."""
        import onnx

        result = f"{operator}_{len(self.nodes)}"
        names = [self._name(operand) for operand in operands]
        node = onnx.helper.make_node(operator, names, [result], name=result, **attributes)
        self.nodes.append(node)
        return result

    def transpose(self, value: OnnxValue, axes: Sequence[int]) -> OnnxValue:
        """`value` with its axes in another order."""
        if isinstance(value, np.ndarray):
            return value.transpose(axes)
        return self.add("Transpose", value, perm=list(axes))

    def name_result(self, value: OnnxValue, name: str) -> None:
        """Give an output of the graph its name."""
        import onnx

        self.nodes.append(onnx.helper.make_node("Identity", [self._name(value)], [name], name=name))

    def _name(self, value: OnnxValue) -> str:
        import onnx

        if isinstance(value, str):
            return value
        # ONNX Runtime compares no bytes; indices fit in 32 bits as well.
        array = np.ascontiguousarray(value.astype(np.int32) if value.dtype == np.uint8 else value)
        digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        name = f"constant_{digest.hexdigest()[:16]}"
        if name not in self.constants:
            # from_array makes a vector of a scalar's contiguous copy.
            self.constants[name] = onnx.numpy_helper.from_array(array.reshape(value.shape), name)
        return name


Translation: TypeAlias = Callable[..., OnnxValue]
"""(graph, equation, *operands) → result."""


def add_traced(
    graph: Graph,
    traced: Any,
    arguments: Sequence[OnnxValue],
    *,
    operators: Mapping[str, Translation],
    functions: Mapping[str, Translation],
) -> list[OnnxValue]:
    """Add the operations of a closed jaxpr to a graph; returns its results.

    Args:
      graph: receives the nodes.
      traced: from `jax.make_jaxpr`; lengths may be symbolic.
      arguments: its inputs.
      operators: translations by primitive.
      functions: translations of jitted functions that are taken as a whole, by name.

    Raises:
      UnsupportedOperation: no translation.
    """
    jaxpr = traced.jaxpr
    values: dict[Any, OnnxValue] = dict(
        zip(jaxpr.constvars, map(np.asarray, traced.consts), strict=True)
    )
    values |= zip(jaxpr.invars, arguments, strict=True)

    def value_of(atom: Any) -> OnnxValue:
        return np.asarray(atom.val) if isinstance(atom, jex.core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        operands = [value_of(atom) for atom in equation.invars]
        inner_call, name = find_call(equation, operands), equation.primitive.name
        translate = (
            functions.get(str(equation.params.get("name"))) if inner_call is not None else None
        )
        if translate is not None:
            results = [translate(graph, equation, *operands)]
        elif inner_call is not None:
            results = add_traced(graph, *inner_call, operators=operators, functions=functions)
        elif _is_constant(equation, operands):
            results = _compute(equation, operands)
        elif name in operators:
            results = [operators[name](graph, equation, *operands)]
        else:
            raise UnsupportedOperation(f"the operation {name!r}")
        values |= zip(equation.outvars, results, strict=True)
    return [value_of(atom) for atom in jaxpr.outvars]


def _is_constant(equation: Any, operands: Sequence[OnnxValue]) -> bool:
    are_known = all(isinstance(operand, np.ndarray) for operand in operands)
    shapes = (variable.aval.shape for variable in equation.outvars)
    return are_known and not any(is_symbolic_dim(length) for shape in shapes for length in shape)


def _compute(equation: Any, operands: Sequence[OnnxValue]) -> list[OnnxValue]:
    outcome = equation.primitive.bind(*map(jnp.asarray, operands), **equation.params)
    several = outcome if equation.primitive.multiple_results else [outcome]
    return [np.asarray(result) for result in several]
