"""The slices of any file: upright, in eight bits, rendered like the published set."""

import functools
import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Num, UInt8

from mgajax.errors import DataError
from mgajax.imaging.file_kinds import FileKind, file_kind
from mgajax.imaging.geometry import body_axis, view_of
from mgajax.imaging.pictures import decode_picture
from mgajax.imaging.reading import guard
from mgajax.imaging.windows import PixelUnit, range_of, to_8_bit

ALONG = 2
"""The axis of the body across which axial slices lie; see `geometry.body_axis`."""

LIBRARIES = {FileKind.DICOM: "pydicom", FileKind.NIFTI: "nibabel"}
"""What a kind is read with, of the extra `predict`: imported where such a file is read, not before."""


@dataclass(frozen=True, eq=False)
class FileSlice:
    """One slice of a file.

    Attributes:
      pixels: grey levels.
      plane: its number in a volume, from 1; 0 for a file of one slice.
      patient: of the DICOM header; '' where unknown.
    """

    pixels: UInt8[np.ndarray, "h w"]
    plane: int = 0
    patient: str = ""


def slices_of_file(path: Path) -> Iterator[FileSlice]:
    """The slices of a picture (one), a DICOM file (one) or a NIfTI volume (its planes, as stored).

    Hounsfield units are stretched from each slice's minimum to its maximum. Slices are turned as the
    file's geometry says, pictures by their EXIF orientation.

    Raises:
      DataError: the file cannot be read, is of none of these kinds, or is no axial slice.
    """
    try:
        kind = file_kind(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if (library := LIBRARIES.get(kind)) and importlib.util.find_spec(library) is None:
        raise DataError(f"{path}: {library} is not installed; pip install 'mgajax[predict]'")
    if kind is FileKind.PICTURE:
        yield FileSlice(decode_picture(path, name=str(path)).pixels)
    elif kind is FileKind.DICOM:
        yield _read_dicom_slice(path)
    elif kind is FileKind.NIFTI:
        yield from _read_planes(path)
    else:
        raise DataError(f"{path}: expected a picture, DICOM or NIfTI")


def _read_dicom_slice(path: Path) -> FileSlice:
    from mgajax.imaging.dicom import read_hounsfield, read_slice_header

    header = read_slice_header(path)
    placement = header.placement
    if body_axis(placement.head) != ALONG:
        raise DataError(f"{path}: not axial; give an axial slice")
    view = view_of(placement.down, placement.right)
    values = view.show(read_hounsfield(path, name=str(path)))
    return FileSlice(_render(values, unit="HU"), patient=header.patient)


def _read_planes(path: Path) -> Iterator[FileSlice]:
    from mgajax.imaging.nifti import fill_with_air, open_volume

    with tempfile.TemporaryDirectory() as unpacked:
        volume = open_volume(path, name=str(path), unpacked=Path(unpacked))
        orientation = volume.orientation
        for index in range(volume.shape[orientation.axis]):
            stored = guard(
                functools.partial(volume.plane, index, axis=orientation.axis),
                name=str(path),
                failure=f"plane {index + 1} cannot be read",
                fix="replace the file",
            )
            values = orientation.view.show(fill_with_air(stored, unit=volume.unit))
            yield FileSlice(_render(values, unit=volume.unit), plane=index + 1)


def _render(values: Num[np.ndarray, "h w"], *, unit: PixelUnit) -> UInt8[np.ndarray, "h w"]:
    """Eight bits unchanged; other values stretched from minimum to maximum."""
    if values.dtype == np.uint8:
        return values
    limits = range_of(values, unit=unit, window=None)
    return to_8_bit(values, low=limits.low, high=limits.high)
