"""DICOM files sorted into series, each a scan; compressed pixels are decoded by GDCM."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import pydicom
from jaxtyping import Bool, Float

from mgajax.curation.archives.dicom import guarded, read_hounsfield
from mgajax.curation.archives.packed import SourceFile
from mgajax.errors import DataError
from mgajax.inference.geometry import Spacing, Turn, View, body_axis, spacing_of, view_of
from mgajax.inference.lesion_volume import write_lesion_volume
from mgajax.inference.problems import Problems
from mgajax.inference.scans import SAME_POSITION_MM, Kind, Plane, Write
from mgajax.inference.segmentation_object import write_segmentation


@dataclass(frozen=True, eq=False)
class Instance:
    """One slice's header.

    Attributes:
      path: its file.
      key: what slices of one series share: UID, size and directions.
      shape: rows and columns.
      patient, title: PatientID and a name for people.
      position: of the first pixel's centre.
      down, right: directions in which rows and columns are counted.
      pixel: distance of rows and of columns in mm.
      thickness: in mm; None where it is not told.
    """

    path: Path
    key: tuple[object, ...]
    shape: tuple[int, int]
    patient: str
    title: str
    position: Float[np.ndarray, "3"]
    down: Float[np.ndarray, "3"]
    right: Float[np.ndarray, "3"]
    pixel: tuple[float, float]
    thickness: float | None

    @property
    def head(self) -> Float[np.ndarray, "3"]:
        """The direction across the plane that points to the head."""
        normal = np.cross(self.right, self.down)
        return normal if normal[2] >= 0 else -normal

    @property
    def height(self) -> float:
        """Where the plane lies along `head`, in mm."""
        return float(self.position @ self.head)


@dataclass(frozen=True, eq=False)
class DicomScan:
    """A series of parallel axial slices, head first."""

    name: str
    patient: str
    instances: tuple[Instance, ...]
    view: View
    spacing: Spacing
    kind: Kind = "DICOM"

    @property
    def voxel_ml(self) -> float | None:
        """Pixel times the slices' distance, or the thickness of a single one."""
        first = self.instances[0]
        step = first.thickness if self.spacing.step is None else self.spacing.step
        return None if not step else first.pixel[0] * first.pixel[1] * step / 1000

    def __len__(self) -> int:
        return len(self.instances)

    def planes(self, problems: Problems) -> Iterator[Plane]:
        """See `Scan`."""
        for index, instance in enumerate(self.instances):
            path = instance.path
            try:
                values = read_hounsfield(SourceFile(PurePosixPath(path), path))
            except DataError as error:
                problems.note(str(error))
                continue
            yield Plane(index, path.name, self.view.show(values), "HU", position=instance.height)

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
        first = self.instances[0]
        thickness = self.spacing.step or first.thickness
        try:
            yield from write_segmentation(
                folder / "lesion.dcm",
                sources=[self.instances[index].path for index in packed],
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
                shape=first.shape,
                positions=np.stack([one.position for one in self.instances]),
                axes=np.stack([first.down * first.pixel[0], first.right * first.pixel[1]], axis=1),
                thickness=thickness,
            )
        except DataError as error:
            yield f"{refusal}; and no lesion.nii.gz: {error}; the masks are in lesion/*.png"
        else:
            yield f"{refusal}; the masks are in lesion.nii.gz and in lesion/*.png"


def find_series(paths: Sequence[Path], *, turn: Turn, problems: Problems) -> list[DicomScan]:
    """The series among DICOM files; what cannot be part of one is noted and left out."""
    instances = []
    for path in paths:
        try:
            instances.append(_instance(path))
        except DataError as error:
            problems.note(str(error))
    instances.sort(key=lambda one: repr(one.key))
    groups = [list(group) for _, group in itertools.groupby(instances, key=lambda one: one.key)]
    for folder, held in itertools.groupby(
        sorted(groups, key=lambda group: group[0].path.parent), key=lambda g: g[0].path.parent
    ):
        if (count := len(list(held))) > 1:
            problems.note(f"{folder}: {count} series in one folder; each is one scan", kind="odd")
    return [
        scan for group in groups if (scan := _scan(group, turn=turn, problems=problems)) is not None
    ]


def _scan(group: list[Instance], *, turn: Turn, problems: Problems) -> DicomScan | None:
    first = group[0]
    where = f"{first.path.parent}, series {first.title}"
    if body_axis(first.head) != 2:
        problems.note(f"{where}: {len(group)} slices that are not axial; give an axial series")
        return None
    kept: list[Instance] = []
    for instance in sorted(group, key=lambda one: (-one.height, one.path)):
        if kept and kept[-1].height - instance.height < SAME_POSITION_MM:
            problems.note(f"{instance.path}: lies where {kept[-1].path.name} does; it is left out")
        else:
            kept.append(instance)
    spacing = spacing_of(np.array([one.height for one in kept]))
    for oddity in _incomplete(spacing, thickness=first.thickness):
        problems.note(f"{where}: {oddity}", kind="odd")
    return DicomScan(
        name=first.title,
        patient=first.patient,
        instances=tuple(kept),
        view=view_of(first.down, first.right).turned(turn),
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


def _instance(path: Path) -> Instance:
    try:
        with path.open("rb") as file:
            return guarded(lambda: _header(file, path=path), where=str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _header(file: BinaryIO, *, path: Path) -> Instance:
    data = pydicom.dcmread(file, stop_before_pixels=True)
    _check(data, path=path)
    directions = np.array(data.ImageOrientationPatient, np.float64).reshape(2, 3)
    patient, number = str(data.get("PatientID") or "unknown"), data.get("SeriesNumber")
    pixel, thickness = data.PixelSpacing, data.get("SliceThickness")
    rounded = tuple(np.round(directions, 3).ravel().tolist())
    return Instance(
        path=path,
        key=(str(data.SeriesInstanceUID), int(data.Rows), int(data.Columns), rounded),
        shape=(int(data.Rows), int(data.Columns)),
        patient=patient,
        title=patient if number is None else f"{patient}_series{number}",
        position=np.array(data.ImagePositionPatient, np.float64),
        right=directions[0],
        down=directions[1],
        pixel=(float(pixel[0]), float(pixel[1])),
        thickness=None if thickness is None else float(thickness),
    )


def _check(data: pydicom.Dataset, *, path: Path) -> None:
    """Refuse what is no CT slice of a series."""
    modality = data.get("Modality", "none")
    if int(data.get("SamplesPerPixel", 1)) > 1:
        raise DataError(f"{path}: a colour picture (secondary capture), expected CT values")
    if modality != "CT":
        raise DataError(f"{path}: modality {modality}, expected CT")
    if int(data.get("NumberOfFrames", 1)) > 1:
        raise DataError(
            f"{path}: {data.NumberOfFrames} frames in one file; convert it to single frames"
        )
    if "LOCALIZER" in data.get("ImageType", ()):
        raise DataError(f"{path}: a localizer, no slice")
    for key in ("SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient"):
        if key not in data:
            raise DataError(f"{path}: no {key}, so that nobody knows where it lies in its series")
