"""CT slices in DICOM: headers without pixels, and the pixels in Hounsfield units.

Compressed pixels (JPEG lossless in COVID-CT-MD) are decoded by pydicom through GDCM.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import Num

from mgajax.errors import DataError
from mgajax.imaging.geometry import Placement
from mgajax.imaging.reading import Result, Source, content_of, guarded

FAILURE, FIX = "no complete DICOM slice", "download it again"


@dataclass(frozen=True, eq=False)
class SliceHeader:
    """One CT slice before its pixels: whose it is, and where it lies.

    Attributes:
      path: its file.
      patient: PatientID; "" where nobody says.
      series: SeriesInstanceUID.
      number: SeriesNumber; None where it is not told.
      shape: rows and columns.
      placement: where its plane lies.
    """

    path: Path
    patient: str
    series: str
    number: str | None
    shape: tuple[int, int]
    placement: Placement


def read_slice_header(path: Path) -> SliceHeader:
    """The header of a CT slice.

    Raises:
      DataError: the file cannot be read, is no DICOM, is no CT slice, or does not say where it
        lies.
    """
    return read_header(path, name=str(path), take=lambda data: _slice_header(data, path=path))


def read_header(source: Source, *, name: str, take: Callable[[pydicom.Dataset], Result]) -> Result:
    """What `take` finds in a header; what follows it in the file may be damaged.

    Elements are converted when they are asked for, so `take` must ask for all that is wanted.

    Raises:
      DataError: the file cannot be read or is no DICOM, or `take` fails.
    """

    def read() -> Result:
        if isinstance(source, bytes):
            return take(pydicom.dcmread(io.BytesIO(source), stop_before_pixels=True))
        try:
            file = source.open("rb")
        except OSError as error:
            raise DataError(f"{name}: cannot be read ({error.strerror})") from error
        with file:
            return take(pydicom.dcmread(file, stop_before_pixels=True))

    return guarded(read, name=name, failure=FAILURE, fix=FIX)


def read_hounsfield(source: Source, *, name: str) -> Num[np.ndarray, "h w"]:
    """The pixels of one slice in Hounsfield units: stored values times slope plus intercept.

    int32 where slope and intercept are whole numbers, as scanners write them; else float32.

    Raises:
      DataError: the file is cut off or damaged, is compressed in a way that cannot be decoded, or
        holds more than one grey picture.
    """
    content = content_of(source, name=name)
    stored, slope, intercept = guarded(
        lambda: _stored(content), name=name, failure=FAILURE, fix=FIX
    )
    if stored.ndim != 2 or not stored.size:
        raise DataError(f"{name}: pixels of shape {stored.shape}, expected one grey slice [h, w]")
    if slope.is_integer() and intercept.is_integer():
        return stored.astype(np.int32) * int(slope) + int(intercept)
    return (stored * slope + intercept).astype(np.float32)


def _stored(content: bytes) -> tuple[np.ndarray, float, float]:
    """Stored values, rescale slope and rescale intercept."""
    data = pydicom.dcmread(io.BytesIO(content))
    slope, intercept = data.get("RescaleSlope", 1), data.get("RescaleIntercept", 0)
    return data.pixel_array, float(slope), float(intercept)


def _slice_header(data: pydicom.Dataset, *, path: Path) -> SliceHeader:
    _check(data, path=path)
    right, down = np.array(data.ImageOrientationPatient, np.float64).reshape(2, 3)
    number, pixel, thickness = (
        data.get("SeriesNumber"),
        data.PixelSpacing,
        data.get("SliceThickness"),
    )
    return SliceHeader(
        path=path,
        patient=str(data.get("PatientID") or "").strip(),
        series=str(data.SeriesInstanceUID),
        number=None if number is None else str(number),
        shape=(int(data.Rows), int(data.Columns)),
        placement=Placement(
            position=np.array(data.ImagePositionPatient, np.float64),
            down=down,
            right=right,
            pixel=(float(pixel[0]), float(pixel[1])),
            thickness=None if thickness is None else float(thickness),
        ),
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
