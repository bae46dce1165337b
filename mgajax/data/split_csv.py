"""`split.csv`: a split as a table that users can read, edit and use again.

Columns: file_name, label (class name), patient, source, split (train, validation, test, unused).
A split that leaks on purpose has a further column, leaks, with `leaking_slices` in every row: without it
a patient in two splits is an error, with it the split that is read is marked as leaking, too.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from mgajax.data.columns import SliceColumns
from mgajax.data.csv_records import csv_records
from mgajax.data.leaking_splits import LEAKING_SLICES
from mgajax.data.patient_groups import (
    SPLIT_CODES,
    UNUSED,
    Split,
    assert_patient_disjoint,
    leakage_note,
)
from mgajax.errors import DataError, nearest
from mgajax.files import write_csv
from mgajax.schema import CLASS_NAMES

COLUMNS = ("file_name", "label", "patient", "source", "split")
REQUIRED = ("file_name", "split")
LEAKS = "leaks"
"""The further column of a leaking split."""


def write_split_csv(path: str | os.PathLike[str], *, table: SliceColumns, split: Split) -> None:
    """Write one row a slice, atomically.

    Raises:
      DataError: the table has another length than the split, or the folder is not writable.
    """
    path = Path(path)
    if len(table) != len(split.assignment):
        raise DataError(
            f"{path}: split {split.name!r} has {len(split.assignment)} rows, the data set "
            f"{len(table)}; make the split from this data set"
        )
    names = {code: name for name, code in SPLIT_CODES.items()}
    mark = (LEAKING_SLICES,) if split.leaks else ()
    lines: list[tuple[str, ...]] = [(*COLUMNS, LEAKS) if mark else COLUMNS]
    columns = (table.file_names, table.labels, table.patients, table.sources, split.assignment)
    for name, label, patient, source, code in zip(*columns, strict=True):
        lines.append((name, CLASS_NAMES[int(label)], patient, source, names[int(code)], *mark))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_csv(lines, path)
    except OSError as error:
        raise DataError(f"{path}: cannot write the split ({error.strerror or error})") from error


def split_from_csv(path: str | os.PathLike[str], *, table: SliceColumns) -> Split:
    """Read a user's split of a data set, matched by file name.

    Only file_name and split are needed. A label column must agree with the data set; a patient
    column is checked for leakage as the data set's patients are, unless the file is marked as
    leaking (see above); then so is the split. Slices of the data set that the file does not list
    are unused (counted in the notes). Rows may be in any order.

    Args:
      path: the CSV, UTF-8 with a header (a byte-order mark is accepted).
      table: the data set's slices [n].

    Raises:
      DataError: no such file or not a CSV, a missing column, an unknown or repeated file name, an
        unknown split name, another label than the data set's, or a row whose mark differs from
        the others; the line is named.
      LeakageError: a patient is in two splits, and the file is not marked.
    """
    stored = read_split_csv(path, table=table)
    split, rows = stored.split, stored.rows
    assert_patient_disjoint(split, table.patients)
    listed = Split(split.name, split.assignment[rows], leaks=split.leaks)
    assert_patient_disjoint(listed, stored.patients[rows])
    return split


@dataclass(frozen=True, eq=False)
class StoredSplit:
    """The content of a split.csv, not checked for patients in two splits.

    Attributes:
      split: of the data set's n rows.
      rows: int64 [m], the rows that the file lists, ascending.
      patients: str [n], as in the file, or of the data set where the file has none.
    """

    split: Split
    rows: Int64[np.ndarray, " m"]
    patients: np.ndarray


def read_split_csv(path: str | os.PathLike[str], *, table: SliceColumns) -> StoredSplit:
    """Read a split as `split_from_csv` does, without the check for patients in two splits.

    Raises:
      DataError: as `split_from_csv`.
    """
    path = Path(path)
    row_of = {str(name): row for row, name in enumerate(table.file_names)}
    if len(row_of) != len(table):
        raise DataError(
            f"{path}: {len(table) - len(row_of)} file names of the data set repeat, so that "
            "rows cannot be told apart; build it with unique names"
        )
    assignment = np.full(len(table), -1, np.int8)
    patients = [str(patient) for patient in table.patients]
    lines: dict[int, int] = {}
    marks: set[str] = set()
    for line, record in _records(path):
        row = row_of.get(record["file_name"])
        if row is None:
            raise DataError(
                f"{path}, line {line}: file_name {record['file_name']!r} is not in the data set; "
                "remove the row or build the data set with this file"
            )
        if row in lines:
            raise DataError(
                f"{path}, line {line}: file_name {record['file_name']!r} stands in line "
                f"{lines[row]} too; keep one of them"
            )
        lines[row] = line
        assignment[row] = _code(record["split"], where=f"{path}, line {line}")
        _check_label(record.get("label"), int(table.labels[row]), where=f"{path}, line {line}")
        patients[row] = record.get("patient") or patients[row]
        marks.add(_mark(record.get(LEAKS, ""), marks, where=f"{path}, line {line}"))
    leaks = LEAKING_SLICES in marks
    notes = [leakage_note(assignment, table.patients)] if leaks else []
    if missing := len(table) - len(lines):
        notes.append(f"{missing} slices of the data set are not in {path.name}: {UNUSED}")
    return StoredSplit(
        split=Split(f"csv:{path.name}", assignment, tuple(notes), leaks=leaks),
        rows=np.array(sorted(lines), dtype=np.int64),
        patients=np.array(patients, np.str_),
    )


def patients_of_split(path: str | os.PathLike[str], *, split: str) -> dict[str, int]:
    """Slices by patient that a split.csv of any data set has in `split`.

    Raises:
      DataError: no such file or not a CSV, no column patient, or an unknown split name.
    """
    path, counts = Path(path), Counter[str]()
    for line, record in _records(path):
        if not record.get("patient"):
            raise DataError(f"{path}, line {line}: no patient; expected the split.csv of a run")
        if _code(record["split"], where=f"{path}, line {line}") == SPLIT_CODES[split]:
            counts[record["patient"]] += 1
    return dict(counts)


def _records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers and records of the file."""
    return csv_records(
        path, required=REQUIRED, expected=", ".join(COLUMNS), content="the split CSV"
    )


def _code(split: str, *, where: str) -> int:
    if split not in SPLIT_CODES:
        raise DataError(f"{where}: unknown split {split!r}; {nearest(split, list(SPLIT_CODES))}")
    return SPLIT_CODES[split]


def _mark(mark: str, others: set[str], *, where: str) -> str:
    if mark not in ("", LEAKING_SLICES) or others - {mark}:
        raise DataError(
            f"{where}: {LEAKS} is {mark!r}; expected {LEAKING_SLICES!r} in every row of a split of "
            "slices, and no such column in one of whole patients"
        )
    return mark


def _check_label(label: str | None, code: int, *, where: str) -> None:
    if label and label != CLASS_NAMES[code]:
        raise DataError(
            f"{where}: label {label!r} differs from the data set's {CLASS_NAMES[code]!r}; "
            "correct the file: training uses the data set's labels"
        )
