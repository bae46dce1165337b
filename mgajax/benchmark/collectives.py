"""What devices send each other in one step, read from the compiled module's text."""

import dataclasses
import math
import re
from collections import Counter, defaultdict

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\{$")
_COLLECTIVE = re.compile(rf" = (.+?) ({'|'.join(KINDS)})(-start)?\(")
_ARRAY = re.compile(r"\b([a-z]+[0-9]*[a-z0-9]*)\[([0-9,]*)\]")
_CALLED = re.compile(
    r"\b(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)"
)
_TRIPS = re.compile(r'known_trip_count[^0-9]*"?n"?[^0-9]*([0-9]+)')


@dataclasses.dataclass
class _Computation:
    """Collectives of one computation (kind, bytes), and how often it calls others."""

    collectives: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    calls: Counter[str] = dataclasses.field(default_factory=Counter)


def collectives(text: str) -> dict[str, dict[str, int]]:
    """Collectives of one step on one device.

    Args:
      text: of a compiled module (`compiled.as_text()`). A loop counts as often as the compiler
        knows it to run, or once if it does not know.

    Returns:
      By kind (only those that occur): `count`, `bytes` of their results together, and
      `largest_bytes` of one of them. A ring sends about twice the bytes of an all-reduce.
    """
    computations, entry = _parse(text)
    found: dict[str, list[int]] = defaultdict(list)
    _collect(computations, entry, 1, found)
    return {
        kind: {"count": len(sizes), "bytes": sum(sizes), "largest_bytes": max(sizes)}
        for kind, sizes in found.items()
    }


def _parse(text: str) -> tuple[dict[str, _Computation], str]:
    computations: dict[str, _Computation] = {}
    entry, current = "", _Computation()
    for line in text.splitlines():
        begun = _COMPUTATION.match(line)
        if begun:
            current = computations.setdefault(begun[2], _Computation())
            entry = begun[2] if begun[1] else entry
            continue
        sent = _COLLECTIVE.search(line)
        if sent:
            arrays = _ARRAY.findall(sent[1])
            if sent[3] and sent[2] != "all-reduce":
                # A started one yields its operands, then its results, then counters.
                arrays = [(kind, sides) for kind, sides in arrays if sides]
                arrays = arrays[len(arrays) // 2 :]
            current.collectives.append((sent[2], _bytes(arrays)))
            continue
        if " async-done(" in line or " async-update(" in line:
            continue
        trips = _TRIPS.search(line)
        for name in _CALLED.findall(line):
            current.calls[name] += int(trips[1]) if trips and " while(" in line else 1
    return computations, entry


def _collect(
    computations: dict[str, _Computation], name: str, times: int, found: dict[str, list[int]]
) -> None:
    computation = computations.get(name, _Computation())
    for kind, size in computation.collectives:
        found[kind] += [size] * times
    for called, often in computation.calls.items():
        _collect(computations, called, times * often, found)


def _bytes(arrays: list[tuple[str, str]]) -> int:
    """Bytes of arrays given as ("f32", "64,3")."""
    return (
        sum(
            _bits(kind) * math.prod(int(side) for side in sides.split(",") if side)
            for kind, sides in arrays
        )
        // 8
    )


def _bits(kind: str) -> int:
    """Of one element of an XLA type; of f8e4m3fn too."""
    if kind == "pred":
        return 8
    digits = re.search(r"[0-9]+", kind)
    return int(digits[0]) if digits else 8
