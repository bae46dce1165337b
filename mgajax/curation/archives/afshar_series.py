"""The order of a COVID-CT-MD series: positions for the labels, ranks for the published names."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mgajax.curation.archives.dicom import Header, read_header
from mgajax.curation.archives.packed import SourceFile
from mgajax.curation.report import Finding, Findings
from mgajax.errors import DataError

_RANK_IN_NAME = re.compile(r".+_(\d+)\.dcm", re.IGNORECASE)

LONGEST = 1000
"""No series of the archive is longer; beyond it file names and InstanceNumbers do not agree."""


@dataclass(frozen=True)
class Series:
    """The readable headers of one series, head first.

    Attributes:
      headers: by descending SliceLocation, in which InstanceNumber rises.
      positions: place of each in the row of slice labels, 0-based, by InstanceNumber.
      length: how many slices the complete series has.
    """

    headers: tuple[Header, ...]
    positions: dict[int, int]
    length: int

    def position(self, header: Header) -> int:
        """The slice's place in the row of labels, 0-based, head first."""
        return self.positions[header.instance]

    def number(self, header: Header) -> int:
        """The number in the slice's published name, see `lexicographic_rank`."""
        return self._ranks[str(header.instance)]

    @cached_property
    def _ranks(self) -> dict[str, int]:
        ordered = sorted(str(instance) for instance in range(1, self.length + 1))
        return {text: rank for rank, text in enumerate(ordered, start=1)}


def read_series(files: Sequence[SourceFile], *, findings: Findings) -> Series:
    """The headers of `files`, in order; those without one are noted and left out.

    Labels belong to places along the body, head first. While all headers can be read, a slice's
    place is its rank by SliceLocation. With some lost it is InstanceNumber - 1, which is the same
    in a complete series.

    Raises:
      DataError: no header can be read; two slices share a number; or slices are lost from a series
        whose numbers have other gaps, so that nobody knows which labels are whose.
    """
    headers, lost = [], 0
    for file in files:
        try:
            headers.append(read_header(file))
        except DataError as error:
            findings.note(Finding.DAMAGED_SOURCE, str(error))
            lost += 1
    where = files[0].place.parent
    headers.sort(key=lambda header: -header.location)
    instances = [header.instance for header in headers]
    if not headers:
        raise DataError(f"{where}: none of its {len(files)} DICOM files can be read")
    if any(later <= earlier for earlier, later in itertools.pairwise(instances)):
        raise DataError(
            f"{where}: InstanceNumber does not rise while SliceLocation falls; these are the "
            "slices of more than one series, keep one"
        )
    positions = {instance: at for at, instance in enumerate(instances)}
    if lost:
        if instances[-1] > len(files):
            raise DataError(
                f"{where}: {lost} unreadable of {len(files)} DICOM files, and InstanceNumber goes to "
                f"{instances[-1]}, so that slice labels cannot be placed; download it again"
            )
        positions = {instance: instance - 1 for instance in instances}
    length = _length(headers)
    if length is None:
        length = max(len(files), instances[-1])
        if length > len(files):
            findings.note(Finding.SERIES_WITH_GAPS, str(where))
    return Series(tuple(headers), positions, length=length)


def lexicographic_rank(instance: int, *, length: int) -> int:
    """The number in the published name of slice `instance` of a series of `length` slices.

    The names count the slices in the order of their InstanceNumbers *as text* (1, 10, 100, 101, ...,
    2, 20, ...), from 1; exact for all 80 labelled patients of the published set.
    """
    return 1 + sum(str(other) < str(instance) for other in range(1, length + 1))


def _length(headers: Sequence[Header]) -> int | None:
    """How many slices the series had when it was whole, where its file names tell.

    Some series have their ranks in their file names (`98C14734-ASSH_102.dcm`): then it is the
    smallest length in which all ranks come out so.
    """
    named = [(h.instance, _RANK_IN_NAME.fullmatch(h.file.name)) for h in headers]
    ranks = {instance: int(match.group(1)) for instance, match in named if match}
    if len(ranks) < len(headers):
        return None
    for length in range(max(*ranks, *ranks.values(), 1), LONGEST):
        if all(lexicographic_rank(i, length=length) == rank for i, rank in ranks.items()):
            return length
    return None
