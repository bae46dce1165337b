"""CT slices in DICOM: headers without pixels, and the pixels in Hounsfield units.

Compressed pixels (JPEG lossless in COVID-CT-MD) are decoded by pydicom through GDCM.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import Float, Num
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from mgajax.errors import DataError
from mgajax.imaging.geometry import Placement
from mgajax.imaging.reading import Content, Source, content_of, guard

FAILURE, FIX = "no complete DICOM slice", "replace the file"

RIGHT_ANGLE = 0.02
"""How far the two directions of a slice may be from unit length and from a right angle."""

RESCALE = ("RescaleSlope", "RescaleIntercept")
MARKED = ("AcquisitionNumber", "ConvolutionKernel", "EchoNumbers", "ImageType")
"""The elements that hold the attributes of `Marks`, in their order."""

COUNTS = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
"""How many numbers each element holds that says where a slice lies."""

MEND = "mend the header; the slice cannot be placed"


@dataclass(frozen=True)
class Marks:
    """What may tell reconstructions under one series UID apart, as text; "" where absent.

    Attributes:
      acquisition: AcquisitionNumber.
      kernel: ConvolutionKernel.
      echo: EchoNumbers.
      image: ImageType.
    """

    acquisition: str
    kernel: str
    echo: str
    image: str


@dataclass(frozen=True, eq=False)
class SliceHeader:
    """The header of one CT slice: whose it is, and where it lies.

    Attributes:
      path: its file.
      patient: PatientID; "" where absent.
      series: SeriesInstanceUID.
      number: SeriesNumber; None where absent.
      shape: rows and columns.
      placement: where its plane lies.
      marks: of its reconstruction.
      location: SliceLocation; None where absent.
      instance: InstanceNumber; None where absent.
      is_rescaled: whether RescaleSlope and RescaleIntercept are present.
    """

    path: Path
    patient: str
    series: str
    number: str | None
    shape: tuple[int, int]
    placement: Placement
    marks: Marks
    location: float | None
    instance: float | None
    is_rescaled: bool


def read_slice_header(path: Path) -> SliceHeader:
    """The header of a CT slice.

    Raises:
      DataError: the file cannot be read, is no DICOM, is no CT slice, or does not say where it
        lies.
    """
    return read_header(path, name=str(path), take=lambda data: _slice_header(data, path=path))


def read_header(
    source: Source, *, name: str, take: Callable[[pydicom.Dataset], Content], fix: str = FIX
) -> Content:
    """What `take` returns for a header; what follows the header in the file may be damaged.

    pydicom converts an element when it is first read, so `take` must read all that is wanted.

    Raises:
      DataError: the file cannot be read or is no DICOM, or `take` fails.
    """

    def read() -> Content:
        if isinstance(source, bytes):
            return take(_open(io.BytesIO(source), pixels=False))
        try:
            file = source.open("rb")
        except OSError as error:
            raise DataError(f"{name}: cannot be read ({error.strerror})") from error
        with file:
            return take(_open(file, pixels=False))

    return guard(read, name=name, failure=FAILURE, fix=fix)


def read_hounsfield(source: Source, *, name: str, fix: str = FIX) -> Num[np.ndarray, "h w"]:
    """The pixels of one slice in Hounsfield units: stored values times slope plus intercept.

    int32 where slope and intercept are whole numbers, as scanners write them; else float32. A missing
    slope counts as 1, a missing intercept as 0.

    Raises:
      DataError: the file is cut off or damaged, is compressed in a way that cannot be decoded, or
        holds more than one grey picture.
    """
    content = content_of(source, name=name)
    stored, slope, intercept = guard(
        lambda: _read_stored(content), name=name, failure=FAILURE, fix=fix
    )
    if stored.ndim != 2 or not stored.size:
        raise DataError(f"{name}: pixels of shape {stored.shape}, expected one grey slice [h, w]")
    if slope.is_integer() and intercept.is_integer():
        return stored.astype(np.int32) * int(slope) + int(intercept)
    return (stored * slope + intercept).astype(np.float32)


def _open(file: io.BytesIO | io.BufferedReader, *, pixels: bool) -> pydicom.Dataset:
    """A DICOM file's elements, also of one without preamble."""
    try:
        return pydicom.dcmread(file, stop_before_pixels=not pixels)
    except InvalidDicomError as error:
        file.seek(0)
        data = pydicom.dcmread(file, stop_before_pixels=not pixels, force=True)
        if "SOPClassUID" not in data and "Modality" not in data:
            raise ValueError("neither a preamble nor an element that says what it is") from error
        if "TransferSyntaxUID" not in data.file_meta:
            implicit, little = data.original_encoding
            explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
        return data


def _read_stored(content: bytes) -> tuple[np.ndarray, float, float]:
    """Stored values, rescale slope and rescale intercept."""
    data = _open(io.BytesIO(content), pixels=True)
    slope, intercept = (_number(data, key) for key in RESCALE)
    return data.pixel_array, 1.0 if slope is None else slope, intercept or 0.0


def _slice_header(data: pydicom.Dataset, *, path: Path) -> SliceHeader:
    _check(data, path=path)
    right, down = _numbers(
        data, "ImageOrientationPatient", path=path, expected="two directions of three numbers"
    ).reshape(2, 3)
    row, column = _pixel(data, path=path)
    series_number = data.get("SeriesNumber")
    return SliceHeader(
        path=path,
        patient=str(data.get("PatientID") or "").strip(),
        series=str(data.SeriesInstanceUID),
        number=None if series_number is None else str(series_number),
        shape=(int(data.Rows), int(data.Columns)),
        placement=Placement(
            position=_numbers(data, "ImagePositionPatient", path=path, expected="three numbers"),
            down=down,
            right=right,
            pixel=(row, column),
            thickness=_number(data, "SliceThickness"),
        ),
        marks=Marks(*(_text(data, key) for key in MARKED)),
        location=_number(data, "SliceLocation"),
        instance=_number(data, "InstanceNumber"),
        is_rescaled=all(_number(data, key) is not None for key in RESCALE),
    )


def _check(data: pydicom.Dataset, *, path: Path) -> None:
    """Refuse what is no CT slice of a series."""
    modality = data.get("Modality", "none")
    if (_number(data, "SamplesPerPixel") or 1) > 1:
        raise DataError(f"{path}: a colour picture (secondary capture), expected CT values")
    if modality != "CT":
        raise DataError(f"{path}: modality {modality}, expected CT")
    if (_number(data, "NumberOfFrames") or 1) > 1:
        raise DataError(
            f"{path}: {data.NumberOfFrames} frames in one file; convert it to single frames"
        )
    if "LOCALIZER" in (data.get("ImageType") or ()):
        raise DataError(f"{path}: a localizer, no slice")
    for key in ("SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient"):
        if key not in data:
            raise DataError(f"{path}: no {key}, so that nobody knows where it lies in its series")


def _pixel(data: pydicom.Dataset, *, path: Path) -> tuple[float, float]:
    """The distances of rows and of columns in mm."""
    pixel = _numbers(data, "PixelSpacing", path=path, expected="two sizes in mm")
    if (pixel <= 0).any():
        raise DataError(
            f"{path}: PixelSpacing {_raw_value(data, 'PixelSpacing')}, expected two sizes"
        )
    return float(pixel[0]), float(pixel[1])


def _numbers(
    data: pydicom.Dataset, key: str, *, path: Path, expected: str
) -> Float[np.ndarray, "n"]:
    """The finite numbers of an element that a slice must have.

    Raises:
      DataError: there are others, or more or fewer.
    """
    try:
        values = np.array(data[key].value, np.float64).ravel()
    except (KeyError, TypeError, ValueError):
        values = np.empty(0)
    is_right = values.size == COUNTS[key] and bool(np.isfinite(values).all())
    if is_right and key == "ImageOrientationPatient":
        pair = values.reshape(2, 3)
        is_right = bool(np.allclose(pair @ pair.T, np.eye(2), atol=RIGHT_ANGLE))
    if not is_right:
        raise DataError(f"{path}: {key} {_raw_value(data, key)}, expected {expected}; {MEND}")
    return values


def _raw_value(data: pydicom.Dataset, key: str) -> str:
    """An element's value as in the file, for messages."""
    if key not in data:
        return "is absent"
    value = data.get_item(key).value
    if isinstance(value, bytes):
        value = value.decode("latin-1").strip()
    if isinstance(value, MultiValue):
        value = "\\".join(map(str, value))
    return f"{'' if value is None else value!s:.80}".join("''")


def _number(data: pydicom.Dataset, key: str) -> float | None:
    """A finite number; None where an element is absent, empty or other."""
    try:
        value = float(data[key].value)
    except (KeyError, TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _text(data: pydicom.Dataset, key: str) -> str:
    try:
        value = data[key].value
    except (KeyError, TypeError, ValueError):
        return ""
    return "" if value is None else str(value).strip()
