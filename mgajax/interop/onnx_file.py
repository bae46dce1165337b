"""ONNX: the network's operations and weights for ONNX Runtime and other readers."""

import functools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.export import is_symbolic_dim

from mgajax.errors import ExportError
from mgajax.interop.network import INPUT, Network, OutputFunction
from mgajax.interop.onnx_graph import IR_VERSION, OPSET, Graph, UnsupportedOperation, add_traced
from mgajax.interop.onnx_operators import FUNCTIONS, OPERATORS


def write(network: Network, path: Path) -> None:
    """Write a model of any batch size; metadata are its properties, as JSON.

    Raises:
      ExportError: the network has an operation without a translation.
    """
    import onnx

    (batch,) = jax.export.symbolic_shape("batch")
    side = network.image_size
    images = jax.ShapeDtypeStruct((batch, side, side, network.channels), jnp.float32)
    program = functools.partial(network.outputs, network.variables)
    traced, shapes = jax.make_jaxpr(program, return_shape=True)(images)
    names = sorted(shapes)  # the order of a traced dict
    graph = Graph()
    try:
        results = add_traced(graph, traced, [INPUT], operators=OPERATORS, functions=FUNCTIONS)
    except UnsupportedOperation as error:
        raise ExportError(
            f"ONNX: {network.name} has {error}, which mgajax.interop.onnx_operators does not "
            "translate; leave onnx out of --format, or add the operation there"
        ) from error
    for name, value in zip(names, results, strict=True):
        graph.name_result(value, name)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            network.name,
            [_describe(INPUT, images)],
            [_describe(name, shapes[name]) for name in names],
            list(graph.constants.values()),
        ),
        producer_name="mgajax",
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
    properties = {key: json.dumps(value) for key, value in network.metadata.items()}
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def load(network: Network, path: Path) -> OutputFunction:
    """The answer of ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda images: dict(zip(names, session.run(names, {INPUT: images}), strict=True))


def _describe(name: str, like: Any) -> Any:
    import onnx

    shape = [str(length) if is_symbolic_dim(length) else length for length in like.shape]
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
