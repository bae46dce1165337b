"""Zhao: COVID-CT (UCSD-AI4H), single pictures cut out of preprints; COVID only.

    Images-processed/CT_COVID.zip, or unpacked    CT_COVID/<349 pictures>
    COVID-CT-MetaInfo.xlsx                        sheet `positive_captions`

The published set holds the files unchanged, under new names, without the Non-COVID pictures. 34 files
called `.png` are JPEG, so a picture is opened by its content.
"""

import functools
from collections import defaultdict
from collections.abc import Sequence

from mgajax.curation.archives.archive import ReadOptions, Unit
from mgajax.curation.archives.archive_tables import ArchiveRow, country_of, read_xlsx, single_table
from mgajax.curation.archives.packed import SourceFile, find_named
from mgajax.curation.archives.single_pictures import PictureSet, SinglePicture, read_pictures
from mgajax.curation.findings import Finding, Findings
from mgajax.errors import DataError

SERIES = PictureSet("zhao", reason="all pictures", published="as it is")
SHEET = "positive_captions"
SUFFIXES = (".png", ".jpg", ".jpeg")

COLUMNS: dict[str, str] = {
    "age": "Age",
    "gender": "Gender",
    "medical_history": "Presentation",
    "time": "Time",
    "severity": "Severity",
    "other_diseases": "Other diseases",
    "doi": "doi",
    "captions": "finding",
}
"""Column of the workbook -> column of the published table."""


def find(files: Sequence[SourceFile], *, options: ReadOptions, findings: Findings) -> list[Unit]:
    """A unit a patient of the workbook; see `archive.Find`.

    Raises:
      DataError: there are pictures, but the workbook is missing, unreadable or without its columns.
    """
    pictures = [f for f in files if f.place.suffix.lower() in SUFFIXES]
    covid_files = {f.name: f for f in pictures if _folder_starts(f, "ct_covid")}
    for file in pictures:
        if _folder_starts(file, "ct_noncovid"):
            findings.note(Finding.NOT_TAKEN, file.origin)
    if not covid_files:
        return []
    book = single_table(find_named(files, "COVID-CT-MetaInfo.xlsx"), name="patients of COVID-CT")
    if book is None:
        raise DataError(
            f"{next(iter(covid_files.values())).place.parent}: COVID-CT-MetaInfo.xlsx is missing, and "
            "only it names the patients of the pictures; put it beside Images-processed/"
        )
    rows = read_xlsx(book, needs=("file_name", "patient_id"), sheet=SHEET)
    matches = _match_rows(covid_files, rows, findings=findings)
    people: defaultdict[str, list[SinglePicture]] = defaultdict(list)
    for file, row in matches:
        name, person = f"17_Zhao_{_stem(row['file_name'])}.png", row["patient_id"]
        people[person].append(SinglePicture(file, name, f"Zhao_{person}", _metadata(row)))
    return [
        Unit("zhao", person, functools.partial(read_pictures, SERIES, tuple(pictures), options))
        for person, pictures in sorted(people.items())
    ]


def _folder_starts(file: SourceFile, start: str) -> bool:
    """Whether a folder of it starts so; forks split the folders in parts (`CT_COVID_1`)."""
    return any(part.casefold().startswith(start) for part in file.place.parts[:-1])


def _match_rows(
    files: dict[str, SourceFile], rows: Sequence[ArchiveRow], *, findings: Findings
) -> list[tuple[SourceFile, ArchiveRow]]:
    """Pictures with their rows, in the order of the names; notes the others.

    Many rows lack the suffix, and forks write `_` for `%`, so that names are also compared loosely.
    """
    rows = [row for row in rows if row["file_name"]]
    exact = {_stem(row["file_name"]): row for row in rows}
    loose = {_loosen(row["file_name"]): row for row in rows}
    matches, listed_names = [], set()
    for name, file in sorted(files.items()):
        row = exact.get(_stem(name)) or loose.get(_loosen(name))
        if row is None or not row["patient_id"]:
            findings.note(Finding.NO_PATIENT, f"{file.origin}: not in the workbook")
        else:
            matches.append((file, row))
            listed_names.add(row["file_name"])
            if _stem(row["file_name"]) != _stem(name):
                findings.note(Finding.RENAMED, file.origin)
    for row in rows:
        if row["file_name"] not in listed_names:
            findings.note(Finding.LISTED_NOT_FOUND, row["file_name"])
    return matches


def _stem(name: str) -> str:
    """`name` without the suffix of a picture; the dots of a DOI are no suffix."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _loosen(name: str) -> str:
    return _stem(name).casefold().replace("%", "_")


def _metadata(row: ArchiveRow) -> dict[str, str]:
    columns = {column: row.get(key, "") for key, column in COLUMNS.items()}
    columns["Country"] = country_of(row.get("location", ""))
    return {column: text for column, text in columns.items() if text}
