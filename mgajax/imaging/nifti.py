"""NIfTI volumes, plane by plane, with what their headers say of unit and geometry."""

import errno
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
from mgajax.imaging.file_kinds import GZIP
from mgajax.imaging.geometry import NIFTI_TO_DICOM, View, view_of
from mgajax.imaging.nifti_geometry import Geometry, geometry_of
from mgajax.imaging.reading import Source, content_of, guard
from mgajax.imaging.windows import PixelUnit

SUFFIXES = (".nii", ".nii.gz", ".hdr")
FAILURE, FIX = "no complete NIfTI volume", "replace the file"

PAIR = b"ni"
"""Start of the magic word of a header whose voxels are in a file of their own."""

NIFTI_2_LENGTH = 540
"""The length of a NIfTI-2 header, as its first four bytes state it."""


AIR_HU = -1024
"""Of voxels outside of the field of view."""


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
    image: nib.Nifti1Pair

    @functools.cached_property
    def geometry(self) -> Geometry:
        """What the header says, as far as it can be believed."""
        return geometry_of(self.image.header)

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """From voxels to millimetres right, front and up."""
        return self.geometry.affine

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
        """ "grey" where all values lie in 0..255, as in volumes already rendered; else "HU".

        The type or the first plane decides for most volumes; only grey levels stored in more than
        eight bits are read to the end.
        """
        proxy: Any = self.image.dataobj
        if proxy.dtype == np.uint8 and (proxy.slope, proxy.inter) == (1.0, 0.0):
            return "grey"
        for index in range(self.shape[2]):
            plane = self.plane(index)
            if (plane < 0).any() or (plane > 255).any():
                return "HU"
        return "grey"

    def plane(self, index: int, *, axis: int = 2) -> Num[np.ndarray, "_ _"]:
        """A plane across `axis` with the file's scaling applied; integers stay integers without one."""
        selection = (*plane_at(index, axis=axis), *(0,) * (self.image.ndim - 3))
        values = np.asanyarray(self.image.dataobj[selection])
        return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))


def open_volume(
    source: Source, *, name: str, unpacked: Path | None = None, fix: str = FIX
) -> Volume:
    """Open a volume of three dimensions; gzip is recognised by content, not by name.

    NIfTI-1 and -2, in one file; by a path also a pair of header (`.hdr`) and voxels (`.img`).

    A slope or intercept of NaN, as in MosMedData's masks, means no scaling (NIfTI-1).

    Args:
      source: planes of a path are read when needed; bytes stay in memory.
      name: for messages.
      unpacked: a folder for the unpacked copy of a packed file; without one it is unpacked in
        memory.
      fix: what to do where it is no volume.

    Raises:
      DataError: the file cannot be read, is cut off, is no NIfTI, has other than three dimensions,
        or other than one number a voxel.
    """
    if unpacked is None or isinstance(source, bytes):
        content = content_of(source, name=name)
        image: nib.Nifti1Pair
        image, size = guard(lambda: _from_bytes(content), name=name, failure=FAILURE, fix=fix)
    else:
        image, size = guard(
            lambda: _from_file(source, folder=unpacked, name=name),
            name=name,
            failure=FAILURE,
            fix=fix,
        )
    return Volume(name, check_shape(image, size=size, name=name, fix=fix), image)


def check_shape(image: nib.Nifti1Pair, *, size: int, name: str, fix: str) -> tuple[int, int, int]:
    """The three sides of a volume whose file of voxels has `size` bytes, unpacked.

    Raises:
      DataError: the file is cut off, has other than three dimensions, or other than one number a
        voxel.
    """
    shape = tuple(int(side) for side in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or not all(shape):
        raise DataError(
            f"{name}: dimensions {' x '.join(map(str, image.shape))}, expected three (columns, "
            f"rows, slices) of one scan; give each scan as a file of its own"
        )
    proxy: Any = image.dataobj
    if proxy.dtype.kind not in "biuf":
        kind = "a colour picture (RGB)" if proxy.dtype.fields else f"of type {proxy.dtype}"
        raise DataError(f"{name}: {kind}, expected one number a voxel; give the CT volume itself")
    expected = int(proxy.offset) + int(np.prod(image.shape)) * proxy.dtype.itemsize
    if size < expected:
        raise DataError(f"{name}: ends after {size:,} of {expected:,} bytes; {fix}")
    return shape[0], shape[1], shape[2]


def fill_with_air(plane: Num[np.ndarray, "_ _"], *, unit: PixelUnit) -> Num[np.ndarray, "_ _"]:
    """A plane with air where its values are no numbers, outside of the field of view."""
    is_finite = np.isfinite(plane)
    if is_finite.all():
        return plane
    darkest = AIR_HU if unit == "HU" or not is_finite.any() else plane[is_finite].min()
    return np.where(is_finite, plane, darkest).astype(plane.dtype)


def plane_at(index: int, *, axis: int) -> tuple[int | slice, ...]:
    """Where the plane `index` across `axis` lies in an array of three dimensions."""
    return tuple(index if other == axis else slice(None) for other in range(3))


def _from_bytes(content: bytes) -> tuple[nib.Nifti1Image, int]:
    plain = gzip.decompress(content) if content[:2] == GZIP else content
    return _single_file_class(plain[:NIFTI_2_LENGTH]).from_bytes(plain), len(plain)


def _single_file_class(head: bytes) -> type[nib.Nifti1Image]:
    """The class of a volume in one file."""
    return nib.Nifti2Image if NIFTI_2_LENGTH in _stated_lengths(head) else nib.Nifti1Image


def _stated_lengths(head: bytes) -> set[int]:
    """The length that a header states, in both byte orders."""
    return {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}


def _from_file(path: Path, *, folder: Path, name: str) -> tuple[nib.Nifti1Pair, int]:
    try:
        plain = _unpack(path, folder=folder)
        with plain.open("rb") as file:
            head = file.read(NIFTI_2_LENGTH)
        is_second = NIFTI_2_LENGTH in _stated_lengths(head)
        if not head[4 if is_second else 344 :].startswith(PAIR):
            return _single_file_class(head).from_filename(plain), plain.stat().st_size
        voxels = _unpack(_find_voxels(path, name=name), folder=folder)
        files = {"header": nib.FileHolder(str(plain)), "image": nib.FileHolder(str(voxels))}
        pair = nib.Nifti2Pair if is_second else nib.Nifti1Pair
        return pair.from_file_map(files), voxels.stat().st_size
    except OSError as error:
        if error.strerror is None:  # gzip's own
            raise
        raise DataError(f"{name}: cannot be read ({error.strerror})") from error


def _find_voxels(header: Path, *, name: str) -> Path:
    """The file of a pair that holds the voxels.

    Raises:
      DataError: it is not beside the header.
    """
    stem = header.name.removesuffix(".gz").removesuffix(".GZ")[: -len(".hdr")]
    for suffix in (".img", ".img.gz", ".IMG"):
        path = header.with_name(stem + suffix)
        if path.exists():
            return path
    raise DataError(
        f"{name}: the header of a pair, and no {stem}.img beside it; put the voxels there"
    )


def _unpack(path: Path, *, folder: Path) -> Path:
    """The path of the plain file. A packed or wrongly named file is copied: nibabel goes by names."""
    with path.open("rb") as file:
        is_packed = file.read(len(GZIP)) == GZIP
    if not is_packed and path.suffix.lower() != ".gz":
        return path
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".nii", delete=False) as target:
        with gzip.open(path) if is_packed else path.open("rb") as source:
            try:
                shutil.copyfileobj(source, target)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                raise DataError(
                    f"{path}: no space to unpack it in {folder}; free some, or unpack it yourself"
                ) from error
        return Path(target.name)
