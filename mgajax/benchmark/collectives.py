"""What devices send each other in one step, read from the compiled module's text."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from mgajax.benchmark.module import Instruction, Module, read_module
from mgajax.benchmark.traffic import results_of_started

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_ALONE = re.compile(r"replica_groups=(?:\{\{[0-9]+\}(?:,\{[0-9]+\})*\}|\[[0-9]+,1\]<=)")
_CHANNEL = re.compile(r"\bchannel_id=([0-9]+)")


class _Sent(NamedTuple):
    """A collective.

    Attributes:
      kind: one of `KINDS`.
      size: bytes of its result.
      asynchronous: whether others may be computed meanwhile.
      piece: its channel, if it stands in a fusion, of which it may have several; otherwise "".
    """

    kind: str
    size: int
    asynchronous: bool
    piece: str = ""


def collectives(text: str) -> dict[str, dict[str, int]]:
    """Collectives of one step on one device, from a compiled module's text (`compiled.as_text()`)."""
    return collectives_of(read_module(text))


def collectives_of(module: Module) -> dict[str, dict[str, int]]:
    """Collectives of one step on one device.

    A loop counts as often as the compiler knows it to run, or once if it does not know. What a TPU
    sends beside computation stands in several fusions, which start it, move it on and wait for it,
    all with its channel: it counts once. A group of one device sends nothing.

    Returns:
      By kind (only those that occur): `count`, `asynchronous` (of them: others may be computed
      meanwhile), `bytes` of their results together, and `largest_bytes` of one of them. A ring sends
      about twice the bytes of an all-reduce.
    """
    transfers: dict[str, list[_Sent]] = defaultdict(list)
    begun: set[str] = set()
    for instruction, _, times in module.executed():
        for sent in _sent(instruction, module):
            if sent.piece in begun:
                continue
            begun |= {sent.piece} - {""}
            transfers[sent.kind] += [sent] * times
    return {
        kind: {
            "count": len(all_sent),
            "asynchronous": sum(sent.asynchronous for sent in all_sent),
            "bytes": sum(sent.size for sent in all_sent),
            "largest_bytes": max(sent.size for sent in all_sent),
        }
        for kind, all_sent in transfers.items()
    }


def _sent(instruction: Instruction, module: Module) -> Iterator[_Sent]:
    """The collectives of an instruction, or of what it calls."""
    kind = instruction.opcode.removesuffix("-start")
    started = kind != instruction.opcode
    if kind in KINDS:
        if _ALONE.search(instruction.attributes):
            return
        shapes = instruction.shapes
        if started and kind != "all-reduce":
            shapes = results_of_started(shapes)
        apart = started and '"is_sync":true' not in instruction.attributes
        yield _Sent(kind, sum(shape.size.bare for shape in shapes), apart)
    elif instruction.opcode in ("fusion", "async-start"):
        begins = instruction.opcode == "async-start"
        for name in instruction.called:
            within = module.computations.get(name, {}).values()
            begins |= any("AsyncCollectiveStart" in inner.attributes for inner in within)
            for inner in within:
                channel = _CHANNEL.search(inner.attributes)
                piece = channel[1] if channel and instruction.opcode == "fusion" else ""
                for sent in _sent(inner, module):
                    yield sent._replace(asynchronous=begins, piece=piece or sent.piece)
