"""Files with their classes: a folder of class-named folders, or a table that lists them."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mgajax.data.class_words import ClassWords, known_words
from mgajax.data.csv_records import csv_records
from mgajax.errors import DataError
from mgajax.folders import is_clutter, natural_order, walk
from mgajax.imaging.file_kinds import FileKind, file_kind

COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "file": ("file", "file_name", "filename", "path", "image"),
    "label": ("label", "class", "diagnosis"),
    "patient": ("patient", "patient_id"),
    "source": ("source",),
    "plane": ("plane",),
}
"""Columns of a table by what they hold, and what else they may be called. The first two are needed."""

UNKNOWN_SOURCE = "unknown"
"""The source of a row that leaves it open in a table that has some."""


@dataclass(frozen=True)
class LabelledFile:
    """A file of a labelled set.

    Attributes:
      path: where it lies.
      label: class code of its slices.
      patient: whose it is, as a table tells it; '' where it does not.
      source: likewise.
      plane: the one of a volume that is meant, from 1; 0 for all of them.
    """

    path: Path
    label: int
    patient: str = ""
    source: str = ""
    plane: int = 0


@dataclass(frozen=True)
class LabelledFiles:
    """The files of a labelled set.

    Attributes:
      kind: "folder of classes" or "table".
      place: the folder or the table.
      files: in the order of their names, or of the table's rows; at least one.
      left_out: a line for each file that is no slice though it should be one.
      notes: what else a reader of results should know.
    """

    kind: str
    place: Path
    files: tuple[LabelledFile, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """A name for each file: its path below the deepest folder that holds them all."""
        places = [os.path.abspath(file.path) for file in self.files]
        shared = os.path.commonpath([os.path.dirname(place) for place in places])
        return [Path(os.path.relpath(place, shared)).as_posix() for place in places]


def files_of_folders(top: Path, *, words: ClassWords) -> LabelledFiles:
    """The slices below the folders of `top`, each folder named after a class.

    What is no picture, DICOM or NIfTI is passed over and counted.

    Raises:
      DataError: no folder in it, a folder whose class nobody knows, or no slice in any of them.
      ConfigError: see `ClassWords.codes`.
    """
    entries = sorted(top.iterdir(), key=lambda path: natural_order(path.name))
    visible = [path for path in entries if not is_clutter(path.name)]
    folders = [path for path in visible if path.is_dir()]
    if not folders:
        raise DataError(
            f"{top}: neither a built data set (no dataset_info.json in or below it) nor a folder of "
            f"classes (no folder in it); expected one folder a class, named as: {known_words()}"
        )
    codes = words.codes([path.name for path in folders], where=str(top), kind="folder")
    left_out = [
        f"{path}: in no folder of a class"
        for path in visible
        if not path.is_dir() and _kind(path) is not FileKind.OTHER
    ]
    files: list[LabelledFile] = []
    notes: list[str] = []
    passed: Counter[str] = Counter()
    for folder in folders:
        if (label := codes[folder.name]) is None:
            notes.append(f"folder {folder.name} is left out")
            continue
        slices = [
            LabelledFile(path, label)
            for path in _slices_below(folder, left_out=left_out, passed=passed)
        ]
        if not slices:
            notes.append(f"folder {folder.name} holds no slice")
        files += slices
    if not files:
        raise DataError(f"{top}: no picture, DICOM or NIfTI in {', '.join(map(str, codes))}")
    if passed:
        kinds = ", ".join(f"{suffix} {count}" for suffix, count in passed.most_common())
        notes.append(f"{passed.total()} files are no picture, DICOM or NIfTI ({kinds})")
    return LabelledFiles("folder of classes", top, tuple(files), tuple(left_out), tuple(notes))


def files_of_table(path: Path, *, words: ClassWords) -> LabelledFiles:
    """The slices that a CSV lists, a file a row; paths are seen from the table's folder.

    Args:
      path: the table, with the columns of `COLUMN_NAMES`.
      words: how labels are read.

    Raises:
      DataError: it cannot be read; a column is missing; a row without a file, of an unknown label, of
        a file and plane that stand in another row, or with a plane that is no number; patients in some
        rows and not in others; none of the files is there.
      ConfigError: see `ClassWords.codes`.
    """
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"{path}: no row below the header; expected one a slice")
    codes = words.codes(
        list(dict.fromkeys(row["label"] for _, row in rows)), where=str(path), kind="label"
    )
    _check_patients(path, rows)
    has_sources = any(row.get("source") for _, row in rows)
    files, left_out, lines = [], [], dict[tuple[str, int], int]()
    for line, row in rows:
        if (label := codes[row["label"]]) is None:
            continue
        file = LabelledFile(
            path=path.parent / row["file"],
            label=label,
            patient=row.get("patient", ""),
            source=(row.get("source") or UNKNOWN_SOURCE) if has_sources else "",
            plane=_plane(row.get("plane", ""), where=f"{path}, line {line}"),
        )
        place = os.path.abspath(file.path), file.plane
        if place in lines:
            raise DataError(
                f"{path}, line {line}: {row['file']!r} stands in line {lines[place]} too, expected "
                "each slice once; keep one of them"
            )
        lines[place] = line
        if file.path.is_file():
            files.append(file)
        else:
            left_out.append(f"{file.path}: no such file ({path.name}, line {line})")
    if not files:
        raise DataError(
            f"{path}: none of its {len(lines)} files is there, first {next(iter(lines), ('–',))[0]}; "
            f"paths are seen from {path.parent or Path()}, or absolute"
        )
    return LabelledFiles("table", path, tuple(files), tuple(left_out))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    names = {other: column for column, others in COLUMN_NAMES.items() for other in others}

    def key(heading: str) -> str:
        plain = "_".join(heading.strip().casefold().split())
        return names.get(plain, plain)

    records = csv_records(
        path,
        required=("file", "label"),
        expected="file and label, and patient, source and plane where they are known",
        content="the table of slices",
        key=key,
    )
    for line, record in records:
        for column in ("file", "label"):
            if not record[column]:
                raise DataError(f"{path}, line {line}: no {column}; fill it in or remove the row")
        yield line, record


def _check_patients(path: Path, rows: Sequence[tuple[int, Mapping[str, str]]]) -> None:
    """Refuse a table that knows some patients: neither slices nor patients could be counted on."""
    blank = [line for line, row in rows if not row.get("patient")]
    if blank and len(blank) < len(rows):
        raise DataError(
            f"{path}, line {blank[0]}: no patient, as in {len(blank)} of {len(rows)} rows; name one in "
            "every row (someone unknown by a name of his own), or leave the column out"
        )


def _plane(text: str, *, where: str) -> int:
    if text and not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise DataError(f"{where}: plane {text!r}, expected a number from 1 on, or nothing for all")
    return int(text) if text else 0


def _slices_below(folder: Path, *, left_out: list[str], passed: Counter[str]) -> Iterator[Path]:
    for path in walk(folder, refused=lambda error: left_out.append(_refusal(error))):
        kind = _kind(path)
        if kind is None:
            left_out.append(f"{path}: cannot be read")
        elif kind is FileKind.OTHER:
            passed[path.suffix.lower() or "no suffix"] += 1
        else:
            yield path


def _refusal(error: OSError) -> str:
    return f"{error.filename}: cannot be read ({error.strerror})"


def _kind(path: Path) -> FileKind | None:
    """What a file holds; None where it cannot be opened."""
    try:
        return file_kind(path)
    except OSError:
        return None
