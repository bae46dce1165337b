"""Volumes stored as NIfTI, plane by plane in the orientation of the published set.

The published set turned every volume alike, `np.rot90(volume[:, :, k - 1])`, and counted slices
from 1. The affine is ignored: the archives disagree about it, and the names would change.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Num, UInt8

from mgajax.curation.archives.packed import SourceFile
from mgajax.errors import DataError
from mgajax.imaging import nifti
from mgajax.imaging.windows import PixelUnit

FIX = "download it again"


@dataclass(frozen=True)
class ArchiveVolume:
    """A volume of an archive, held in memory.

    Attributes:
      volume: as stored.
    """

    volume: nifti.Volume

    @property
    def origin(self) -> str:
        """Its file, for messages."""
        return self.volume.name

    @property
    def depth(self) -> int:
        """Number of planes."""
        return self.volume.shape[2]

    @property
    def shape(self) -> tuple[int, int]:
        """Of a plane as `plane` returns it."""
        return self.volume.shape[1], self.volume.shape[0]

    @property
    def unit(self) -> PixelUnit:
        """See `imaging.nifti.Volume`."""
        return self.volume.unit

    def plane(self, k: int) -> Num[np.ndarray, "h w"]:
        """Plane `k` (1-based) with the file's scaling applied; integers stay integers without one.

        Raises:
          DataError: it holds values that are no numbers.
        """
        values = np.rot90(self.volume.plane(k - 1))
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(f"{self.origin}: plane {k} holds values that are no finite numbers")
        return np.ascontiguousarray(values)


def open_volume(file: SourceFile) -> ArchiveVolume:
    """Open a volume of three dimensions; gzip is recognised by content, not by name.

    Raises:
      DataError: the file is truncated, no NIfTI, or has other than three dimensions.
    """
    return ArchiveVolume(nifti.open_volume(file.read(), name=file.origin, fix=FIX))


def open_mask(file: SourceFile, *, of: ArchiveVolume) -> ArchiveVolume:
    """Open the mask volume of `of`.

    Raises:
      DataError: as `open_volume`; or it has another size than its volume.
    """
    mask = open_volume(file)
    if mask.volume.shape != of.volume.shape:
        raise DataError(
            f"{file.origin}: {_size(mask)}, but {of.origin} is {_size(of)}; take both from one "
            "release"
        )
    return mask


def binary_plane(
    mask: ArchiveVolume, k: int, *, labels: tuple[int, ...], known: tuple[int, ...]
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


def _size(volume: ArchiveVolume) -> str:
    return " x ".join(map(str, volume.volume.shape))
