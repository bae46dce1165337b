"""NIfTI volumes, shown by their affine, with masks under the same affine."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Bool

from mgajax.imaging.geometry import Turn, View
from mgajax.imaging.nifti import (
    NIFTI_2_LENGTH,
    SUFFIXES,
    Volume,
    filled,
    open_volume,
    plane_at,
)
from mgajax.inference.problems import RESEARCH_USE, Problems
from mgajax.inference.scans import Plane, ScanKind, Write


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
        incomplete = 0
        first, step = volume.affine[2, 3], volume.affine[2, orientation.axis]
        for index in range(len(self))[:: -orientation.headwards]:
            stored = volume.plane(index, axis=orientation.axis)
            if not np.isfinite(stored).all():
                incomplete += 1
                stored = filled(stored, unit=volume.unit)
            yield Plane(
                index,
                f"{self.source.name}:{index + 1}",
                self.source,
                self.view.show(stored),
                volume.unit,
                position=float(first + index * step),
                voxel_ml=volume.geometry.voxel_ml,
            )
        if incomplete:
            problems.note(
                f"{self.source}: {incomplete} of {len(self)} planes hold values that are no numbers; "
                "they are taken for air",
                kind="odd",
            )

    @contextmanager
    def masks(self, folder: Path, problems: Problems) -> Iterator[Write]:
        """`lesion.nii.gz`: uint8, 1 in the lesion, of the volume's shape, under its own header."""
        source, axis = self.volume, self.volume.orientation.axis
        with tempfile.TemporaryFile(dir=folder) as file:  # not in memory, which would be unbounded
            lesions = np.memmap(file, np.uint8, "w+", shape=source.shape, order="F")

            def write(plane: Plane, lesion: Bool[np.ndarray, "h w"]) -> None:
                lesions[plane_at(plane.index, axis=axis)] = self.view.store(lesion)

            yield write
            header = source.image.header
            single = nib.Nifti2Image if header["sizeof_hdr"] == NIFTI_2_LENGTH else nib.Nifti1Image
            mask = single(lesions, None, header, dtype=np.uint8)
            mask.header["descrip"] = RESEARCH_USE.encode()
            mask.header["cal_min"], mask.header["cal_max"] = 0, 1
            nib.save(mask, folder / "lesion.nii.gz")


def open_scan(path: Path, *, unpacked: Path, turn: Turn) -> NiftiScan:
    """Open a volume.

    Args:
      path: the file, of `SUFFIXES`.
      unpacked: a folder for the unpacked copy of a packed file, so that planes can be read in any
        order without the whole volume in memory.
      turn: beside what the affine says.

    Raises:
      DataError: the file cannot be read, is cut off, or has other than three dimensions.
    """
    volume = open_volume(path, name=str(path), unpacked=unpacked)
    view = volume.orientation.view.turned(turn)
    return NiftiScan(name=stem(path), patient="", source=path, volume=volume, view=view)


def stem(path: Path) -> str:
    """The file's name without `.nii`, `.nii.gz` or `.hdr`."""
    suffix = next((one for one in sorted(SUFFIXES, reverse=True) if path.name.endswith(one)), "")
    return path.name.removesuffix(suffix)
