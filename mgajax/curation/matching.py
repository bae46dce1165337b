"""Pairs pictures with their table rows, and identifies their people."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mgajax.curation.findings import Finding, Findings
from mgajax.curation.kaggle_layout import MISSING, KaggleLayout, KaggleRow
from mgajax.curation.names import canonical_name, patient_id_from_name, source_of
from mgajax.curation.patient_ids import patient_key
from mgajax.folders import is_clutter

SOURCES_WITHOUT_DEMOGRAPHICS: frozenset[str] = frozenset({"morozov"})
"""Morozov's `Age` and `Gender` are invented for each slice (each of its 304 studies has several ages and
both sexes; the archive states none), so they are never used."""

PATIENTS_WITH_BORROWED_ROWS: frozenset[str] = frozenset(
    {"afshar/P104", "afshar/P109", "afshar/P129", "afshar/P142"}
)
"""People whose scanner and age columns belong to another scan; age and sex count as unknown."""


@dataclass(frozen=True)
class PictureFile:
    """A picture on disk; `label` is the class of its folder."""

    path: Path
    label: int


@dataclass(frozen=True)
class Match:
    """A picture and its table row; None where no table lists it."""

    file: PictureFile
    row: KaggleRow | None
    has_class_conflict: bool = False


@dataclass(frozen=True)
class Identity:
    """Whose slice it is; `age` is -1 and text '' where unknown."""

    source: str
    patient: str
    country: str
    age: int
    gender: str


def list_pictures(layout: KaggleLayout, *, findings: Findings) -> list[PictureFile]:
    """All files of the class folders, by class and name; notes hidden entries and folders."""
    pictures = []
    for label, folder in enumerate(layout.class_folders):
        for path in sorted(folder.iterdir()):
            if is_clutter(path.name) or path.is_dir():
                findings.note(Finding.IGNORED, f"{folder.name}/{path.name}")
            else:
                pictures.append(PictureFile(path=path, label=label))
    return pictures


def match_rows(
    rows: Iterable[KaggleRow], files: Iterable[PictureFile], *, findings: Findings
) -> list[Match]:
    """Pair pictures with rows by canonical name; notes all without a partner.

    The class is the folder's. A picture whose rows name different people is left out. Of two pictures
    of one name the one whose class fits a row is kept.
    """
    rows_of: defaultdict[str, list[KaggleRow]] = defaultdict(list)
    for row in rows:
        rows_of[canonical_name(row.file_name)].append(row)
    files_of: defaultdict[str, list[PictureFile]] = defaultdict(list)
    for file in files:
        files_of[canonical_name(file.path.name)].append(file)
    matches = []
    for name, copies in files_of.items():
        candidates = rows_of.get(name, [])
        file = _choose_copy(copies, candidates, findings=findings)
        match = _match_row(file, candidates, findings=findings)
        if match:
            matches.append(match)
    for name, unmatched in rows_of.items():
        if name not in files_of:
            findings.note(Finding.ROW_WITHOUT_FILE, unmatched[0].file_name)
    return sorted(matches, key=lambda match: (match.file.label, match.file.path.name))


def _choose_copy(
    copies: Sequence[PictureFile], rows: Sequence[KaggleRow], *, findings: Findings
) -> PictureFile:
    if len(copies) > 1:
        findings.note(Finding.NAME_TWICE, copies[0].path.name)
    fitting = [file for file in copies if any(row.label == file.label for row in rows)]
    return (fitting or copies)[0]


def _match_row(file: PictureFile, rows: Sequence[KaggleRow], *, findings: Findings) -> Match | None:
    name = file.path.name
    if not rows:
        findings.note(Finding.FILE_WITHOUT_ROW, name)
        return Match(file=file, row=None)
    class_rows = [row for row in rows if row.label == file.label]
    candidates = class_rows or rows
    if len({row.patient_id for row in candidates}) > 1:
        findings.note(Finding.ROWS_CONFLICT, name)
        return None
    if not class_rows:
        findings.note(Finding.CLASS_CONFLICT, name)
    if candidates[0].file_name != name:
        findings.note(Finding.RENAMED, name)
    return Match(file=file, row=candidates[0], has_class_conflict=not class_rows)


def identify(file_name: str, row: KaggleRow | None, *, findings: Findings) -> Identity | None:
    """Archive and person of a slice; None, with a note, where one of them is unknown.

    The row's patient id counts; without one the file name's.
    """
    source = source_of(file_name)
    if source is None:
        findings.note(Finding.NO_SOURCE, file_name)
        return None
    patient_id = _find_patient_id(file_name, row, findings=findings)
    if patient_id is None:
        findings.note(Finding.NO_PATIENT, file_name)
        return None
    patient = patient_key(source, patient_id)
    country = row.country if row else ""
    if (
        row is None
        or source in SOURCES_WITHOUT_DEMOGRAPHICS
        or patient in PATIENTS_WITH_BORROWED_ROWS
    ):
        return Identity(source=source, patient=patient, country=country, age=-1, gender="")
    return Identity(source=source, patient=patient, country=country, age=row.age, gender=row.gender)


def _find_patient_id(file_name: str, row: KaggleRow | None, *, findings: Findings) -> str | None:
    from_name = patient_id_from_name(file_name)
    if row is None:
        return from_name
    if row.patient_id in MISSING:
        if from_name is not None:
            findings.note(Finding.PATIENT_FROM_NAME, file_name)
        return from_name
    if from_name is not None and from_name.casefold() != row.patient_id.casefold():
        findings.note(Finding.ID_CONFLICT, file_name)
    return row.patient_id
