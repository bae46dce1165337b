"""The optimised program of a compiled step, read from its text (HLO)."""

import dataclasses
import functools
import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\{$")
_DEFINITION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.+?) ([a-z][a-z0-9\-]*)\(")
_ARRAY = re.compile(r"\b([a-z]+[0-9]*[a-z0-9]*)\[([0-9,<=]*)\](?:\{([^}]*)\})?")
_LAYOUT = re.compile(r"^([0-9,]*)(?::(?:[A-RT-Z]\([^)]*\))*?T\(([0-9,]+)\))?")
_SPACE = re.compile(r"S\(([0-9]+)\)")
_CYCLES = re.compile(r'"estimated_cycles":"?([0-9]+)')
_OP_NAME = re.compile(r'op_name="([^"]*)"')
_TRIPS = re.compile(r'known_trip_count[^0-9]*"?n"?[^0-9]*([0-9]+)')
_CALLED = re.compile(
    r"\b(?:calls|to_apply|body|true_computation|false_computation|branch_computations)="
    r"\{?((?:%?[\w.\-]+(?:, )?)+)"
)


class Bytes(NamedTuple):
    """Bytes of arrays: as they are, and with the padding of their tiles."""

    bare: int
    padded: int

    def __add__(self, other: "Bytes") -> "Bytes":  # type: ignore[override]
        return Bytes(self.bare + other.bare, self.padded + other.padded)

    def times(self, count: int) -> "Bytes":
        """The bytes of so many such arrays."""
        return Bytes(self.bare * count, self.padded * count)


NOTHING = Bytes(0, 0)


@dataclasses.dataclass(frozen=True)
class ArrayShape:
    """One array as the program lays it out.

    Attributes:
      kind: XLA's name of the element type.
      sides: of the array.
      order: its axes, the fastest first.
      tile: rows, then columns, to whole numbers of which the fastest axes are filled up; () if the
        array is laid out without tiles.
      space: memory space; 0 is the device's main memory.
    """

    kind: str
    sides: tuple[int, ...]
    order: tuple[int, ...]
    tile: tuple[int, ...]
    space: int

    @property
    def elements(self) -> int:
        """Number of its elements."""
        return math.prod(self.sides)

    @property
    def size(self) -> Bytes:
        """Its bytes in memory."""
        bits = bits_of(self.kind)
        padded_sides = list(self.sides)
        extra = 1
        for position, side in enumerate(reversed(self.tile)):
            if position < len(self.order):
                axis = self.order[position]
                padded_sides[axis] = -(-padded_sides[axis] // side) * side
            else:
                extra *= side
        return Bytes(self.elements * bits // 8, math.prod(padded_sides) * extra * bits // 8)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a program.

    Attributes:
      name: unique in the program.
      opcode: what it does.
      result: its type, as text.
      arguments: between its parentheses, as text.
      attributes: what follows, as text.
      root: whether its computation returns it.
    """

    name: str
    opcode: str
    result: str
    arguments: str
    attributes: str
    root: bool

    @property
    def shapes(self) -> tuple[ArrayShape, ...]:
        """The arrays of its result, in order."""
        return shapes_of(self.result)

    @functools.cached_property
    def operands(self) -> tuple[str, ...]:
        """Names of its operands."""
        words = _split(re.sub(r"/\*.*?\*/", "", self.arguments))
        return tuple(word.split()[-1].removeprefix("%") for word in words if word.strip())

    @property
    def callees(self) -> tuple[str, ...]:
        """Names of the computations that it runs."""
        matches = _CALLED.findall(self.attributes)
        return tuple(name.strip(" %") for names in matches for name in names.split(","))

    @property
    def cycles(self) -> int | None:
        """Cycles that the compiler expects; None where it says nothing."""
        match = _CYCLES.search(self.attributes)
        return int(match[1]) if match else None

    @property
    def op_name(self) -> str:
        """The path of the traced operation that it came from; "" if the compiler made it."""
        match = _OP_NAME.search(self.attributes)
        return match[1] if match else ""

    @property
    def trips(self) -> int:
        """How often a loop runs, as far as the compiler knows; otherwise 1."""
        match = _TRIPS.search(self.attributes) if self.opcode == "while" else None
        return int(match[1]) if match else 1


Computation = Mapping[str, Instruction]


class Execution(NamedTuple):
    """An instruction that the step runs."""

    instruction: Instruction
    computation: Computation
    times: int


@dataclasses.dataclass(frozen=True)
class Module:
    """A program: its computations by name, each in order, and the name of the first."""

    computations: Mapping[str, Computation]
    entry: str

    def executions(self) -> Iterator[Execution]:
        """What a step runs: the entry's instructions, and within loops, calls and branches.

        A loop counts as often as the compiler knows it to run, or once; every branch counts.
        """
        yield from self._within(self.entry, 1)

    def _within(self, name: str, times: int) -> Iterator[Execution]:
        computation = self.computations.get(name, {})
        for instruction in computation.values():
            if instruction.opcode in ("while", "call", "conditional"):
                for callee in instruction.callees:
                    yield from self._within(callee, times * instruction.trips)
            else:
                yield Execution(instruction, computation, times)

    def root(self, name: str) -> Instruction | None:
        """What a computation returns."""
        return next(
            (
                instruction
                for instruction in self.computations.get(name, {}).values()
                if instruction.root
            ),
            None,
        )


def read_module(text: str) -> Module:
    """A program from `compiled.as_text()`."""
    computations: dict[str, dict[str, Instruction]] = {}
    entry, current = "", {}
    for line in text.splitlines():
        heading = _COMPUTATION.match(line)
        if heading:
            current = computations.setdefault(heading[2], {})
            entry = heading[2] if heading[1] else entry
            continue
        definition = _DEFINITION.match(line)
        if definition:
            end = _closing(line, definition.end() - 1)
            current[definition[2]] = Instruction(
                name=definition[2],
                opcode=definition[4],
                result=definition[3],
                arguments=line[definition.end() : end],
                attributes=line[end + 1 :],
                root=bool(definition[1]),
            )
    return Module(computations, entry)


def _split(arguments: str) -> list[str]:
    """Split a text at the commas outside of brackets."""
    words, depth = [""], 0
    for letter in arguments:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            words.append("")
        else:
            words[-1] += letter
    return words


def _closing(line: str, opened: int) -> int:
    """Index of the parenthesis that closes the one at `opened`."""
    depth = 0
    for bracket in re.finditer(r"[()]", line[opened:]):
        depth += 1 if bracket[0] == "(" else -1
        if depth == 0:
            return opened + bracket.start()
    return len(line)


@functools.lru_cache(maxsize=65536)
def shapes_of(text: str) -> tuple[ArrayShape, ...]:
    """The arrays of a type; a tuple has several."""
    return tuple(_shape(*match) for match in _ARRAY.findall(text))


def _shape(kind: str, sides: str, layout: str) -> ArrayShape:
    match = _LAYOUT.match(layout)
    space = _SPACE.search(layout)
    order, tile = (match[1], match[2]) if match else ("", None)
    return ArrayShape(
        kind=kind,
        sides=_numbers(re.sub("[<=]", "", sides)),
        order=_numbers(order),
        tile=_numbers(tile or ""),
        space=int(space[1]) if space else 0,
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(",") if word)


def bits_of(kind: str) -> int:
    """Bits of one element of an XLA type, f8e4m3fn included."""
    if kind == "pred":
        return 8
    digits = re.search(r"[0-9]+", kind)
    return int(digits[0]) if digits else 8
