"""Volumes stored as NIfTI, plane by plane in the orientation of the published set.

The published set turned every volume alike, `np.rot90(volume[:, :, k - 1])`, and counted slices
from 1. The affine is not looked at: the archives disagree about it, and the names would change.
"""

import gzip
import zlib
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Num, UInt8
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from mgajax.curation.archives.archive import Values
from mgajax.curation.archives.packed import SourceFile
from mgajax.errors import DataError

SUFFIXES = (".nii", ".nii.gz")
_GZIP = b"\x1f\x8b"
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    OverflowError,
    zlib.error,
    ImageFileError,
    HeaderDataError,
    WrapStructError,
)


@dataclass(frozen=True)
class Volume:
    """An opened NIfTI file; its planes are read from memory one at a time.

    Attributes:
      origin: where it was read, for messages.
      depth: number of planes.
      shape: of a plane as `plane` returns it.
      image: nibabel's.
    """

    origin: str
    depth: int
    shape: tuple[int, int]
    image: nib.Nifti1Image

    def plane(self, k: int) -> Num[np.ndarray, "h w"]:
        """Plane `k` (1-based) after the file's own scaling; integers stay integers without one.

        Raises:
          DataError: it holds values that are no numbers.
        """
        stored = np.asanyarray(self.image.dataobj[:, :, k - 1])
        values = np.rot90(stored.reshape(self.shape[::-1]))
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(f"{self.origin}: plane {k} holds values that are no finite numbers")
        return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))

    def unit(self) -> Values:
        """ "grey" where all values lie in 0..255, as in volumes somebody has rendered; else "HU"."""
        for k in range(1, self.depth + 1):
            plane = self.plane(k)
            if plane.min() < 0 or plane.max() > 255:
                return "HU"
        return "grey"


def is_nifti(file: SourceFile) -> bool:
    """Whether the file is called `.nii` or `.nii.gz`."""
    return file.name.lower().endswith(SUFFIXES)


def open_volume(file: SourceFile) -> Volume:
    """Open a volume of three dimensions; gzip is told by content, not by name.

    A slope or intercept of NaN, as MosMedData's masks have them, means no scaling (NIfTI-1).

    Raises:
      DataError: the file is truncated, no NIfTI, or has other than three dimensions.
    """
    content = file.read()
    try:
        if content[:2] == _GZIP:
            content = gzip.decompress(content)
        image = nib.Nifti1Image.from_bytes(content)
    except UNREADABLE as error:
        raise DataError(
            f"{file.origin}: no complete NIfTI volume ({error}); download it again"
        ) from error
    shape = checked_shape(image, held=len(content), origin=file.origin)
    return Volume(file.origin, depth=shape[2], shape=(shape[1], shape[0]), image=image)


def checked_shape(image: nib.Nifti1Image, *, held: int, origin: str) -> tuple[int, int, int]:
    """The three sides of a volume whose file, unpacked, holds `held` bytes.

    Raises:
      DataError: the file is cut off, or has other than three dimensions.
    """
    shape = tuple(int(side) for side in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or not all(shape):
        raise DataError(
            f"{origin}: dimensions {' x '.join(map(str, image.shape))}, expected three (columns, "
            "rows, slices); download it again"
        )
    proxy: Any = image.dataobj
    needed = int(proxy.offset) + int(np.prod(image.shape)) * proxy.dtype.itemsize
    if held < needed:
        raise DataError(f"{origin}: ends after {held:,} of {needed:,} bytes; download it again")
    return shape[0], shape[1], shape[2]


def open_mask(file: SourceFile, *, of: Volume) -> Volume:
    """Open the mask volume of `of`.

    Raises:
      DataError: as `open_volume`; or it has another size than its volume.
    """
    mask = open_volume(file)
    if (mask.shape, mask.depth) != (of.shape, of.depth):
        raise DataError(
            f"{file.origin}: {_size(mask)}, but {of.origin} is {_size(of)}; take both from one "
            "release"
        )
    return mask


def labelled(
    mask: Volume, k: int, *, labels: tuple[int, ...], known: tuple[int, ...]
) -> UInt8[np.ndarray, "h w"]:
    """Plane `k` of a label volume: 255 where it holds one of `labels`, else 0.

    Args:
      mask: a label volume.
      k: 1-based.
      labels: wanted.
      known: all that may occur, beside 0.

    Raises:
      DataError: it holds another value.
    """
    values = mask.plane(k)
    if not values.any():
        return np.zeros(values.shape, np.uint8)
    strange = values[~np.isin(values, (0, *known))]
    if strange.size:
        raise DataError(
            f"{mask.origin}: value {strange.min():g} in plane {k}; expected 0 and "
            f"{', '.join(map(str, known))}"
        )
    return np.where(np.isin(values, labels), np.uint8(255), np.uint8(0))


def _size(volume: Volume) -> str:
    return f"{volume.shape[1]} x {volume.shape[0]} x {volume.depth}"
