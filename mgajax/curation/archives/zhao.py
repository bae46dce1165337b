"""Zhao: COVID-CT (UCSD-AI4H), single pictures cut out of preprints; COVID only.

    Images-processed/CT_COVID.zip, or unpacked    CT_COVID/<349 pictures>
    COVID-CT-MetaInfo.xlsx                        sheet `positive_captions`

The published set holds the files as they are, under a new name; its Non-COVID pictures it leaves
out. 34 files called `.png` are JPEG, so a picture is opened by its content.
"""

import functools
from collections import defaultdict
from collections.abc import Sequence

from mgajax.curation.archives.archive import ReadOptions, Unit
from mgajax.curation.archives.packed import SourceFile, named
from mgajax.curation.archives.single_pictures import PictureSet, SinglePicture, read_pictures
from mgajax.curation.archives.tables import Row, country_of, only, read_xlsx
from mgajax.curation.report import Finding, Findings
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
    taken = {f.name: f for f in pictures if _folder_starts(f, "ct_covid")}
    for file in pictures:
        if _folder_starts(file, "ct_noncovid"):
            findings.note(Finding.NOT_TAKEN, file.origin)
    if not taken:
        return []
    book = only(named(files, "COVID-CT-MetaInfo.xlsx"), what="patients of COVID-CT")
    if book is None:
        raise DataError(
            f"{next(iter(taken.values())).place.parent}: COVID-CT-MetaInfo.xlsx is missing, and "
            "nothing else says whose picture is whose; put it beside Images-processed/"
        )
    rows = read_xlsx(book, needs=("file_name", "patient_id"), sheet=SHEET)
    matched = _matched(taken, rows, findings=findings)
    people: defaultdict[str, list[SinglePicture]] = defaultdict(list)
    for file, row in matched:
        name, person = f"17_Zhao_{_stem(row['file_name'])}.png", row["patient_id"]
        people[person].append(SinglePicture(file, name, f"Zhao_{person}", _metadata(row)))
    return [
        Unit("zhao", person, functools.partial(read_pictures, SERIES, tuple(pictures), options))
        for person, pictures in sorted(people.items())
    ]


def _folder_starts(file: SourceFile, start: str) -> bool:
    """Whether it lies in a folder called so; forks split the folders in parts (`CT_COVID_1`)."""
    return any(part.casefold().startswith(start) for part in file.place.parts[:-1])


def _matched(
    taken: dict[str, SourceFile], rows: Sequence[Row], *, findings: Findings
) -> list[tuple[SourceFile, Row]]:
    """Pictures with their rows, in the order of the names; the others are noted.

    Many rows lack the suffix, and forks put `_` for `%`: an exact name is looked for first.
    """
    rows = [row for row in rows if row["file_name"]]
    exact = {_stem(row["file_name"]): row for row in rows}
    loose = {_loose(row["file_name"]): row for row in rows}
    matched, found = [], set()
    for name, file in sorted(taken.items()):
        row = exact.get(_stem(name)) or loose.get(_loose(name))
        if row is None or not row["patient_id"]:
            findings.note(Finding.NO_PATIENT, f"{file.origin}: not in the workbook")
        else:
            matched.append((file, row))
            found.add(row["file_name"])
            if _stem(row["file_name"]) != _stem(name):
                findings.note(Finding.RENAMED, file.origin)
    for row in rows:
        if row["file_name"] not in found:
            findings.note(Finding.LISTED_NOT_FOUND, row["file_name"])
    return matched


def _stem(name: str) -> str:
    """`name` without the suffix of a picture; the dots of a DOI are no suffix."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _loose(name: str) -> str:
    return _stem(name).casefold().replace("%", "_")


def _metadata(row: Row) -> dict[str, str]:
    found = {column: row.get(key, "") for key, column in COLUMNS.items()}
    found["Country"] = country_of(row.get("location", ""))
    return {column: text for column, text in found.items() if text}
