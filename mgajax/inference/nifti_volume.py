"""NIfTI volumes, shown by their affine, with masks under the same affine."""

import functools
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Num

from mgajax.curation.archives.archive import Values
from mgajax.curation.archives.nifti import SUFFIXES, UNREADABLE, checked_shape
from mgajax.errors import DataError
from mgajax.inference.geometry import Turn, View, view_of
from mgajax.inference.problems import RESEARCH_USE, Problems
from mgajax.inference.scans import Kind, Plane, Write

TO_LPS = np.array([-1.0, -1.0, 1.0])
"""NIfTI's x and y run to the patient's right and front, ours to the left and back."""


@dataclass(frozen=True, eq=False)
class NiftiScan:
    """A volume whose values are read plane by plane from the file.

    Attributes:
      file: what was given.
      image: nibabel's, over the unpacked file.
      shape: of the voxels.
      axis: along the body.
      headwards: 1 where the planes are stored from feet to head, else -1.
    """

    name: str
    patient: str
    file: Path
    image: nib.Nifti1Image
    shape: tuple[int, int, int]
    axis: int
    headwards: int
    view: View
    kind: Kind = "NIfTI"

    @property
    def voxel_ml(self) -> float:
        """From the affine's determinant, right for sheared volumes too."""
        return float(abs(np.linalg.det(self._affine[:3, :3]))) / 1000

    @property
    def _affine(self) -> Float[np.ndarray, "4 4"]:
        affine = self.image.affine
        assert affine is not None
        return affine

    def __len__(self) -> int:
        return self.shape[self.axis]

    @functools.cached_property
    def unit(self) -> Values:
        """ "grey" where all values lie in 0..255, as in volumes somebody has rendered; else "HU"."""
        for index in range(len(self)):
            stored = self._stored(index)
            if stored.min() < 0 or stored.max() > 255:
                return "HU"
        return "grey"

    def planes(self, problems: Problems) -> Iterator[Plane]:
        """See `Scan`."""
        first, step = self._affine[2, 3], self._affine[2, self.axis]
        for index in range(len(self))[:: -self.headwards]:
            stored = self._stored(index)
            if not np.isfinite(stored).all():
                problems.note(f"{self.file}: plane {index + 1} holds values that are no numbers")
                continue
            yield Plane(
                index,
                f"{self.file.name}:{index + 1}",
                self.view.show(stored),
                self.unit,
                position=float(first + index * step),
            )

    @contextmanager
    def masks(self, folder: Path, problems: Problems) -> Iterator[Write]:
        """`lesion.nii.gz`: uint8, 1 in the lesion, of the volume's shape and affine."""
        with tempfile.TemporaryFile(dir=folder) as file:  # not in memory, which would be unbounded
            volume = np.memmap(file, np.uint8, "w+", shape=self.shape, order="F")

            def write(plane: Plane, lesion: Bool[np.ndarray, "h w"]) -> None:
                volume[_at(plane.index, axis=self.axis)] = self.view.store(lesion)

            yield write
            mask = nib.Nifti1Image(volume, self._affine, self.image.header, dtype=np.uint8)
            mask.header["descrip"] = RESEARCH_USE.encode()
            mask.header["cal_min"], mask.header["cal_max"] = 0, 1
            nib.save(mask, folder / "lesion.nii.gz")

    def _stored(self, index: int) -> Num[np.ndarray, "_ _"]:
        where = (*_at(index, axis=self.axis), *(0,) * (self.image.ndim - 3))
        values = np.asanyarray(self.image.dataobj[where])
        return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))


def open_scan(path: Path, *, unpacked: Path, turn: Turn) -> NiftiScan:
    """Open a volume.

    Args:
      path: the file, of `SUFFIXES`; gzip is told by content.
      unpacked: a folder for the unpacked copy of a packed file, so that planes can be read in any
        order without the whole volume in memory.
      turn: beside what the affine says.

    Raises:
      DataError: the file cannot be read, is cut off, or has other than three dimensions.
    """
    try:
        plain = _unpacked(path, folder=unpacked)
        image = nib.Nifti1Image.from_filename(plain)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (*UNREADABLE, zlib.error) as error:
        raise DataError(f"{path}: no complete NIfTI volume ({error})") from error
    shape = checked_shape(image, held=plain.stat().st_size, origin=str(path))
    directions = TO_LPS[:, None] * image.affine[:3, :3]
    axes = nib.orientations.io_orientation(image.affine)[:, 0]
    (axis,) = np.flatnonzero(axes == 2).tolist() or [2]
    down, right = (directions[:, other] for other in range(3) if other != axis)
    return NiftiScan(
        name=stem(path),
        patient=stem(path),
        file=path,
        image=image,
        shape=shape,
        axis=axis,
        headwards=1 if directions[2, axis] >= 0 else -1,
        view=view_of(down / np.linalg.norm(down), right / np.linalg.norm(right)).turned(turn),
    )


def stem(path: Path) -> str:
    """The file's name without `.nii` or `.nii.gz`."""
    suffix = next((one for one in sorted(SUFFIXES, reverse=True) if path.name.endswith(one)), "")
    return path.name.removesuffix(suffix)


def _unpacked(path: Path, *, folder: Path) -> Path:
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return path
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".nii", delete=False) as target:
        with gzip.open(path) as source:
            shutil.copyfileobj(source, target)
        return Path(target.name)


def _at(index: int, *, axis: int) -> tuple[int | slice, ...]:
    return tuple(index if other == axis else slice(None) for other in range(3))
