"""Bytes that a compiled step moves, and its shortest time, instruction by instruction.

Where the compiler writes `estimated_cycles` (TPUs) they are the price. Where it writes none for a
single instruction, or nothing at all (GPUs), the price is a roofline: the instruction's bytes, with
padding, over the memory's bandwidth, or its products over the peak, whichever takes longer. So
no instruction is free, and those that no compiler prices are listed by name.
"""

import dataclasses
from collections import defaultdict
from typing import Any

from mgajax.benchmark.chips import Chip
from mgajax.benchmark.hlo import NOTHING, Execution, Instruction, Module
from mgajax.benchmark.network_parts import is_backward, part_of
from mgajax.benchmark.traffic import FREE, products, traffic

HEAVIEST = 12
"""Instructions that are listed."""
_TELLING = (
    "gather",
    "scatter",
    "select-and-scatter",
    "reduce-window",
    "sort",
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "rng-bit-generator",
)
"""Operations whose bytes say little about their time; a fusion that holds one is named after it."""


@dataclasses.dataclass(frozen=True)
class InstructionPrice:
    """An instruction of the program.

    Attributes:
      execution: the instruction, and how often it runs.
      name: its name in the list of instructions without a price.
      part: of the network.
      backward: whether it belongs to the backward pass.
      bare, padded: bytes in main memory, of all its runs.
      operations: of products, of all its runs.
      cycles: of all its runs; None if the compiler wrote none.
      seconds: of all its runs, 0 where nothing is known of the chip.
    """

    execution: Execution
    name: str
    part: str
    backward: bool
    bare: int
    padded: int
    operations: float
    cycles: int | None
    seconds: float


def price_instructions(
    module: Module, *, chip: Chip | None, dtype: str, model: str
) -> list[InstructionPrice]:
    """The price of every instruction of a step that does some work.

    Args:
      module: of the compiled step.
      chip: what it was compiled for; None if nothing is known of it.
      dtype: compute type, "float32" or "bfloat16".
      model: name of the network's class.
    """
    prices = []
    for execution in module.executions():
        instruction, _, times = execution
        size = traffic(execution, module=module)
        cycles = instruction.cycles
        if instruction.opcode in FREE or (size == NOTHING and cycles is None):
            continue
        operations = times * products(execution, module=module)
        seconds = 0.0
        if chip is not None:
            bound = max(times * size.padded / chip.bandwidth, operations / chip.peak(dtype))
            clocked = chip.clock_hz is not None and cycles is not None
            seconds = times * cycles / chip.clock_hz if clocked else bound  # type: ignore[operator]
        path = _path(instruction, module)
        prices.append(
            InstructionPrice(
                execution,
                name=_name(instruction, module),
                part=part_of(path, model=model),
                backward=is_backward(path),
                bare=times * size.bare,
                padded=times * size.padded,
                operations=operations,
                cycles=None if cycles is None else times * cycles,
                seconds=seconds,
            )
        )
    return prices


def bytes_moved(instructions: list[InstructionPrice]) -> dict[str, int]:
    """Bytes that a step moves on one device: `bytes` as arrays are, `padded_bytes` as they lie in tiles."""
    return {
        "bytes": sum(price.bare for price in instructions),
        "padded_bytes": sum(price.padded for price in instructions),
    }


def price_list(instructions: list[InstructionPrice], *, chip: Chip) -> dict[str, Any]:
    """Milliseconds of a step on one device, in all and by part, and what has no price of its own.

    Returns:
      `by` ("cycles" or "roofline"), `ms`, of which `unpriced_ms` has no cycles where others do, and
      `beside_ms` are asynchronous copies, which the compiler wants to run beside computation;
      `parts`: by name, the most expensive first, `forward_ms` and `backward_ms`; `unpriced`: by
      name, `count`, `padded_bytes` and `ms`: on a chip with cycles all that carries none, elsewhere
      the operations whose bytes say little; `heaviest`: the most expensive instructions.
    """
    clocked = chip.clock_hz is not None and any(price.cycles is not None for price in instructions)
    loose = [price for price in instructions if _is_unpriced(price, clocked=clocked)]
    return {
        "by": "cycles" if clocked else "roofline",
        "ms": 1e3 * sum(price.seconds for price in instructions),
        "unpriced_ms": 1e3 * sum(price.seconds for price in loose),
        "beside_ms": 1e3 * sum(price.seconds for price in instructions if _is_beside(price)),
        "parts": _by_part(instructions),
        "unpriced": _by_name(loose),
        "heaviest": [_line(price) for price in _dearest(instructions)],
    }


def _is_unpriced(price: InstructionPrice, *, clocked: bool) -> bool:
    return price.cycles is None if clocked else any(word in price.name for word in _TELLING)


def _is_beside(price: InstructionPrice) -> bool:
    opcode = price.execution.instruction.opcode
    return opcode.endswith("-start") and not any(word in price.name for word in _TELLING)


def _by_part(instructions: list[InstructionPrice]) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = defaultdict(lambda: {"forward_ms": 0.0, "backward_ms": 0.0})
    for price in instructions:
        parts[price.part]["backward_ms" if price.backward else "forward_ms"] += 1e3 * price.seconds
    return dict(sorted(parts.items(), key=lambda item: -sum(item[1].values())))


def _by_name(instructions: list[InstructionPrice]) -> dict[str, dict[str, Any]]:
    names: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"count": 0, "padded_bytes": 0, "ms": 0.0}
    )
    for price in instructions:
        row = names[price.name]
        row["count"] += price.execution.times
        row["padded_bytes"] += price.padded
        row["ms"] += 1e3 * price.seconds
    return dict(sorted(names.items(), key=lambda item: -item[1]["ms"]))


def _dearest(instructions: list[InstructionPrice]) -> list[InstructionPrice]:
    return sorted(instructions, key=lambda price: -price.seconds)[:HEAVIEST]


def _line(price: InstructionPrice) -> dict[str, Any]:
    return {
        "ms": 1e3 * price.seconds,
        "name": price.execution.instruction.name,
        "part": price.part,
        "backward": price.backward,
        "padded_bytes": price.padded,
        "times": price.execution.times,
        "path": price.execution.instruction.op_name,
    }


def _path(instruction: Instruction, module: Module) -> str:
    """The path of an instruction, else of a product or of the result within it."""
    if instruction.op_name:
        return instruction.op_name
    for name in instruction.callees:
        within = list(module.computations.get(name, {}).values())
        products = [candidate for candidate in within if candidate.opcode in ("convolution", "dot")]
        for candidate in (*products, *reversed(within)):
            if candidate.op_name:
                return candidate.op_name
    return ""


def _name(instruction: Instruction, module: Module) -> str:
    """The opcode; of a fusion or an asynchronous start, that of the telling operation within it."""
    opcode = instruction.opcode
    if opcode == "custom-call":
        target = instruction.attributes.partition('custom_call_target="')[2].partition('"')[0]
        return f"custom-call {target}".strip()
    if opcode not in ("fusion", "async-start"):
        return f"{opcode.removesuffix('-start')} (asynchronous)" if "-start" in opcode else opcode
    within = {
        inner.opcode
        for name in instruction.callees
        for inner in module.computations.get(name, {}).values()
    }
    telling = [word for word in _TELLING if word in within]
    if opcode == "async-start":
        roots = [module.root(name) for name in instruction.callees]
        telling = telling or [root.opcode for root in roots if root is not None]
        return f"{' and '.join(telling) or opcode} (asynchronous)"
    return f"fusion of {' and '.join(telling)}" if telling else "fusion"
