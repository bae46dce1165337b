"""NIfTI volumes, shown by their affine, with masks under the same affine.

Masks and other label maps that lie beside the volume they label are no patients, and are left out.
"""

import functools
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np
from jaxtyping import Bool

from mgajax.errors import quantity
from mgajax.files import naming_file
from mgajax.imaging.geometry import Turn, View
from mgajax.imaging.nifti import (
    NIFTI_2_LENGTH,
    SUFFIXES,
    Volume,
    fill_with_air,
    open_volume,
    plane_at,
)
from mgajax.inference.problems import RESEARCH_USE, Problems
from mgajax.inference.scans import Plane, ScanKind, WriteMask

MOST_LABELS = 128
"""Different values of a label map; TotalSegmentator's have up to 118."""

LARGEST_LABEL = 255


@dataclass(frozen=True, eq=False)
class NiftiScan:
    """A volume whose values are read plane by plane from the file.

    Attributes:
      source: the file.
      volume: opened from it.
      view: how its planes are shown.
    """

    name: str
    patient: str
    source: Path
    volume: Volume
    view: View
    kind: ScanKind = "NIfTI"

    def __len__(self) -> int:
        return self.volume.shape[self.volume.orientation.axis]

    def planes(self, problems: Problems) -> Iterator[Plane]:
        """See `Scan`."""
        volume, orientation = self.volume, self.volume.orientation
        for oddity in volume.geometry.oddities:
            problems.note(f"{self.source}: {oddity}", kind="odd")
        filled_planes = 0
        origin, step = volume.affine[2, 3], volume.affine[2, orientation.axis]
        for index in range(len(self))[:: -orientation.headwards]:
            values = volume.plane(index, axis=orientation.axis)
            if not np.isfinite(values).all():
                filled_planes += 1
                values = fill_with_air(values, unit=volume.unit)
            yield Plane(
                index,
                f"{self.source.name}:{index + 1}",
                self.source,
                self.view.show(values),
                volume.unit,
                position=float(origin + index * step),
                voxel_ml=volume.geometry.voxel_ml,
            )
        if filled_planes:
            problems.note(
                f"{self.source}: {filled_planes} of {quantity(len(self), 'plane')} with values that "
                "are no numbers; these count as air",
                kind="odd",
            )

    @contextmanager
    def masks(self, folder: Path, problems: Problems) -> Iterator[WriteMask]:
        """`lesion.nii.gz`: uint8, 1 in the lesion, of the volume's shape, under its own header."""
        source, axis = self.volume, self.volume.orientation.axis
        with tempfile.TemporaryFile(dir=folder) as file:  # in memory it would have no bound
            _reserve(file, size=math.prod(source.shape), folder=folder)
            lesions = np.memmap(file, np.uint8, "w+", shape=source.shape, order="F")

            def write(plane: Plane, lesion: Bool[np.ndarray, "h w"]) -> None:
                lesions[plane_at(plane.index, axis=axis)] = self.view.store(lesion)

            yield write
            header = source.image.header
            single = nib.Nifti2Image if header["sizeof_hdr"] == NIFTI_2_LENGTH else nib.Nifti1Image
            mask = single(lesions, None, header, dtype=np.uint8)
            mask.header["descrip"] = RESEARCH_USE.encode()
            mask.header["cal_min"], mask.header["cal_max"] = 0, 1
            with naming_file(folder / "lesion.nii.gz"):
                nib.save(mask, folder / "lesion.nii.gz")


def _reserve(file: IO[bytes], *, size: int, folder: Path) -> None:
    """Take disk space for a file: a full disk would otherwise kill a process that writes to its map."""
    if hasattr(os, "posix_fallocate"):
        with naming_file(folder):
            os.posix_fallocate(file.fileno(), 0, size)


def open_scan(path: Path, *, unpacked: Path, turn: Turn) -> NiftiScan:
    """Open a volume.

    Args:
      path: the file, of `SUFFIXES`.
      unpacked: a folder for the unpacked copy of a packed file, so that planes can be read in any
        order without the whole volume in memory.
      turn: in addition to the affine.

    Raises:
      DataError: the file cannot be read, is cut off, or has other than three dimensions.
    """
    volume = open_volume(path, name=str(path), unpacked=unpacked)
    view = volume.orientation.view.turned(turn)
    return NiftiScan(name=stem(path), patient="", source=path, volume=volume, view=view)


def stem(path: Path) -> str:
    """The file's name without `.nii`, `.nii.gz` or `.hdr`."""
    suffix = next(
        (suffix for suffix in sorted(SUFFIXES, reverse=True) if path.name.endswith(suffix)), ""
    )
    return path.name.removesuffix(suffix)


def drop_label_maps(scans: Sequence[NiftiScan], *, problems: Problems) -> list[NiftiScan]:
    """The volumes without label maps, each of which is noted.

    A label map holds nothing but a few different integers, and a volume of its shape that holds more
    lies in the same folder, or in the one above.
    """
    holds_labels = functools.cache(lambda scan: _holds_labels(scan.volume))
    volumes = []
    for scan in scans:
        neighbours = [other for other in scans if _is_beside(other, scan)]
        labelled = [other for other in neighbours if holds_labels(scan) and not holds_labels(other)]
        if labelled:
            line = f"{scan.source}: labels of {labelled[0].source.name}, no patient"
            problems.note(line, kind="passed over")
        else:
            volumes.append(scan)
    return volumes


def _is_beside(other: NiftiScan, scan: NiftiScan) -> bool:
    """Whether `scan` could be a label map of `other`, by its folder and shape."""
    folders = [Path(os.path.abspath(volume.source)).parent for volume in (other, scan)]
    return (
        other is not scan
        and folders[0] in (folders[1], folders[1].parent)
        and other.volume.shape == scan.volume.shape
    )


def _holds_labels(volume: Volume) -> bool:
    labels: set[float] = set()
    for index in range(volume.shape[2]):
        values = np.unique(volume.plane(index))
        if not (values[0] >= 0 and values[-1] <= LARGEST_LABEL and (values % 1 == 0).all()):
            return False
        labels |= set(values.tolist())
        if len(labels) > MOST_LABELS:
            return False
    return True
