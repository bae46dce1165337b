"""Bytes that an instruction of a compiled step moves, and operations of its products."""

import re

import numpy as np

from mgajax.benchmark.hlo import (
    NOTHING,
    ArrayShape,
    Bytes,
    Computation,
    Execution,
    Instruction,
    Module,
    shapes_of,
)

FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "domain"}
FREE |= {"partition-id", "replica-id", "opt-barrier", "optimization-barrier", "add-dependency"}
"""They move nothing: they only name values."""
_WAITING = "async-collective-done"
"""A fusion of a TPU's that only waits for a collective."""
_SLICES = {"slice", "dynamic-slice", "slice-start", "dynamic-slice-start"}
_PARTS = frozenset(("dynamic-slice", "slice", "gather"))
"""They read no more of their first operand than they yield."""
_DIM_LABELS = re.compile(r"dim_labels=([\w?]+)_([\w?]+)->([\w?]+)")
_WINDOW = re.compile(r"window=\{([^}]*)\}")
_CONTRACTED = re.compile(r'lhs_contracting_dim(?:s=\{|ensions":\[)([0-9,"]+)')
_CUDNN = re.compile(r'custom_call_target="__cudnn\$conv(\w+)"')


def traffic(executed: Execution, *, module: Module) -> Bytes:
    """Bytes between the main memory and the chip, once: what is read and what is written.

    A fusion that takes only a part of an operand reads that part; one that changes a part of an
    array in place writes that part. What lies in the chip's own memory counts nothing.
    """
    instruction, computation, _ = executed
    opcode = instruction.opcode
    waits = opcode.endswith(("-done", "-update")) or instruction.name.startswith(_WAITING)
    if opcode in FREE or waits:
        return NOTHING
    if opcode == "dynamic-update-slice":
        return _update(instruction, computation).times(2)
    bytes_written = _bytes_written(instruction, module)
    if opcode in _SLICES:
        started = opcode.endswith("-start")
        shapes = results_of_started(instruction.shapes) if started else instruction.shapes
        return _sum(shapes) + bytes_written
    bytes_read = NOTHING
    for index, name in enumerate(instruction.operands):
        operand = computation.get(name)
        if operand is not None:
            bytes_read += _read_of_operand(instruction, index, operand, module=module)
    return bytes_read + bytes_written


def _read_of_operand(
    user: Instruction, index: int, operand: Instruction, *, module: Module
) -> Bytes:
    """What `user` reads of its operand number `index`."""
    whole = _main_memory(operand.shapes)
    if user.opcode != "fusion" or not user.callees or whole == NOTHING:
        return whole
    inner = module.computations.get(user.callees[0], {})
    for parameter in inner.values():
        if parameter.opcode == "parameter" and parameter.arguments == str(index):
            part = _read_of_value(parameter, inner, module)
            return min(whole, part, key=lambda size: size.padded)
    return whole


def _read_of_value(value: Instruction, computation: Computation, module: Module) -> Bytes:
    """Bytes that a fusion's instructions read of one of its values: all, unless each takes a part."""
    whole = _sum(value.shapes)
    total = NOTHING
    for user in computation.values():
        if value.name not in user.operands:
            continue
        index = user.operands.index(value.name)
        if user.opcode in _PARTS and index == 0:
            total += _sum(user.shapes)
        elif user.opcode == "bitcast":
            total += _read_of_value(user, computation, module)
        elif user.opcode == "fusion":
            total += _read_of_operand(user, index, value, module=module)
        elif user.opcode != "dynamic-update-slice" or index != 0:
            return whole
    return total


def _bytes_written(instruction: Instruction, module: Module) -> Bytes:
    opcode = instruction.opcode
    if opcode == "copy-start":
        return _main_memory(instruction.shapes[:1])
    if opcode.endswith("-start") and opcode != "all-reduce-start":
        return _main_memory(results_of_started(instruction.shapes))
    if opcode == "fusion" and instruction.callees:
        inner = module.computations.get(instruction.callees[0], {})
        root = module.root(instruction.callees[0])
        if root is not None and root.opcode == "dynamic-update-slice":
            whole, part = _main_memory(instruction.shapes), _update(root, inner)
            return min(whole, part, key=lambda size: size.padded)
    return _main_memory(instruction.shapes)


def _update(change: Instruction, computation: Computation) -> Bytes:
    """The part that a change in place writes."""
    return _sum(tuple(_operand_shapes(change, computation)[1:2]))


def results_of_started(shapes: tuple[ArrayShape, ...]) -> tuple[ArrayShape, ...]:
    """Of what an asynchronous start yields, its operands, its results, then counters: the results."""
    arrays = tuple(shape for shape in shapes if shape.sides)
    return arrays[len(arrays) // 2 :]


def _sum(shapes: tuple[ArrayShape, ...]) -> Bytes:
    total = NOTHING
    for shape in shapes:
        total += shape.size
    return total


def _main_memory(shapes: tuple[ArrayShape, ...]) -> Bytes:
    return _sum(tuple(shape for shape in shapes if shape.space == 0))


def products(executed: Execution, *, module: Module) -> float:
    """Operations (a multiplication and an addition are two) of the convolutions and matrix products
    in an instruction, once; what falls on padding counts nothing."""
    instruction, computation, _ = executed
    return _products(instruction, computation, module)


def _products(instruction: Instruction, computation: Computation, module: Module) -> float:
    if instruction.opcode == "fusion" or instruction.opcode == "async-start":
        return sum(
            _products(inner, module.computations[name], module)
            for name in instruction.callees
            if name in module.computations
            for inner in module.computations[name].values()
        )
    if instruction.opcode == "convolution" or _CUDNN.search(instruction.attributes):
        return _convolution(instruction, computation)
    if instruction.opcode == "dot" or "$gemm" in instruction.attributes:
        return _matrix_product(instruction, computation)
    return 0.0


def _operand_shapes(instruction: Instruction, computation: Computation) -> list[ArrayShape]:
    typed = shapes_of(instruction.arguments)
    if typed:
        return list(typed)
    operand_shapes = [
        computation[name].shapes for name in instruction.operands if name in computation
    ]
    return [shapes[0] for shapes in operand_shapes if shapes]


def _matrix_product(instruction: Instruction, computation: Computation) -> float:
    operands = _operand_shapes(instruction, computation)
    contracted = _CONTRACTED.search(instruction.attributes)
    if not operands or not contracted or not instruction.shapes:
        return 0.0
    axes = [int(word) for word in re.findall(r"[0-9]+", contracted[1])]
    depth = float(np.prod([operands[0].sides[axis] for axis in axes]))
    return 2.0 * instruction.shapes[0].elements * depth


def _convolution(instruction: Instruction, computation: Computation) -> float:
    """Of a convolution, or of a call of cuDNN, which names the forward one's window and axes."""
    operands = _operand_shapes(instruction, computation)
    labels = _DIM_LABELS.search(instruction.attributes)
    if len(operands) < 2 or not labels or not instruction.shapes:
        return 0.0
    input_sides, kernel_sides, output_sides = (
        operands[0].sides,
        operands[1].sides,
        instruction.shapes[0].sides,
    )
    library_call = _CUDNN.search(instruction.attributes)
    if library_call and library_call[1].startswith("BackwardInput"):
        input_sides, kernel_sides, output_sides = output_sides, kernel_sides, input_sides
    elif library_call and library_call[1].startswith("BackwardFilter"):
        input_sides, kernel_sides, output_sides = input_sides, output_sides, kernel_sides
    window = _window(instruction.attributes)
    count = 2.0 * kernel_sides[labels[2].index("i")] * output_sides[labels[3].index("b")]
    count *= output_sides[labels[3].index("f")]
    for number in range(len(window.get("size", []))):
        axis = str(number)
        count *= _meetings(
            input_sides[labels[1].index(axis)], output_sides[labels[3].index(axis)], window, number
        )
    return count


def _window(attributes: str) -> dict[str, list[str]]:
    """`{"size": ["3", "3"], "pad": ["1_1", "1_1"], ...}`."""
    match = _WINDOW.search(attributes)
    words = (word.split("=", 1) for word in match[1].split() if "=" in word) if match else ()
    return {key: value.split("x") for key, value in words}


def _meetings(side: int, positions: int, window: dict[str, list[str]], axis: int) -> int:
    """How often a tap of the window meets a value, over all places along one axis."""

    def setting(name: str, default: str) -> str:
        return window[name][axis] if name in window else default

    taps, stride = int(setting("size", "1")), int(setting("stride", "1"))
    spread, dilation = int(setting("lhs_dilate", "1")), int(setting("rhs_dilate", "1"))
    before = int(setting("pad", "0_0").split("_")[0])
    at = np.arange(positions)[:, None] * stride + np.arange(taps)[None, :] * dilation - before
    return int(((at >= 0) & (at <= (side - 1) * spread) & (at % spread == 0)).sum())
