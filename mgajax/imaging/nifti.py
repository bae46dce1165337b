"""NIfTI volumes, plane by plane, with what their headers say of unit and geometry."""

import functools
import gzip
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float, Num

from mgajax.errors import DataError
from mgajax.imaging.geometry import NIFTI_TO_DICOM, View, view_of
from mgajax.imaging.reading import Source, content_of, guarded
from mgajax.imaging.windows import PixelUnit

SUFFIXES = (".nii", ".nii.gz")
GZIP = b"\x1f\x8b"
FAILURE, FIX = "no complete NIfTI volume", "download it again"


@dataclass(frozen=True)
class Orientation:
    """How a volume's voxels lie in the body.

    Attributes:
      axis: along the body.
      headwards: 1 where the planes across it are stored from feet to head, else -1.
      view: how such a plane is shown.
    """

    axis: int
    headwards: int
    view: View


@dataclass(frozen=True, eq=False)
class Volume:
    """An opened volume; its values are read one plane at a time.

    Attributes:
      name: of its file, for messages.
      shape: of the voxels.
      image: nibabel's.
    """

    name: str
    shape: tuple[int, int, int]
    image: nib.Nifti1Image

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """From voxels to millimetres right, front and up."""
        affine = self.image.affine
        assert affine is not None
        return affine

    @property
    def voxel_ml(self) -> float:
        """From the affine's determinant, right for sheared volumes too."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000

    @functools.cached_property
    def orientation(self) -> Orientation:
        """By the affine alone."""
        directions = NIFTI_TO_DICOM[:, None] * self.affine[:3, :3]
        axes = nib.orientations.io_orientation(self.affine)[:, 0]
        (axis,) = np.flatnonzero(axes == 2).tolist() or [2]
        down, right = (directions[:, other] for other in range(3) if other != axis)
        return Orientation(
            axis=axis,
            headwards=1 if directions[2, axis] >= 0 else -1,
            view=view_of(down / np.linalg.norm(down), right / np.linalg.norm(right)),
        )

    @functools.cached_property
    def unit(self) -> PixelUnit:
        """ "grey" where all values lie in 0..255, as in volumes somebody has rendered; else "HU".

        Most volumes tell it by their type or their first plane; only grey levels that are stored
        in more than eight bits are read to the end.
        """
        proxy: Any = self.image.dataobj
        if proxy.dtype == np.uint8 and (proxy.slope, proxy.inter) == (1.0, 0.0):
            return "grey"
        for index in range(self.shape[2]):
            plane = self.plane(index)
            if plane.min() < 0 or plane.max() > 255:
                return "HU"
        return "grey"

    def plane(self, index: int, *, axis: int = 2) -> Num[np.ndarray, "_ _"]:
        """A plane across `axis` after the file's own scaling; integers stay integers without one."""
        where = (*plane_at(index, axis=axis), *(0,) * (self.image.ndim - 3))
        values = np.asanyarray(self.image.dataobj[where])
        return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))


def open_volume(source: Source, *, name: str, unpacked: Path | None = None) -> Volume:
    """Open a volume of three dimensions; gzip is told by content, not by name.

    A slope or intercept of NaN, as MosMedData's masks have them, means no scaling (NIfTI-1).

    Args:
      source: a path is read as planes are asked for; bytes are held.
      name: for messages.
      unpacked: a folder for the unpacked copy of a packed file; without one it is unpacked in
        memory.

    Raises:
      DataError: the file cannot be read, is cut off, is no NIfTI, or has other than three
        dimensions.
    """
    if unpacked is None or isinstance(source, bytes):
        content = content_of(source, name=name)
        image, held = guarded(lambda: _from_bytes(content), name=name, failure=FAILURE, fix=FIX)
    else:
        image, held = guarded(
            lambda: _from_file(source, folder=unpacked, name=name),
            name=name,
            failure=FAILURE,
            fix=FIX,
        )
    return Volume(name, checked_shape(image, held=held, name=name), image)


def checked_shape(image: nib.Nifti1Image, *, held: int, name: str) -> tuple[int, int, int]:
    """The three sides of a volume whose file, unpacked, holds `held` bytes.

    Raises:
      DataError: the file is cut off, or has other than three dimensions.
    """
    shape = tuple(int(side) for side in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or not all(shape):
        raise DataError(
            f"{name}: dimensions {' x '.join(map(str, image.shape))}, expected three (columns, "
            f"rows, slices); {FIX}"
        )
    proxy: Any = image.dataobj
    needed = int(proxy.offset) + int(np.prod(image.shape)) * proxy.dtype.itemsize
    if held < needed:
        raise DataError(f"{name}: ends after {held:,} of {needed:,} bytes; {FIX}")
    return shape[0], shape[1], shape[2]


def plane_at(index: int, *, axis: int) -> tuple[int | slice, ...]:
    """Where the plane `index` across `axis` lies in an array of three dimensions."""
    return tuple(index if other == axis else slice(None) for other in range(3))


def _from_bytes(content: bytes) -> tuple[nib.Nifti1Image, int]:
    plain = gzip.decompress(content) if content[:2] == GZIP else content
    return nib.Nifti1Image.from_bytes(plain), len(plain)


def _from_file(path: Path, *, folder: Path, name: str) -> tuple[nib.Nifti1Image, int]:
    try:
        plain = _unpacked(path, folder=folder)
        return nib.Nifti1Image.from_filename(plain), plain.stat().st_size
    except OSError as error:
        if error.strerror is None:  # gzip's own
            raise
        raise DataError(f"{name}: cannot be read ({error.strerror})") from error


def _unpacked(path: Path, *, folder: Path) -> Path:
    """The file, or a copy for nibabel, which goes by names: of packed ones, and of wrongly named ones."""
    with path.open("rb") as file:
        is_packed = file.read(len(GZIP)) == GZIP
    if not is_packed and path.suffix.lower() != ".gz":
        return path
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".nii", delete=False) as target:
        with gzip.open(path) if is_packed else path.open("rb") as source:
            shutil.copyfileobj(source, target)
        return Path(target.name)
