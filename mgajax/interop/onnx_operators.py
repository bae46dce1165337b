"""JAX's primitive operations in ONNX (opset 18)."""

import string
from typing import Any

import numpy as np
from jax.export import is_symbolic_dim

from mgajax.interop.onnx_graph import Graph, OnnxValue, Translation, UnsupportedOperation

_TO_THE_END = np.iinfo(np.int64).max
_TYPES = {"float32": "FLOAT", "bool": "BOOL", "int32": "INT32", "uint8": "INT32", "int64": "INT64"}
"""ONNX's names of types; bytes become 32 bits (`Graph`)."""


def _translate_by_name(operator: str) -> Translation:
    return lambda graph, equation, *operands: graph.add(operator, *operands)


def _same(graph: Graph, equation: Any, value: OnnxValue) -> OnnxValue:
    return value


def _maximum(graph: Graph, equation: Any, x: OnnxValue, y: OnnxValue) -> OnnxValue:
    """`Relu` where it is one: runtimes fuse that into the convolution before."""
    if isinstance(y, np.ndarray) and y.ndim == 0 and y == 0:
        return graph.add("Relu", x)
    return graph.add("Max", x, y)


def _cast(graph: Graph, equation: Any, x: OnnxValue) -> OnnxValue:
    import onnx

    kind = _TYPES.get(str(equation.params["new_dtype"]))
    if kind is None:
        raise UnsupportedOperation(f"the type {equation.params['new_dtype']}")
    return graph.add("Cast", x, to=onnx.TensorProto.DataType.Value(kind))


def _select(graph: Graph, equation: Any, condition: OnnxValue, *cases: OnnxValue) -> OnnxValue:
    return graph.add("Where", condition, *reversed(cases))


def _reshape(graph: Graph, equation: Any, x: OnnxValue) -> OnnxValue:
    """To the shape of the result; one length may be open."""
    shape = equation.outvars[0].aval.shape
    lengths = np.array([-1 if is_symbolic_dim(length) else length for length in shape], np.int64)
    return graph.add("Reshape", x, lengths)


def _broadcast(graph: Graph, equation: Any, x: OnnxValue) -> OnnxValue:
    """New axes and repetitions; along the batch a constant stays as it is (`OnnxValue`)."""
    old, new = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    aligned: list[Any] = [1] * len(new)
    for axis, length in zip(equation.params["broadcast_dimensions"], old, strict=True):
        aligned[axis] = length
    repeated = [not is_symbolic_dim(n) and n != m for m, n in zip(aligned, new, strict=True)]
    if isinstance(x, np.ndarray):
        x = x.reshape(aligned)
        return np.broadcast_to(x, [1 if is_symbolic_dim(n) else n for n in new])
    if len(new) != len(old):
        shape = np.array(
            [-1 if is_symbolic_dim(length) else length for length in aligned], np.int64
        )
        x = graph.add("Reshape", x, shape)
    if any(repeated):
        lengths = [n if again else 1 for n, again in zip(new, repeated, strict=True)]
        x = graph.add("Expand", x, np.array(lengths, np.int64))
    return x


def _reduction(operator: str) -> Translation:
    def reduce(graph: Graph, equation: Any, x: OnnxValue) -> OnnxValue:
        return graph.add(operator, x, np.array(equation.params["axes"], np.int64), keepdims=0)

    return reduce


def _slice(graph: Graph, equation: Any, x: OnnxValue) -> OnnxValue:
    starts, limits = equation.params["start_indices"], equation.params["limit_indices"]
    ends = [_TO_THE_END if is_symbolic_dim(limit) else limit for limit in limits]
    steps = equation.params["strides"] or (1,) * len(starts)
    lengths = equation.invars[0].aval.shape
    axes = [
        axis
        for axis, (start, limit, step) in enumerate(zip(starts, limits, steps, strict=True))
        if (start, limit, step) != (0, lengths[axis], 1)
    ]
    bounds = (np.array([many[axis] for axis in axes], np.int64) for many in (starts, ends))
    axes_and_steps = np.array(axes, np.int64), np.array([steps[axis] for axis in axes], np.int64)
    return graph.add("Slice", x, *bounds, *axes_and_steps)


def _pad(graph: Graph, equation: Any, x: OnnxValue, filling: OnnxValue) -> OnnxValue:
    config = equation.params["padding_config"]
    if any(between for _, _, between in config):
        raise UnsupportedOperation("padding between elements")
    pads = [before for before, _, _ in config] + [after for _, after, _ in config]
    return graph.add("Pad", x, np.array(pads, np.int64), filling)


def _concatenate(graph: Graph, equation: Any, *parts: OnnxValue) -> OnnxValue:
    return graph.add("Concat", *parts, axis=equation.params["dimension"])


def _stack(graph: Graph, equation: Any, *parts: OnnxValue) -> OnnxValue:
    axis = equation.params["axis"]
    listed = [graph.add("Unsqueeze", part, np.array([axis], np.int64)) for part in parts]
    return graph.add("Concat", *listed, axis=axis)


def _transpose(graph: Graph, equation: Any, x: OnnxValue) -> OnnxValue:
    return graph.transpose(x, equation.params["permutation"])


def _product(graph: Graph, equation: Any, x: OnnxValue, y: OnnxValue) -> OnnxValue:
    """A matrix product over any axes."""
    (over_x, over_y), (batch_x, batch_y) = equation.params["dimension_numbers"]
    rank_x, rank_y = (len(atom.aval.shape) for atom in equation.invars)
    if (over_x, over_y, rank_y) == ((rank_x - 1,), (0,), 2):
        return graph.add("MatMul", x, y)
    letters_x = list(string.ascii_lowercase[:rank_x])
    letters_y = list(string.ascii_lowercase[rank_x : rank_x + rank_y])
    for axis_x, axis_y in zip((*batch_x, *over_x), (*batch_y, *over_y), strict=True):
        letters_y[axis_y] = letters_x[axis_x]
    shared = [letters_x[axis] for axis in batch_x]
    free_x = [a for n, a in enumerate(letters_x) if n not in (*batch_x, *over_x)]
    free_y = [a for n, a in enumerate(letters_y) if n not in (*batch_y, *over_y)]
    inputs, output = ("".join(letters_x), "".join(letters_y)), "".join(shared + free_x + free_y)
    return graph.add("Einsum", x, y, equation=f"{','.join(inputs)}->{output}")


def _convolution(graph: Graph, equation: Any, x: OnnxValue, kernel: OnnxValue) -> OnnxValue:
    """ONNX knows channels first only; runtimes remove the transposes that meet."""
    settings = equation.params
    if settings["batch_group_count"] != 1 or set(settings["lhs_dilation"]) != {1}:
        raise UnsupportedOperation("a convolution with batch groups or a dilated input")
    layout, before_after = settings["dimension_numbers"], settings["padding"]
    y = graph.add(
        "Conv",
        graph.transpose(x, layout.lhs_spec),
        graph.transpose(kernel, layout.rhs_spec),
        strides=list(settings["window_strides"]),
        pads=[side[end] for end in (0, 1) for side in before_after],
        dilations=list(settings["rhs_dilation"]),
        group=settings["feature_group_count"],
    )
    return graph.transpose(y, np.argsort(layout.out_spec).tolist())


def _max_pool_3x3(graph: Graph, equation: Any, x: OnnxValue) -> OnnxValue:
    channels_first = graph.transpose(x, (0, 3, 1, 2))
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    return graph.transpose(graph.add("MaxPool", channels_first, **window), (0, 2, 3, 1))


OPERATORS: dict[str, Translation] = {
    "add": _translate_by_name("Add"),
    "add_any": _translate_by_name("Add"),
    "sub": _translate_by_name("Sub"),
    "mul": _translate_by_name("Mul"),
    "div": _translate_by_name("Div"),
    "max": _maximum,
    "exp": _translate_by_name("Exp"),
    "logistic": _translate_by_name("Sigmoid"),
    "gt": _translate_by_name("Greater"),
    "eq": _translate_by_name("Equal"),
    "select_n": _select,
    "convert_element_type": _cast,
    "stop_gradient": _same,
    "copy": _same,
    "reshape": _reshape,
    "squeeze": _reshape,
    "expand_dims": _reshape,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "slice": _slice,
    "pad": _pad,
    "concatenate": _concatenate,
    "stack": _stack,
    "reduce_sum": _reduction("ReduceSum"),
    "reduce_max": _reduction("ReduceMax"),
    "dot_general": _product,
    "conv_general_dilated": _convolution,
}
"""By the name of the primitive."""

FUNCTIONS: dict[str, Translation] = {"largest_of_nine": _max_pool_3x3}
"""By the name of the jitted function, which is translated as a whole."""
