"""Rahimzadeh: COVID-CTset, 16-bit TIFF slices of COVID patients and normals.

    COVID-CTset.zip         <group>/<patientN>/SR_4/IM00012.tif
    Train&Validation.zip    <group>_<patientN>_SR_4_IM00012.tif
    all.csv                 filename, class (the slices that its authors labelled)
    Patient_details.csv     Patient ID, SEX, AGE, Date, ...

Of each patient's series the published set uses SR_4: the COVID slices of `all.csv`, and three of
each folder of a normal, five apart.
"""

import functools
import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Num

from mgajax.curation.archives.archive import RawSlice, ReadOptions, Unit
from mgajax.curation.archives.archive_tables import (
    ArchiveRow,
    published_rows,
    read_csv,
    single_table,
)
from mgajax.curation.archives.packed import SourceFile, find_named
from mgajax.curation.findings import Finding, Findings
from mgajax.errors import DataError
from mgajax.imaging.tiff import read_stored
from mgajax.imaging.windows import PixelUnit
from mgajax.schema import COVID

PREFIX = "6_Rahimzadeh_"

INTERCEPT = -1024
"""Stored values are Hounsfield units plus 1024 (Patients_metadata.csv: slope 1)."""

NORMAL_SLICES = 3
NORMAL_STEP = 5
"""Of each folder of a normal the published set holds three slices, five apart. Its names show no rule
for the first (12, 17, 22 in 243 of 351 folders), so they are taken around the middle of the series,
unless the published table in the raw folder names them."""

_FLAT = re.compile(r"(\w+?)_(patient\d+)_(SR_\d)_IM(\d+)\.tiff?", re.IGNORECASE)
_NESTED = re.compile(r"(?:.*/)?([^/]+)/(patient\d+)/(SR_\d)/IM(\d+)\.tiff?", re.IGNORECASE)
_NORMAL_GROUP = re.compile(r"normal\d+", re.IGNORECASE)
_SERIES = "SR_4"


@dataclass(frozen=True)
class _Place:
    """Group, patient and series of a slice as spelt, and its number as text."""

    group: str
    patient: str
    series: str
    number: str

    @property
    def name(self) -> str:
        """Its name in `all.csv`, without the suffix."""
        return f"{self.group}_{self.patient}_{self.series}_IM{self.number}"


@dataclass(frozen=True)
class _Folder:
    """The SR_4 series of one patient in one group.

    Attributes:
      slices: place and file, by number.
      taken: names (`_Place.name`) that the source takes; None where it does not say.
      reason: for taking them.
    """

    label: int
    slices: tuple[tuple[_Place, SourceFile], ...]
    taken: tuple[str, ...] | None
    reason: str


def find(files: Sequence[SourceFile], *, options: ReadOptions, findings: Findings) -> list[Unit]:
    """A unit a patient, whose folders in several groups are read together; see `archive.Find`.

    Raises:
      DataError: a table is damaged or lacks a column.
    """
    series = _find_series(files)
    if not series:
        return []
    covid = _read_covid_labels(files)
    normal = {
        name.removeprefix(PREFIX).removesuffix(".png")
        for name in published_rows(files, table="meta_data_normal.csv")
        if name.startswith(PREFIX)
    }
    details = _read_details(files)
    people: defaultdict[str, list[_Folder]] = defaultdict(list)
    for (group, patient), slices in sorted(series.items()):
        folder = _plan_folder(group, tuple(slices), covid=covid, normal=normal, findings=findings)
        if folder is not None:
            people[patient].append(folder)
    names = {place.name for slices in series.values() for place, _ in slices}
    for name in sorted(normal.union(covid or ()) - names):
        findings.note(Finding.LISTED_NOT_FOUND, name)
    return [
        Unit(
            "rahimzadeh",
            patient,
            functools.partial(_read_slices, tuple(folders), details.get(patient, {}), options),
        )
        for patient, folders in sorted(people.items())
    ]


def _find_series(
    files: Sequence[SourceFile],
) -> dict[tuple[str, str], list[tuple[_Place, SourceFile]]]:
    """(group, patient) -> its SR_4 slices by number; a slice that both zips hold comes from the
    full one, whose folders are nested.
    """
    files_by_place: dict[_Place, SourceFile] = {}
    for pattern in (_NESTED, _FLAT):
        for file in files:
            text = str(file.place) if pattern is _NESTED else file.name
            match = pattern.fullmatch(text)
            if match and match.group(3).upper() == _SERIES:
                files_by_place.setdefault(_Place(*match.groups()), file)
    series: defaultdict[tuple[str, str], list[tuple[_Place, SourceFile]]] = defaultdict(list)
    for place, file in sorted(files_by_place.items(), key=lambda item: int(item[0].number)):
        series[place.group, place.patient].append((place, file))
    return dict(series)


def _plan_folder(
    group: str,
    slices: tuple[tuple[_Place, SourceFile], ...],
    *,
    covid: frozenset[str] | None,
    normal: Collection[str],
    findings: Findings,
) -> _Folder | None:
    """The slices to take of a folder, by its group: "137covid", "normal4"; None for other groups.

    `covid` are the labelled slices, `normal` those of the published table (none without it).
    """
    if group.casefold().endswith("covid"):
        if covid is None:
            return _Folder(COVID, slices, None, "selection")
        labelled = tuple(place.name for place, _ in slices if place.name in covid)
        return _Folder(COVID, slices, labelled, "listed")
    if _NORMAL_GROUP.fullmatch(group):
        published = tuple(place.name for place, _ in slices if place.name in normal)
        if published:
            return _Folder(0, slices, published, "published")
        start = max((len(slices) - 1) // 2 - NORMAL_STEP * (NORMAL_SLICES // 2), 0)
        middle = slices[start::NORMAL_STEP][:NORMAL_SLICES]
        return _Folder(0, slices, tuple(place.name for place, _ in middle), "mid-series")
    findings.note(Finding.NOT_TAKEN, str(slices[0][1].place.parent))
    return None


def _read_covid_labels(files: Sequence[SourceFile]) -> frozenset[str] | None:
    """The SR_4 names of class covid in all.csv, or None without that table."""
    table = single_table(find_named(files, "all.csv"), name="labels of COVID-CTset")
    if table is None:
        return None
    rows = read_csv(table, needs=("filename", "class"))
    names = (row["filename"].rsplit(".", 1)[0] for row in rows if row["class"].lower() == "covid")
    return frozenset(name for name in names if f"_{_SERIES}_" in name)


def _read_details(files: Sequence[SourceFile]) -> dict[str, ArchiveRow]:
    table = single_table(find_named(files, "Patient_details.csv"), name="patients of COVID-CTset")
    if table is None:
        return {}
    return {row["patient_id"]: row for row in read_csv(table, needs=("patient_id", "sex", "age"))}


def _read_slices(
    folders: Sequence[_Folder],
    details: Mapping[str, str],
    options: ReadOptions,
    findings: Findings,
) -> Iterator[RawSlice]:
    """The wanted slices of one patient, second copies of a picture left out."""
    digests: set[bytes] = set()
    for folder in folders:
        for position, (place, file) in enumerate(folder.slices):
            name = f"{PREFIX}{place.name}.png"
            by_source = None if folder.taken is None else place.name in folder.taken
            verdict = options.verdict(name, by_source, folder.reason)
            if verdict.is_taken is False:
                continue
            try:
                values, unit = read_tiff(file)
            except DataError as error:
                findings.note(Finding.DAMAGED_SOURCE, str(error))
                continue
            digest = hashlib.sha256(values.tobytes()).digest()
            if digest in digests and options.second_copies == "merge":
                findings.note(Finding.MERGED_COPY, name)
                continue
            digests.add(digest)
            yield RawSlice(
                source="rahimzadeh",
                label=folder.label,
                file_name=name,
                patient_id=place.patient,
                origin=file.origin,
                slice_index=int(place.number),
                position=position,
                values=values,
                unit=unit,
                is_selected_by_source=verdict.is_taken,
                reason=verdict.reason,
                metadata=_metadata(details),
            )


def read_tiff(file: SourceFile) -> tuple[Num[np.ndarray, "h w"], PixelUnit]:
    """One grey slice: int32 in Hounsfield units for whole numbers, else float32 grey levels.

    Raises:
      DataError: damaged, or not one grey picture.
    """
    values = read_stored(file.read(), name=file.origin)
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.int32) + INTERCEPT, "HU"
    return values.astype(np.float32), "grey"


def _metadata(details: Mapping[str, str]) -> dict[str, str]:
    columns = {
        "Age": details.get("age", "").removesuffix("Y").lstrip("0"),
        "Gender": details.get("sex", ""),
        "Country": "Iran",
        "Institution": "Negin radiology located at Sari",
        "Date": details.get("date", ""),
        "Slice Thickness": details.get("sr_4_folder_thickness(mm)", ""),
    }
    return {column: text for column, text in columns.items() if text}
