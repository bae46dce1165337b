"""What a compiled step moves and what it should take at best, instruction by instruction.

Where the compiler writes `estimated_cycles` (TPUs) they are the price. Where it writes none for a
single instruction, or nothing at all (GPUs), the price is a roofline: the instruction's bytes, with
padding, over the memory's bandwidth, or its products over the peak, whichever takes longer. So nothing
is free for want of a price, and what no compiler prices is told by name.
"""

import dataclasses
from collections import defaultdict
from typing import Any

from mgajax.benchmark.chips import Chip
from mgajax.benchmark.module import NOTHING, Execution, Instruction, Module
from mgajax.benchmark.parts import is_backward, part_of
from mgajax.benchmark.traffic import FREE, products, traffic

HEAVIEST = 12
"""So many instructions are listed."""
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
      executed: it, and how often it runs.
      name: what it is called in the list of what has no price.
      part: of the network.
      backward: whether it belongs to the backward pass.
      bare, padded: bytes in main memory, of all its runs.
      operations: of products, of all its runs.
      cycles: of all its runs; None if the compiler wrote none.
      seconds: of all its runs, 0 where nothing is known of the chip.
    """

    executed: Execution
    name: str
    part: str
    backward: bool
    bare: int
    padded: int
    operations: float
    cycles: int | None
    seconds: float


def priced(module: Module, *, chip: Chip | None, dtype: str, model: str) -> list[InstructionPrice]:
    """Every instruction that a step runs and that is more than a name.

    Args:
      module: of the compiled step.
      chip: what it was compiled for; None if nothing is known of it.
      dtype: compute type, "float32" or "bfloat16".
      model: name of the network's class.
    """
    found = []
    for executed in module.executed():
        instruction, _, times = executed
        size = traffic(executed, module=module)
        cycles = instruction.cycles
        if instruction.opcode in FREE or (size == NOTHING and cycles is None):
            continue
        operations = times * products(executed, module=module)
        seconds = 0.0
        if chip is not None:
            bound = max(times * size.padded / chip.bandwidth, operations / chip.peak(dtype))
            clocked = chip.clock_hz is not None and cycles is not None
            seconds = times * cycles / chip.clock_hz if clocked else bound  # type: ignore[operator]
        path = _path(instruction, module)
        found.append(
            InstructionPrice(
                executed,
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
    return found


def bytes_moved(instructions: list[InstructionPrice]) -> dict[str, int]:
    """Of a step on one device: `bytes` as arrays are, `padded_bytes` as they lie in tiles."""
    return {
        "bytes": sum(one.bare for one in instructions),
        "padded_bytes": sum(one.padded for one in instructions),
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
    clocked = chip.clock_hz is not None and any(one.cycles is not None for one in instructions)
    loose = [one for one in instructions if _is_unpriced(one, clocked=clocked)]
    return {
        "by": "cycles" if clocked else "roofline",
        "ms": 1e3 * sum(one.seconds for one in instructions),
        "unpriced_ms": 1e3 * sum(one.seconds for one in loose),
        "beside_ms": 1e3 * sum(one.seconds for one in instructions if _is_beside(one)),
        "parts": _by_part(instructions),
        "unpriced": _by_name(loose),
        "heaviest": [_line(one) for one in _dearest(instructions)],
    }


def _is_unpriced(one: InstructionPrice, *, clocked: bool) -> bool:
    return one.cycles is None if clocked else any(word in one.name for word in _TELLING)


def _is_beside(one: InstructionPrice) -> bool:
    opcode = one.executed.instruction.opcode
    return opcode.endswith("-start") and not any(word in one.name for word in _TELLING)


def _by_part(instructions: list[InstructionPrice]) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = defaultdict(lambda: {"forward_ms": 0.0, "backward_ms": 0.0})
    for one in instructions:
        parts[one.part]["backward_ms" if one.backward else "forward_ms"] += 1e3 * one.seconds
    return dict(sorted(parts.items(), key=lambda item: -sum(item[1].values())))


def _by_name(instructions: list[InstructionPrice]) -> dict[str, dict[str, Any]]:
    names: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"count": 0, "padded_bytes": 0, "ms": 0.0}
    )
    for one in instructions:
        row = names[one.name]
        row["count"] += one.executed.times
        row["padded_bytes"] += one.padded
        row["ms"] += 1e3 * one.seconds
    return dict(sorted(names.items(), key=lambda item: -item[1]["ms"]))


def _dearest(instructions: list[InstructionPrice]) -> list[InstructionPrice]:
    return sorted(instructions, key=lambda one: -one.seconds)[:HEAVIEST]


def _line(one: InstructionPrice) -> dict[str, Any]:
    return {
        "ms": 1e3 * one.seconds,
        "name": one.executed.instruction.name,
        "part": one.part,
        "backward": one.backward,
        "padded_bytes": one.padded,
        "times": one.executed.times,
        "path": one.executed.instruction.op_name,
    }


def _path(instruction: Instruction, module: Module) -> str:
    """Its path, or that of a product or of the result within it."""
    if instruction.op_name:
        return instruction.op_name
    for name in instruction.called:
        within = list(module.computations.get(name, {}).values())
        chosen = [one for one in within if one.opcode in ("convolution", "dot")]
        for one in (*chosen, *reversed(within)):
            if one.op_name:
                return one.op_name
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
        one.opcode
        for name in instruction.called
        for one in module.computations.get(name, {}).values()
    }
    held = [word for word in _TELLING if word in within]
    if opcode == "async-start":
        roots = [module.root(name) for name in instruction.called]
        held = held or [root.opcode for root in roots if root is not None]
        return f"{' and '.join(held) or opcode} (asynchronous)"
    return f"fusion of {' and '.join(held)}" if held else "fusion"
