"""DICOM files sorted into series, each a scan."""

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from mgajax.errors import DataError
from mgajax.imaging.dicom import SliceHeader, read_hounsfield, read_slice_header
from mgajax.imaging.geometry import (
    BRIDGED,
    SAME_POSITION_MM,
    Spacing,
    Turn,
    View,
    body_axis,
    find_repeats,
    spacing_of,
    view_of,
)
from mgajax.inference.dicom_stacks import Stack, heights_of, series_of, stacks_of
from mgajax.inference.lesion_volume import write_lesion_volume
from mgajax.inference.problems import Problems
from mgajax.inference.scans import Plane, ScanKind, Write
from mgajax.inference.segmentation_object import write_segmentation

PLAUSIBLE_PIXEL_MM = (0.05, 25.0)
"""Sides of the pixels of a body's slice."""

ONE_UNIT = 4.0
"""Pixels of one series that differ more than so many times are not told in one unit."""


@dataclass(frozen=True, eq=False)
class DicomScan:
    """A series of parallel axial slices, head first.

    Attributes:
      heights: of the slices in mm towards the head; none where they all lie at one position.
      is_measured: whether millimetres can be believed.
    """

    name: str
    patient: str
    slices: tuple[SliceHeader, ...]
    view: View
    heights: tuple[float, ...]
    spacing: Spacing
    is_measured: bool = True
    kind: ScanKind = "DICOM"

    @property
    def source(self) -> Path:
        """The folder of its first file."""
        return self.slices[0].path.parent

    def voxel_ml(self, index: int) -> float | None:
        """Pixel times the slice's share of the axis, or the thickness of a single slice."""
        placement = self.slices[index].placement
        share = self.spacing.shares[index] if self.spacing.shares else placement.thickness
        if not self.is_measured or not share:
            return None
        return placement.pixel[0] * placement.pixel[1] * share / 1000

    def __len__(self) -> int:
        return len(self.slices)

    def planes(self, problems: Problems) -> Iterator[Plane]:
        """See `Scan`."""
        for index, header in enumerate(self.slices):
            path = header.path
            try:
                values = read_hounsfield(path, name=str(path))
            except DataError as error:
                problems.note(str(error))
                continue
            shown = self.view.show(values)
            yield Plane(
                index,
                path.name,
                path,
                shown,
                "HU",
                position=self.heights[index] if self.heights else None,
                voxel_ml=self.voxel_ml(index),
            )

    @contextmanager
    def masks(self, folder: Path, problems: Problems) -> Iterator[Write]:
        """`lesion.dcm`, a DICOM-SEG that references the slices with a lesion.

        Where none can be written, `lesion.nii.gz` takes its place beside the pictures of masks.
        """
        found: dict[int, np.ndarray] = {}

        def write(plane: Plane, lesion: Bool[np.ndarray, "h w"]) -> None:
            if lesion.any():  # as bits: a series of 600 slices fits in 20 MB
                found[plane.index] = np.packbits(self.view.store(lesion), axis=1)

        yield write
        if not found:
            return
        for line in self._write_lesions(folder, packed=found):
            problems.note(f"{self.name}: {line}", kind="odd")

    def _write_lesions(self, folder: Path, *, packed: dict[int, np.ndarray]) -> Iterator[str]:
        """Write the lesions in the best form that the series allows; a line for what that is not."""
        first = self.slices[0].placement
        if refusal := self._shapeless():
            yield f"no lesion.dcm and no lesion.nii.gz: {refusal}; the masks are in lesion/*.png"
            return
        thickness = self.spacing.step or first.thickness
        try:
            yield from write_segmentation(
                folder / "lesion.dcm",
                sources=[self.slices[index].path for index in packed],
                packed=list(packed.values()),
                thickness=thickness,
            )
        except DataError as error:
            refusal = f"no lesion.dcm: {error}"
        else:
            return
        try:
            write_lesion_volume(
                folder / "lesion.nii.gz",
                packed=packed,
                shape=self.slices[0].shape,
                positions=np.stack([one.placement.position for one in self.slices]),
                axes=np.stack([first.down * first.pixel[0], first.right * first.pixel[1]], axis=1),
                thickness=thickness,
            )
        except DataError as error:
            yield f"{refusal}; and no lesion.nii.gz: {error}; the masks are in lesion/*.png"
        else:
            yield f"{refusal}; the masks are in lesion.nii.gz and in lesion/*.png"

    def _shapeless(self) -> str:
        """Why lesions cannot be written as one body in space; "" where they can."""
        if not self.heights:
            return "all slices lie at one position"
        return "the slices have pixels of several sizes" if len(_sizes(self.slices)) > 1 else ""


def find_series(paths: Sequence[Path], *, turn: Turn, problems: Problems) -> list[DicomScan]:
    """The series among DICOM files; what cannot be part of one is noted and left out."""
    headers = []
    for path in paths:
        try:
            headers.append(read_slice_header(path))
        except DataError as error:
            problems.note(str(error))
    groups = series_of(headers)
    for folder, held in itertools.groupby(
        sorted(groups, key=lambda group: group[0].path.parent), key=lambda g: g[0].path.parent
    ):
        if (count := len(list(held))) > 1:
            problems.note(f"{folder}: {count} series in one folder; each is one scan", kind="odd")
    scans = []
    for group in groups:
        with problems.guarded(_where(group[0])):
            for stack in _reconstructions(group, problems=problems):
                scan = _scan(stack, turn=turn, problems=problems)
                scans += [] if scan is None else [scan]
    return scans


def _reconstructions(group: Sequence[SliceHeader], *, problems: Problems) -> list[Stack]:
    stacks = list(stacks_of(group))
    if len(stacks) > 1:
        by = ", ".join(dict.fromkeys(stack.told_by for stack in stacks))
        counts = ", ".join(str(len(stack.slices)) for stack in stacks)
        problems.note(
            f"{_where(group[0])}: positions repeat, and {by} tells {len(stacks)} reconstructions "
            f"apart ({counts} slices); each is one scan",
            kind="odd",
        )
    return stacks


def _scan(stack: Stack, *, turn: Turn, problems: Problems) -> DicomScan | None:
    first = stack.slices[0]
    where = _where(first)
    if body_axis(first.placement.head) != 2:
        count = len(stack.slices)
        problems.note(f"{where}: {count} slices that are not axial; give an axial series")
        return None
    ordered = _by_number(stack.slices)
    heights: Float[np.ndarray, "n"] = np.empty(0)
    if ordered is None:
        ordered, heights = _by_position(stack.slices, where=where, problems=problems)
    spacing = spacing_of(heights)
    oddities = list(_oddities(ordered, spacing=spacing))
    if not heights.size:
        oddities.append(
            f"all {len(ordered)} slices lie at one position; they are ordered by SliceLocation or "
            "InstanceNumber, and volumes are left empty"
        )
    is_measured = bool(heights.size) and _is_measured(ordered)
    if heights.size and not is_measured:
        oddities.append(
            f"pixels of {_told(ordered)}; they cannot be believed, and volumes are empty"
        )
    for oddity in oddities:
        problems.note(f"{where}: {oddity}", kind="odd")
    return DicomScan(
        name=_title(first),
        patient=first.patient,
        slices=tuple(ordered),
        view=view_of(first.placement.down, first.placement.right).turned(turn),
        heights=tuple(heights.tolist()),
        spacing=spacing,
        is_measured=is_measured,
    )


def _by_number(slices: Sequence[SliceHeader]) -> list[SliceHeader] | None:
    """Slices that all lie at one position, by what tells them apart; None where they do not."""
    if len(slices) == 1 or np.ptp(heights_of(slices)) >= SAME_POSITION_MM:
        return None
    for sign, numbers in (
        (-1, [one.location for one in slices]),
        (1, [one.instance for one in slices]),
    ):
        known = [sign * number for number in numbers if number is not None]
        if len(set(known)) == len(slices):
            return [slices[place] for place in np.argsort(known)]
    return None


def _by_position(
    slices: Sequence[SliceHeader], *, where: str, problems: Problems
) -> tuple[list[SliceHeader], Float[np.ndarray, "n"]]:
    """The slices from head to feet with their positions, those that repeat another left out."""
    slices = sorted(slices, key=lambda one: one.path)
    heights = heights_of(slices)
    if (moved := _by_location(slices, heights)) is not None:
        problems.note(
            f"{where}: slices lie at one position, and SliceLocation says others; it is believed",
            kind="odd",
        )
        heights = moved
    order = np.argsort(-heights, kind="stable")
    again = find_repeats(heights[order])
    kept = order[~again]
    left_out = order[again].tolist()
    for place in left_out[:1]:
        apart = np.abs(heights[kept] - heights[place])
        near, far = slices[kept[apart.argmin()]].path.name, float(apart.min())
        lies = f"where {near} does" if far < SAME_POSITION_MM else f"{far:.3g} mm from {near}"
        others = f", and {len(left_out) - 1} more like it" if len(left_out) > 1 else ""
        problems.note(f"{slices[place].path}: lies {lies}{others}; it is left out")
    return [slices[place] for place in kept], heights[kept]


def _by_location(
    slices: Sequence[SliceHeader], heights: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"] | None:
    """Positions by SliceLocation, where several are one by the others, and it fits the rest."""
    told = [one.location for one in slices if one.location is not None]
    order = np.argsort(heights)
    same = np.diff(heights[order]) < SAME_POSITION_MM
    if len(told) < len(slices) or not same.any():
        return None
    locations = np.array(told)
    if (np.diff(np.sort(locations)) < SAME_POSITION_MM).any():
        return None
    for sign in (1.0, -1.0):
        offset = np.median(heights - sign * locations)
        moved = sign * locations + offset
        if (np.abs(moved - heights) < 0.1).mean() > 0.5:
            return moved
    return None


def _oddities(slices: Sequence[SliceHeader], *, spacing: Spacing) -> Iterator[str]:
    """What tells that a series is not whole, not even, or not of one kind."""
    if spacing.gaps:
        above, below = spacing.gaps[0]
        yield (
            f"{spacing.missing} slices are missing in {_places(spacing.gaps)}, the first between "
            f"{above:g} and {below:g} mm (step {spacing.step:g} mm); volumes go on across up to "
            f"{BRIDGED - 1}"
        )
    if spacing.uneven:
        above, below = spacing.uneven[0]
        yield (
            f"slices are uneven in {_places(spacing.uneven)}, the first between {above:g} and "
            f"{below:g} mm (usual step {spacing.step:g} mm); each counts for half the way to its "
            "neighbours"
        )
    thickness = slices[0].placement.thickness
    if spacing.step and thickness and spacing.step > 2 * thickness:
        yield (
            f"slices of {thickness:g} mm lie {spacing.step:g} mm apart; volumes take each for all of "
            "its step"
        )
    if len(_sizes(slices)) > 1 and _is_measured(slices):
        yield f"pixels of {_told(slices)}; each slice counts by its own"
    if bare := sum(not one.is_rescaled for one in slices):
        yield (
            f"{bare} of {len(slices)} slices tell no RescaleSlope or no RescaleIntercept; 1 and 0 "
            "stand for them"
        )


def _places(pairs: Sequence[object]) -> str:
    return f"{len(pairs)} places" if len(pairs) > 1 else "one place"


def _sizes(slices: Sequence[SliceHeader]) -> Counter[str]:
    """How many slices have which pixels, to four digits."""
    return Counter(" x ".join(f"{side:.4g}" for side in one.placement.pixel) for one in slices)


def _told(slices: Sequence[SliceHeader]) -> str:
    return " and ".join(f"{size} mm ({count} slices)" for size, count in _sizes(slices).items())


def _is_measured(slices: Sequence[SliceHeader]) -> bool:
    """Whether the pixels' sizes can be of a body, and in one unit."""
    sides = np.array([one.placement.pixel for one in slices])
    low, high = PLAUSIBLE_PIXEL_MM
    return bool(sides.min() >= low and sides.max() <= high and sides.max() < ONE_UNIT * sides.min())


def _where(header: SliceHeader) -> str:
    return f"{header.path.parent}, series {_title(header)}"


def _title(header: SliceHeader) -> str:
    """A name for people; the folder's, where nobody says whose it is."""
    whose = header.patient or Path(os.path.abspath(header.path)).parent.name
    return whose if header.number is None else f"{whose}_series{header.number}"
