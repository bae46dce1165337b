"""The series of COVID-CT-MD: headers, positions for the labels, ranks for the published names."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pydicom

from mgajax.curation.archives.packed import SourceFile
from mgajax.curation.findings import Finding, Findings
from mgajax.errors import DataError, quantity
from mgajax.imaging import dicom

FIX = "download it again"

_RANK_IN_NAME = re.compile(r".+_(\d+)\.dcm", re.IGNORECASE)

LONGEST = 1000
"""No series of the archive is longer; beyond it file names and InstanceNumbers do not agree."""


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


@dataclass(frozen=True)
class Header:
    """The header of a slice, as far as it is needed.

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


@dataclass(frozen=True)
class Series:
    """The readable headers of one series, head first.

    Attributes:
      headers: by descending SliceLocation, in which InstanceNumber rises.
      positions: index of each in the row of slice labels, 0-based, by InstanceNumber.
      length: number of slices of the complete series.
    """

    headers: tuple[Header, ...]
    positions: dict[int, int]
    length: int

    def position(self, header: Header) -> int:
        """The slice's index in the row of labels, 0-based, head first."""
        return self.positions[header.instance]

    def number(self, header: Header) -> int:
        """The number in the slice's published name, see `lexicographic_rank`."""
        return self._ranks[str(header.instance)]

    @cached_property
    def _ranks(self) -> dict[str, int]:
        ordered = sorted(str(instance) for instance in range(1, self.length + 1))
        return {text: rank for rank, text in enumerate(ordered, start=1)}


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


def read_series(files: Sequence[SourceFile], *, findings: Findings) -> Series:
    """The headers of `files`, in order; those without one are noted and left out.

    Labels are ordered along the body, head first. If all headers can be read, a slice's position is
    its rank by SliceLocation. If not, it is InstanceNumber - 1, which is the same in a complete series.

    Raises:
      DataError: no header can be read; two slices share a number; or headers cannot be read in a
        series whose numbers have other gaps, so that its labels cannot be assigned.
    """
    headers, unreadable = [], 0
    for file in files:
        try:
            headers.append(read_header(file))
        except DataError as error:
            findings.note(Finding.DAMAGED_SOURCE, str(error))
            unreadable += 1
    folder = files[0].place.parent
    headers.sort(key=lambda header: -header.location)
    instances = [header.instance for header in headers]
    if not headers:
        raise DataError(f"{folder}: none of its {quantity(len(files), 'DICOM file')} can be read")
    if any(later <= earlier for earlier, later in itertools.pairwise(instances)):
        raise DataError(
            f"{folder}: InstanceNumber does not rise while SliceLocation falls; these are the "
            "slices of more than one series, keep one"
        )
    positions = {instance: index for index, instance in enumerate(instances)}
    if unreadable:
        if instances[-1] > len(files):
            raise DataError(
                f"{folder}: {unreadable} of {quantity(len(files), 'DICOM file')} unreadable, and InstanceNumber goes to "
                f"{instances[-1]}, so that slice labels cannot be placed; download it again"
            )
        positions = {instance: instance - 1 for instance in instances}
    length = _length(headers)
    if length is None:
        length = max(len(files), instances[-1])
        if length > len(files):
            findings.note(Finding.SERIES_WITH_GAPS, str(folder))
    return Series(tuple(headers), positions, length=length)


def lexicographic_rank(instance: int, *, length: int) -> int:
    """The number in the published name of slice `instance` of a series of `length` slices.

    The names count the slices in the order of their InstanceNumbers *as text* (1, 10, 100, 101, ...,
    2, 20, ...), from 1; exact for all 80 labelled patients of the published set.
    """
    return 1 + sum(str(number) < str(instance) for number in range(1, length + 1))


def _length(headers: Sequence[Header]) -> int | None:
    """The number of slices of the complete series, if its file names show it.

    Some series have ranks in their file names (`98C14734-ASSH_102.dcm`): then it is the smallest
    length that gives these ranks.
    """
    named = [(h.instance, _RANK_IN_NAME.fullmatch(h.file.name)) for h in headers]
    ranks = {instance: int(match.group(1)) for instance, match in named if match}
    if len(ranks) < len(headers):
        return None
    for length in range(max(*ranks, *ranks.values(), 1), LONGEST):
        if all(lexicographic_rank(i, length=length) == rank for i, rank in ranks.items()):
            return length
    return None
