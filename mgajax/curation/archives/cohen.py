"""Cohen: covid-chestxray-dataset (ieee8023), of which the axial CT pictures are taken.

    metadata.csv   images/*.{jpg,jpeg,png}   volumes/*.nii.gz (elsewhere)

The table has changed its columns often: names differ in case and padding, `modality` came later
(before, `view` said "CT"), and a finding became a path ("Pneumonia/Viral/COVID-19").
"""

import functools
from collections import defaultdict
from collections.abc import Sequence

from mgajax.curation.archives.archive import ReadOptions, Unit
from mgajax.curation.archives.archive_tables import ArchiveRow, column_key, country_of, read_csv
from mgajax.curation.archives.packed import SourceFile, find_named
from mgajax.curation.archives.single_pictures import PictureSet, SinglePicture, read_pictures
from mgajax.curation.findings import Finding, Findings

SERIES = PictureSet("cohen", reason="axial CT", published="as PNG")
NEEDS = ("patientid", "view", "filename")

PHOTOGRAPHED: frozenset[str] = frozenset(str(patient) for patient in range(32, 40))
"""Patients 32 to 39 are photographs of a screen; the published set leaves them out."""

COLUMNS: dict[str, str] = {
    "age": "Age",
    "sex": "Gender",
    "date": "Date",
    "url": "Link",
    "doi": "doi",
    "license": "license",
    "clinical_notes": "finding",
    "rt_pcr_positive": "RT_PCR_positive",
    "survival": "survival",
    "intubated": "intubated",
    "intubation_present": "intubation_present",
    "went_icu": "went_icu",
    "in_icu": "in_icu",
    "needed_supplemental_o2": "needed_supplemental_O2",
}
"""Column of metadata.csv -> column of the published table."""

COUNTRIES: dict[str, str] = {"Korea": "South Korea"}
"""Country of a `location` -> the published spelling, where they differ."""


def find(files: Sequence[SourceFile], *, options: ReadOptions, findings: Findings) -> list[Unit]:
    """A unit a patient; see `archive.Find`.

    Raises:
      DataError: the table is damaged, or lacks a column that it has always had.
    """
    people: defaultdict[str, dict[str, SinglePicture]] = defaultdict(dict)
    for table in find_named(files, "metadata.csv"):
        if not _is_cohens(table):
            continue
        images = {f.name: f for f in files if f.place.parent == table.place.parent / "images"}
        for row in read_csv(table, needs=NEEDS):
            name = row["filename"]
            if not _is_wanted(row, findings=findings):
                continue
            if name in images:
                pictures = people[row["patientid"]]
                pictures.setdefault(name, _make_picture(images[name], row))
            else:
                findings.note(Finding.LISTED_NOT_FOUND, f"images/{name}")
    return [
        Unit(
            "cohen",
            person,
            functools.partial(read_pictures, SERIES, tuple(pictures.values()), options),
        )
        for person, pictures in sorted(people.items())
    ]


def _is_cohens(table: SourceFile) -> bool:
    """Whether a metadata.csv is this archive's (the mirror of Jun's has one too)."""
    header = table.read().split(b"\n", 1)[0].decode("cp1252", errors="replace")
    return "patientid" in [column_key(name) for name in header.split(",")]


def _is_wanted(row: ArchiveRow, *, findings: Findings) -> bool:
    """Whether it is an axial CT picture of a COVID patient; notes other CT pictures."""
    view = row["view"].casefold()
    if row.get("modality", view).casefold() != "ct" and not view.startswith("ct"):
        return False
    name = row["filename"]
    if row.get("folder") == "volumes" or name.lower().endswith((".nii", ".nii.gz")):
        findings.note(Finding.REPEATED_SCAN, name)
        return False
    is_axial = view in ("axial", "ct", "ct axial")
    is_covid = "covid-19" in row.get("finding", "covid-19").casefold()
    if not is_axial or not is_covid or row["patientid"] in PHOTOGRAPHED:
        findings.note(Finding.NOT_TAKEN, f"images/{name}")
        return False
    return True


def _make_picture(file: SourceFile, row: ArchiveRow) -> SinglePicture:
    name = f"15_Cohen_{file.place.stem}.png"
    return SinglePicture(file, name, row["patientid"], _metadata(row))


def _metadata(row: ArchiveRow) -> dict[str, str]:
    columns = {column: row.get(key, "") for key, column in COLUMNS.items()}
    country = country_of(row.get("location", ""))
    columns["Country"] = COUNTRIES.get(country, country)
    return {column: text for column, text in columns.items() if text}
