"""Data that devices send each other in one step, read from the compiled program."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from mgajax.benchmark.hlo import Instruction, Module
from mgajax.benchmark.traffic import results_of_started

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_ALONE = re.compile(r"replica_groups=(?:\{\{[0-9]+\}(?:,\{[0-9]+\})*\}|\[[0-9]+,1\]<=)")
_CHANNEL = re.compile(r"\bchannel_id=([0-9]+)")


class _Transfer(NamedTuple):
    """A collective.

    Attributes:
      kind: one of `KINDS`.
      size: bytes of its result.
      asynchronous: whether the device may compute meanwhile.
      piece: the channel that several fusions of one collective share; "" outside of fusions.
    """

    kind: str
    size: int
    asynchronous: bool
    piece: str = ""


def count_collectives(module: Module) -> dict[str, dict[str, int]]:
    """Collectives of one step on one device.

    A loop counts as often as the compiler knows it to run, or once if it does not know. What a TPU
    sends beside computation stands in several fusions, which start it, move it on and wait for it,
    all with its channel: it counts once. A group of one device sends nothing.

    Returns:
      By kind (only those that occur): `count`, `asynchronous` (of them, those during which the device
      may compute), `bytes` of their results together, and `largest_bytes` of one of them. A ring sends
      about twice the bytes of an all-reduce.
    """
    transfers: dict[str, list[_Transfer]] = defaultdict(list)
    seen_pieces: set[str] = set()
    for instruction, _, times in module.executions():
        for transfer in _transfers_of(instruction, module):
            if transfer.piece in seen_pieces:
                continue
            seen_pieces |= {transfer.piece} - {""}
            transfers[transfer.kind] += [transfer] * times
    return {
        kind: {
            "count": len(group),
            "asynchronous": sum(transfer.asynchronous for transfer in group),
            "bytes": sum(transfer.size for transfer in group),
            "largest_bytes": max(transfer.size for transfer in group),
        }
        for kind, group in transfers.items()
    }


def _transfers_of(instruction: Instruction, module: Module) -> Iterator[_Transfer]:
    """The collectives of an instruction, or of what it calls."""
    kind = instruction.opcode.removesuffix("-start")
    started = kind != instruction.opcode
    if kind in KINDS:
        if _ALONE.search(instruction.attributes):
            return
        shapes = instruction.shapes
        if started and kind != "all-reduce":
            shapes = results_of_started(shapes)
        asynchronous = started and '"is_sync":true' not in instruction.attributes
        yield _Transfer(kind, sum(shape.size.bare for shape in shapes), asynchronous)
    elif instruction.opcode in ("fusion", "async-start"):
        begins = instruction.opcode == "async-start"
        for name in instruction.callees:
            within = module.computations.get(name, {}).values()
            begins |= any("AsyncCollectiveStart" in inner.attributes for inner in within)
            for inner in within:
                channel = _CHANNEL.search(inner.attributes)
                piece = channel[1] if channel and instruction.opcode == "fusion" else ""
                for transfer in _transfers_of(inner, module):
                    yield transfer._replace(asynchronous=begins, piece=piece or transfer.piece)
