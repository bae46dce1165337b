"""DICOM slices as stacks: of one series, size and direction, and one reconstruction."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mgajax.imaging.dicom import SliceHeader
from mgajax.imaging.geometry import REPEATED, SAME_POSITION_MM, usual_step

SAME_DIRECTION = 5e-3
"""How far directions of one series may differ; scanners write at least four digits."""

REPEATS_STACK = 0.5
"""Slices with a common mark of which at least this share repeats a stack's positions are no part of it."""

MARKS: dict[str, Callable[[SliceHeader], str]] = {
    "folder": lambda header: str(header.path.parent),
    "AcquisitionNumber": lambda header: header.marks.acquisition,
    "ConvolutionKernel": lambda header: header.marks.kernel,
    "EchoNumbers": lambda header: header.marks.echo,
    "ImageType": lambda header: header.marks.image,
}
"""What may distinguish reconstructions of one series, in the order of trial."""


@dataclass(frozen=True)
class Stack:
    """Slices that are one scan.

    Attributes:
      slices: in no order.
      mark: of `MARKS`, which distinguishes them from the others of their series; "" where none had to.
    """

    slices: tuple[SliceHeader, ...]
    mark: str = ""


def group_series(headers: Sequence[SliceHeader]) -> list[list[SliceHeader]]:
    """Slices by series UID, size and direction, which may differ by rounding."""
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


def split_stacks(series: Sequence[SliceHeader]) -> Iterator[Stack]:
    """The reconstructions among the slices of a series: split by `MARKS` where positions repeat."""
    for name, mark in MARKS.items():
        parts = _split_by_mark(series, mark=mark)
        if len(parts) > 1:
            for part in parts:
                for stack in split_stacks(part):
                    yield Stack(stack.slices, stack.mark or name)
            return
    yield Stack(tuple(series))


def heights_of(slices: Sequence[SliceHeader]) -> Float[np.ndarray, "n"]:
    """The positions of parallel slices along the direction to the head, in mm."""
    return np.stack([header.placement.position for header in slices]) @ slices[0].placement.head


def _is_parallel(first: SliceHeader, second: SliceHeader) -> bool:
    first_axes, second_axes = (
        np.stack([header.placement.right, header.placement.down]) for header in (first, second)
    )
    return float(np.abs(first_axes - second_axes).max()) <= SAME_DIRECTION


def _split_by_mark(
    slices: Sequence[SliceHeader], *, mark: Callable[[SliceHeader], str]
) -> list[list[SliceHeader]]:
    """The slices by a mark; those that do not repeat each other's positions stay together."""
    parts: dict[str, list[SliceHeader]] = {}
    for header in slices:
        parts.setdefault(mark(header), []).append(header)
    if len(parts) == 1:
        return [list(slices)]
    stacks: list[list[SliceHeader]] = []
    for _, part in sorted(parts.items(), key=lambda item: (-len(item[1]), item[0])):
        for stack in stacks:
            if len(part) == 1 or _repeated_share(part, stack) < REPEATS_STACK:
                stack += part
                break
        else:
            stacks.append(part)
    return stacks


def _repeated_share(part: Sequence[SliceHeader], stack: Sequence[SliceHeader]) -> float:
    """The share of a part's slices that lie at the position of one of the stack."""
    heights = heights_of([*stack, *part])
    stack_heights, part_heights = np.sort(heights[: len(stack)]), heights[len(stack) :]
    near = max(SAME_POSITION_MM, REPEATED * (usual_step(stack_heights) or 0.0))
    after = stack_heights.searchsorted(part_heights).clip(max=len(stack_heights) - 1)
    nearest = np.minimum(
        np.abs(stack_heights[after] - part_heights),
        np.abs(stack_heights[(after - 1).clip(min=0)] - part_heights),
    )
    return float((nearest < near).mean())
