"""Which DICOM slices are one stack: of one series, size and direction, and one reconstruction."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mgajax.imaging.dicom import SliceHeader
from mgajax.imaging.geometry import REPEATED, SAME_POSITION_MM, usual_step

SAME_DIRECTION = 5e-3
"""How far directions of one series may differ; scanners write them to four digits and more."""

REPEATS_STACK = 0.5
"""A part that repeats at least this share of its positions is no part of that stack."""

MARKS: dict[str, Callable[[SliceHeader], str]] = {
    "folder": lambda header: str(header.path.parent),
    "AcquisitionNumber": lambda header: header.marks.acquisition,
    "ConvolutionKernel": lambda header: header.marks.kernel,
    "EchoNumbers": lambda header: header.marks.echo,
    "ImageType": lambda header: header.marks.image,
}
"""What may tell two reconstructions of one series apart, the plainest first."""


@dataclass(frozen=True)
class Stack:
    """Slices that are one scan.

    Attributes:
      slices: in no order.
      told_by: what told them from others of their series; "" where nothing had to.
    """

    slices: tuple[SliceHeader, ...]
    told_by: str = ""


def series_of(headers: Sequence[SliceHeader]) -> list[list[SliceHeader]]:
    """Slices of one series UID, one size and, but for rounding, one direction."""
    alike: dict[tuple[object, ...], list[list[SliceHeader]]] = {}
    for header in headers:
        groups = alike.setdefault((header.series, *header.shape), [])
        for group in groups:
            if _is_parallel(group[0], header):
                group.append(header)
                break
        else:
            groups.append([header])
    return [group for groups in alike.values() for group in groups]


def stacks_of(series: Sequence[SliceHeader]) -> Iterator[Stack]:
    """The reconstructions among the slices of `series_of`: told apart where positions repeat."""
    for name, mark in MARKS.items():
        parts = _apart(series, mark=mark)
        if len(parts) > 1:
            for part in parts:
                for stack in stacks_of(part):
                    yield Stack(stack.slices, stack.told_by or name)
            return
    yield Stack(tuple(series))


def heights_of(slices: Sequence[SliceHeader]) -> Float[np.ndarray, "n"]:
    """Where parallel slices lie along the direction to the head, in mm."""
    return np.stack([one.placement.position for one in slices]) @ slices[0].placement.head


def _is_parallel(one: SliceHeader, other: SliceHeader) -> bool:
    here, there = (np.stack([h.placement.right, h.placement.down]) for h in (one, other))
    return float(np.abs(here - there).max()) <= SAME_DIRECTION


def _apart(
    slices: Sequence[SliceHeader], *, mark: Callable[[SliceHeader], str]
) -> list[list[SliceHeader]]:
    """The slices by a mark; parts that do not repeat each other's positions stay together."""
    parts: dict[str, list[SliceHeader]] = {}
    for header in slices:
        parts.setdefault(mark(header), []).append(header)
    if len(parts) == 1:
        return [list(slices)]
    found: list[list[SliceHeader]] = []
    for _, part in sorted(parts.items(), key=lambda one: (-len(one[1]), one[0])):
        for stack in found:
            if len(part) == 1 or _repeated_share(part, stack) < REPEATS_STACK:
                stack += part
                break
        else:
            found.append(part)
    return found


def _repeated_share(part: Sequence[SliceHeader], stack: Sequence[SliceHeader]) -> float:
    """The share of a part's slices that lie where one of the stack does."""
    both = heights_of([*stack, *part])
    held, new = np.sort(both[: len(stack)]), both[len(stack) :]
    near = max(SAME_POSITION_MM, REPEATED * (usual_step(held) or 0.0))
    after = held.searchsorted(new).clip(max=len(held) - 1)
    nearest = np.minimum(np.abs(held[after] - new), np.abs(held[(after - 1).clip(min=0)] - new))
    return float((nearest < near).mean())
