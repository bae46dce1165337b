"""DICOM files sorted into series, each a scan."""

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from mgajax.errors import DataError
from mgajax.imaging.dicom import SliceHeader, read_hounsfield, read_slice_header
from mgajax.imaging.geometry import Spacing, Turn, View, body_axis, spacing_of, view_of
from mgajax.inference.lesion_volume import write_lesion_volume
from mgajax.inference.problems import Problems
from mgajax.inference.scans import SAME_POSITION_MM, Kind, Plane, Write
from mgajax.inference.segmentation_object import write_segmentation


@dataclass(frozen=True, eq=False)
class DicomScan:
    """A series of parallel axial slices, head first."""

    name: str
    patient: str
    slices: tuple[SliceHeader, ...]
    view: View
    spacing: Spacing
    kind: Kind = "DICOM"

    @property
    def source(self) -> Path:
        """The folder of its first file."""
        return self.slices[0].path.parent

    @property
    def voxel_ml(self) -> float | None:
        """Pixel times the slices' distance, or the thickness of a single one."""
        first = self.slices[0].placement
        step = first.thickness if self.spacing.step is None else self.spacing.step
        return None if not step else first.pixel[0] * first.pixel[1] * step / 1000

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
                position=header.placement.height,
                voxel_ml=self.voxel_ml,
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


def find_series(paths: Sequence[Path], *, turn: Turn, problems: Problems) -> list[DicomScan]:
    """The series among DICOM files; what cannot be part of one is noted and left out."""
    headers = []
    for path in paths:
        try:
            headers.append(read_slice_header(path))
        except DataError as error:
            problems.note(str(error))
    alike: dict[tuple[object, ...], list[SliceHeader]] = {}
    for header in headers:
        alike.setdefault(_shared(header), []).append(header)
    groups = list(alike.values())
    for folder, held in itertools.groupby(
        sorted(groups, key=lambda group: group[0].path.parent), key=lambda g: g[0].path.parent
    ):
        if (count := len(list(held))) > 1:
            problems.note(f"{folder}: {count} series in one folder; each is one scan", kind="odd")
    scans = []
    for group in groups:
        with problems.guarded(f"{group[0].path.parent}, series {_title(group[0])}"):
            scan = _scan(group, turn=turn, problems=problems)
            scans += [] if scan is None else [scan]
    return scans


def _scan(group: list[SliceHeader], *, turn: Turn, problems: Problems) -> DicomScan | None:
    first = group[0]
    where = f"{first.path.parent}, series {_title(first)}"
    if body_axis(first.placement.head) != 2:
        problems.note(f"{where}: {len(group)} slices that are not axial; give an axial series")
        return None
    kept: list[SliceHeader] = []
    for header in sorted(group, key=lambda one: (-one.placement.height, one.path)):
        above = kept[-1] if kept else None
        if above and above.placement.height - header.placement.height < SAME_POSITION_MM:
            problems.note(f"{header.path}: lies where {above.path.name} does; it is left out")
        else:
            kept.append(header)
    spacing = spacing_of(np.array([one.placement.height for one in kept]))
    for oddity in _incomplete(spacing, thickness=first.placement.thickness):
        problems.note(f"{where}: {oddity}", kind="odd")
    return DicomScan(
        name=_title(first),
        patient=first.patient,
        slices=tuple(kept),
        view=view_of(first.placement.down, first.placement.right).turned(turn),
        spacing=spacing,
    )


def _incomplete(spacing: Spacing, *, thickness: float | None) -> Iterator[str]:
    """What tells that slices are missing: gaps, or slices much farther apart than thick."""
    if spacing.gaps:
        above, below = spacing.gaps[0]
        yield (
            f"{spacing.missing} slices are missing in {len(spacing.gaps)} places, the first between "
            f"{above:g} and {below:g} mm (step {spacing.step:g} mm); volumes leave them out"
        )
    if spacing.step and thickness and spacing.step > 2 * thickness:
        yield (
            f"slices of {thickness:g} mm lie {spacing.step:g} mm apart; volumes take each for all of "
            "its step"
        )


def _shared(header: SliceHeader) -> tuple[object, ...]:
    """What slices of one series share: UID, size and directions."""
    directions = np.stack([header.placement.right, header.placement.down])
    return header.series, *header.shape, tuple(np.round(directions, 3).ravel().tolist())


def _title(header: SliceHeader) -> str:
    """A name for people; the folder's, where nobody says whose it is."""
    whose = header.patient or Path(os.path.abspath(header.path)).parent.name
    return whose if header.number is None else f"{whose}_series{header.number}"
