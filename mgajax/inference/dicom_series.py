"""DICOM files as series, each of which is a scan."""

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from mgajax.errors import DataError, quantity
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
from mgajax.inference.dicom_stacks import Stack, group_series, heights_of, split_stacks
from mgajax.inference.lesion_volume import write_lesion_volume
from mgajax.inference.problems import Problems
from mgajax.inference.scans import Plane, ScanKind, WriteMask
from mgajax.inference.segmentation_object import write_segmentation

PLAUSIBLE_PIXEL_MM = (0.05, 25.0)
"""Sides of the pixels of a body's slice."""

ONE_UNIT = 4.0
"""Pixel sizes of one series that differ by a larger factor are not in one unit."""


@dataclass(frozen=True, eq=False)
class DicomScan:
    """A series of parallel axial slices, head first.

    Attributes:
      heights: of the slices in mm towards the head; empty where they all lie at one position.
      is_measured: whether the sizes in millimetres can be believed.
    """

    name: str
    patient: str
    slices: tuple[SliceHeader, ...]
    view: View
    heights: tuple[float, ...]
    spacing: Spacing
    is_measured: bool
    kind: ScanKind = "DICOM"

    @property
    def source(self) -> Path:
        """The folder of its first file."""
        return self.slices[0].path.parent

    def voxel_ml(self, index: int) -> float | None:
        """Pixel area times the slice's share of the axis, or times the thickness of a single slice."""
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
            picture_values = self.view.show(values)
            yield Plane(
                index,
                path.name,
                path,
                picture_values,
                "HU",
                position=self.heights[index] if self.heights else None,
                voxel_ml=self.voxel_ml(index),
            )

    @contextmanager
    def masks(self, folder: Path, problems: Problems) -> Iterator[WriteMask]:
        """`lesion.dcm`, a DICOM-SEG that references the slices with a lesion.

        Where that cannot be written, `lesion.nii.gz` is, beside the pictures of masks.
        """
        packed: dict[int, np.ndarray] = {}

        def write(plane: Plane, lesion: Bool[np.ndarray, "h w"]) -> None:
            if lesion.any():  # as bits: a series of 600 slices fits in 20 MB
                packed[plane.index] = np.packbits(self.view.store(lesion), axis=1)

        yield write
        if not packed:
            return
        for oddity in self._write_lesions(folder, packed=packed):
            problems.note(f"{self.name}: {oddity}", kind="odd")

    def _write_lesions(self, folder: Path, *, packed: dict[int, np.ndarray]) -> Iterator[str]:
        """Write the lesions in the best form that the series allows; yields a line where it is not the best."""
        first = self.slices[0].placement
        if refusal := self._why_shapeless():
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
                positions=np.stack([header.placement.position for header in self.slices]),
                axes=np.stack([first.down * first.pixel[0], first.right * first.pixel[1]], axis=1),
                thickness=thickness,
            )
        except DataError as error:
            yield f"{refusal}; and no lesion.nii.gz: {error}; the masks are in lesion/*.png"
        else:
            yield f"{refusal}; the masks are in lesion.nii.gz and in lesion/*.png"

    def _why_shapeless(self) -> str:
        """Why the lesions cannot be placed in space; "" where they can."""
        if not self.heights:
            return "all slices lie at one position"
        return "the slices have pixels of several sizes" if len(_sizes(self.slices)) > 1 else ""


def find_series(paths: Sequence[Path], *, turn: Turn, problems: Problems) -> list[DicomScan]:
    """The series among DICOM files; notes files that cannot be part of one."""
    headers = []
    for path in paths:
        try:
            headers.append(read_slice_header(path))
        except DataError as error:
            problems.note(str(error))
    groups = group_series(headers)
    for folder, neighbours in itertools.groupby(
        sorted(groups, key=lambda group: group[0].path.parent),
        key=lambda group: group[0].path.parent,
    ):
        if (count := len(list(neighbours))) > 1:
            problems.note(f"{folder}: {count} series in one folder; each is one scan", kind="odd")
    scans = []
    for group in groups:
        with problems.guard(_series_name(group[0])):
            for stack in _split_reconstructions(group, problems=problems):
                scan = _make_scan(stack, turn=turn, problems=problems)
                scans += [] if scan is None else [scan]
    return scans


def _split_reconstructions(group: Sequence[SliceHeader], *, problems: Problems) -> list[Stack]:
    stacks = list(split_stacks(group))
    if len(stacks) > 1:
        by = ", ".join(dict.fromkeys(stack.mark for stack in stacks))
        counts = ", ".join(str(len(stack.slices)) for stack in stacks)
        problems.note(
            f"{_series_name(group[0])}: positions repeat; there are {len(stacks)} reconstructions by "
            f"{by} ({counts} slices); each is one scan",
            kind="odd",
        )
    return stacks


def _make_scan(stack: Stack, *, turn: Turn, problems: Problems) -> DicomScan | None:
    header = stack.slices[0]
    series_name = _series_name(header)
    if body_axis(header.placement.head) != 2:
        count = len(stack.slices)
        problems.note(
            f"{series_name}: not axial ({quantity(count, 'slice')}); give an axial series"
        )
        return None
    ordered = _order_by_number(stack.slices)
    heights: Float[np.ndarray, "n"] = np.empty(0)
    if ordered is None:
        ordered, heights = _order_by_position(stack.slices, where=series_name, problems=problems)
    spacing = spacing_of(heights)
    oddities = list(_find_oddities(ordered, spacing=spacing))
    if not heights.size:
        oddities.append(
            f"all {len(ordered)} slices lie at one position; they are ordered by SliceLocation or "
            "InstanceNumber, and volumes are left empty"
        )
    is_measured = bool(heights.size) and _is_measured(ordered)
    if heights.size and not is_measured:
        oddities.append(
            f"pixels of {_list_sizes(ordered)}; they cannot be believed, and volumes are empty"
        )
    for oddity in oddities:
        problems.note(f"{series_name}: {oddity}", kind="odd")
    return DicomScan(
        name=_title(header),
        patient=header.patient,
        slices=tuple(ordered),
        view=view_of(header.placement.down, header.placement.right).turned(turn),
        heights=tuple(heights.tolist()),
        spacing=spacing,
        is_measured=is_measured,
    )


def _order_by_number(slices: Sequence[SliceHeader]) -> list[SliceHeader] | None:
    """Slices at one position, by SliceLocation or InstanceNumber; None where neither orders them, or
    the positions differ."""
    if len(slices) == 1 or np.ptp(heights_of(slices)) >= SAME_POSITION_MM:
        return None
    for sign, keys in (
        (-1, [header.location for header in slices]),
        (1, [header.instance for header in slices]),
    ):
        signed_keys = [sign * key for key in keys if key is not None]
        if len(set(signed_keys)) == len(slices):
            return [slices[index] for index in np.argsort(signed_keys)]
    return None


def _order_by_position(
    slices: Sequence[SliceHeader], *, where: str, problems: Problems
) -> tuple[list[SliceHeader], Float[np.ndarray, "n"]]:
    """The slices from head to feet with their positions, without those that repeat another."""
    slices = sorted(slices, key=lambda header: header.path)
    heights = heights_of(slices)
    if (positions := _positions_by_location(slices, heights)) is not None:
        problems.note(
            f"{where}: slices lie at one position, but have different SliceLocations; these are used",
            kind="odd",
        )
        heights = positions
    order = np.argsort(-heights, kind="stable")
    is_repeat = find_repeats(heights[order])
    unique = order[~is_repeat]
    left_out = order[is_repeat].tolist()
    for index in left_out[:1]:
        distances = np.abs(heights[unique] - heights[index])
        neighbour, distance = slices[unique[distances.argmin()]].path.name, float(distances.min())
        location = (
            f"where {neighbour} does"
            if distance < SAME_POSITION_MM
            else f"{distance:.3g} mm from {neighbour}"
        )
        more = f", and {len(left_out) - 1} more like it" if len(left_out) > 1 else ""
        problems.note(f"{slices[index].path}: lies {location}{more}; it is left out")
    return [slices[index] for index in unique], heights[unique]


def _positions_by_location(
    slices: Sequence[SliceHeader], heights: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"] | None:
    """Positions by SliceLocation, where some positions are equal, and SliceLocation fits the others."""
    stated_locations = [header.location for header in slices if header.location is not None]
    order = np.argsort(heights)
    is_same = np.diff(heights[order]) < SAME_POSITION_MM
    if len(stated_locations) < len(slices) or not is_same.any():
        return None
    locations = np.array(stated_locations)
    if (np.diff(np.sort(locations)) < SAME_POSITION_MM).any():
        return None
    for sign in (1.0, -1.0):
        offset = np.median(heights - sign * locations)
        positions = sign * locations + offset
        if (np.abs(positions - heights) < 0.1).mean() > 0.5:
            return positions
    return None


def _find_oddities(slices: Sequence[SliceHeader], *, spacing: Spacing) -> Iterator[str]:
    """Lines for what shows that a series is incomplete, uneven, or of several kinds."""
    if spacing.gaps:
        above, below = spacing.gaps[0]
        yield (
            f"{quantity(spacing.missing, 'slice')} missing in {quantity(len(spacing.gaps), 'place')}, "
            f"first between {above:g} and {below:g} mm (step {spacing.step:g} mm); volumes go on across "
            f"up to {BRIDGED - 1} missing slices"
        )
    if spacing.uneven:
        above, below = spacing.uneven[0]
        yield (
            f"slices are uneven in {quantity(len(spacing.uneven), 'place')}, first between {above:g} "
            f"and {below:g} mm (usual step {spacing.step:g} mm); each counts for half the way to its "
            "neighbours"
        )
    thickness = slices[0].placement.thickness
    if spacing.step and thickness and spacing.step > 2 * thickness:
        yield (
            f"slices of {thickness:g} mm lie {spacing.step:g} mm apart; in volumes each counts for all "
            "of its step"
        )
    if len(_sizes(slices)) > 1 and _is_measured(slices):
        yield f"pixels of {_list_sizes(slices)}; each slice counts by its own"
    if unscaled := sum(not header.is_rescaled for header in slices):
        yield (
            f"{unscaled} of {quantity(len(slices), 'slice')} without RescaleSlope or RescaleIntercept; "
            "1 and 0 are used"
        )


def _sizes(slices: Sequence[SliceHeader]) -> Counter[str]:
    """Number of slices by their pixel size, to four digits."""
    return Counter(
        " x ".join(f"{side:.4g}" for side in header.placement.pixel) for header in slices
    )


def _list_sizes(slices: Sequence[SliceHeader]) -> str:
    return " and ".join(
        f"{size} mm ({quantity(count, 'slice')})" for size, count in _sizes(slices).items()
    )


def _is_measured(slices: Sequence[SliceHeader]) -> bool:
    """Whether the pixel sizes are plausible for a body, and in one unit."""
    sides = np.array([header.placement.pixel for header in slices])
    low, high = PLAUSIBLE_PIXEL_MM
    return bool(sides.min() >= low and sides.max() <= high and sides.max() < ONE_UNIT * sides.min())


def _series_name(header: SliceHeader) -> str:
    return f"{header.path.parent}, series {_title(header)}"


def _title(header: SliceHeader) -> str:
    """A name to show; the folder's, where no patient is named."""
    owner = header.patient or Path(os.path.abspath(header.path)).parent.name
    return owner if header.number is None else f"{owner}_series{header.number}"
