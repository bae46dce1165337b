"""CT slices in DICOM: a header without pixels, and the pixels in Hounsfield units.

Compressed pixels (JPEG lossless in COVID-CT-MD) are decoded by pydicom through GDCM.
"""

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pydicom
from jaxtyping import Num

from mgajax.curation.archives.packed import SourceFile
from mgajax.errors import DataError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Header:
    """What is needed of a slice before its pixels.

    Attributes:
      file: where it was read.
      instance: its InstanceNumber, 1-based.
      location: its SliceLocation in mm, else the z of ImagePositionPatient; head is up.
      texts: other elements by keyword, as text; absent where empty.
    """

    file: SourceFile
    instance: int
    location: float
    texts: dict[str, str]


TEXTS: tuple[str, ...] = (
    "Columns",
    "DateOfLastCalibration",
    "DistanceSourceToDetector",
    "DistanceSourceToPatient",
    "ExposureTime",
    "KVP",
    "PatientAge",
    "PatientSex",
    "PixelSpacing",
    "Rows",
    "SliceThickness",
    "StudyDate",
    "XRayTubeCurrent",
)
"""Keywords that `Header.texts` holds."""


def read_header(file: SourceFile) -> Header:
    """The header of one slice; what follows it in the file may be damaged.

    Raises:
      DataError: no DICOM, or without the elements that place it in its series.
    """
    return guarded(lambda: _header(file), where=file.origin)


def read_hounsfield(file: SourceFile) -> Num[np.ndarray, "h w"]:
    """The pixels of one slice in Hounsfield units: stored values times slope plus intercept.

    int32 where slope and intercept are whole numbers, as scanners write them; else float32.

    Raises:
      DataError: the file is cut off or damaged, is compressed in a way that cannot be decoded, or
        holds more than one grey picture.
    """
    stored, slope, intercept = guarded(lambda: _stored(file), where=file.origin)
    if stored.ndim != 2 or not stored.size:
        raise DataError(
            f"{file.origin}: pixels of shape {stored.shape}, expected one grey slice [h, w]"
        )
    if slope.is_integer() and intercept.is_integer():
        return stored.astype(np.int32) * int(slope) + int(intercept)
    return (stored * slope + intercept).astype(np.float32)


def _header(file: SourceFile) -> Header:
    data = pydicom.dcmread(io.BytesIO(file.read()), stop_before_pixels=True)
    location = data.get("SliceLocation")
    if location is None:
        location = data.ImagePositionPatient[2]
    texts = {key: _text(data.get(key)) for key in TEXTS}
    return Header(
        file=file,
        instance=int(data.InstanceNumber),
        location=float(location),
        texts={key: text for key, text in texts.items() if text},
    )


def _stored(file: SourceFile) -> tuple[np.ndarray, float, float]:
    """Stored values, rescale slope and rescale intercept."""
    data = pydicom.dcmread(io.BytesIO(file.read()))
    slope, intercept = data.get("RescaleSlope", 1), data.get("RescaleIntercept", 0)
    return data.pixel_array, float(slope), float(intercept)


def guarded(read: Callable[[], Result], *, where: str) -> Result:
    """What `read` returns, its many exceptions turned into one kind, its warnings held back.

    pydicom converts values when they are asked for, and neither it nor the decoders behind it
    document a common error, hence the broad catch.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read()
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{where}: no complete DICOM slice ({reason}); download it again"
        ) from error


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\\".join(str(part) for part in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
