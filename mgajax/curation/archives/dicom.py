"""Headers of CT slices in DICOM, as the archives need them: number, place, and texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import pydicom

from mgajax.curation.archives.packed import SourceFile
from mgajax.imaging import dicom

FIX = "download it again"


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
    return dicom.read_header(
        file.read(), name=file.origin, take=lambda data: _header(data, file=file), fix=FIX
    )


def _header(data: pydicom.Dataset, *, file: SourceFile) -> Header:
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


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\\".join(str(part) for part in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
