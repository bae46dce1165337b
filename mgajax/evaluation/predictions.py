"""The predictions of one split as a table, each example once; the CSV keeps every bit of a float."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from mgajax import schema
from mgajax.errors import DataError, nearest
from mgajax.files import cell, write_csv

LEADING = ("file_name", "split", "label", "predicted")
TRAILING = ("patient", "source")


@dataclass(frozen=True)
class Predictions:
    """Probabilities of each example, with its name, label, patient and source.

    Attributes:
      file_names: str [n], unique.
      labels: integers [n].
      probabilities: float64 [n, k].
      patients: str [n]; '' throughout where nobody knows them.
      sources: likewise.
      split: name of the split that all rows belong to, or of another set.
      overlap: further float64 columns [n] by name (see `lesion_overlap`); NaN where undefined.
      class_names: k names in label order.
    """

    file_names: np.ndarray
    labels: Int[np.ndarray, "n"]
    probabilities: Float[np.ndarray, "n k"]
    patients: np.ndarray
    sources: np.ndarray
    split: str
    overlap: dict[str, np.ndarray] = field(default_factory=dict)
    class_names: tuple[str, ...] = schema.CLASS_NAMES

    def __post_init__(self) -> None:
        n = len(self.file_names)
        columns = {
            "labels": self.labels,
            "probabilities": self.probabilities,
            "patients": self.patients,
            "sources": self.sources,
            **self.overlap,
        }
        for name, column in columns.items():
            if len(column) != n:
                raise DataError(f"predictions: {len(column)} {name}, but {n} file_names")

    def __len__(self) -> int:
        return len(self.file_names)

    @property
    def predicted(self) -> Int[np.ndarray, "n"]:
        """The class of the highest probability; the first of equals."""
        return self.probabilities.argmax(axis=1)

    @property
    def known_patients(self) -> np.ndarray | None:
        """Patients, str [n]; None where nobody knows them."""
        return self.patients if (self.patients != "").any() else None

    @property
    def known_sources(self) -> np.ndarray | None:
        """Sources, str [n]; None where nobody knows them."""
        return self.sources if (self.sources != "").any() else None

    def select(self, rows: np.ndarray) -> "Predictions":
        """The predictions of some rows: their numbers, or whether each is one of them."""
        columns = ("file_names", "labels", "probabilities", "patients", "sources")
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in columns},
            overlap={name: column[rows] for name, column in self.overlap.items()},
        )

    def class_counts(self) -> dict[str, dict[str, int | None]]:
        """Slices and patients by class name; a patient counts in each class that its slices have.

        Patients are None where nobody knows them.
        """
        members = {name: self.labels == label for label, name in enumerate(self.class_names)}
        people = self.known_patients
        return {
            name: {
                "slices": int(rows.sum()),
                "patients": None if people is None else len(np.unique(people[rows])),
            }
            for name, rows in members.items()
        }

    def class_shares(self) -> dict[str, dict[str, int | float]]:
        """By class name, how many slices are called so, and their share of all."""
        counts = np.bincount(self.predicted, minlength=len(self.class_names)).tolist()
        return {
            name: {"slices": count, "share": count / len(self)}
            for name, count in zip(self.class_names, counts, strict=True)
        }

    def write_csv(self, path: Path) -> Path:
        """Write all rows, atomically.

        Floats are written in the shortest form that reads back to the same float64; an undefined
        overlap is an empty cell. Columns: file_name, split, label, predicted, p_CLASS …, patient,
        source, then the overlap columns.
        """
        return write_csv(self._lines(), path)

    def _lines(self) -> list[list[str]]:
        names = self.class_names
        lines = [[*LEADING, *(f"p_{name}" for name in names), *TRAILING, *self.overlap]]
        for i, predicted in enumerate(self.predicted):
            leading = (self.file_names[i], self.split, names[self.labels[i]], names[predicted])
            values = map(cell, self.probabilities[i])
            further = (cell(column[i]) for column in self.overlap.values())
            lines.append([*leading, *values, self.patients[i], self.sources[i], *further])
        return lines


def concatenate(tables: Sequence[Predictions]) -> Predictions:
    """Predictions of different slices as one table, in the order given; overlap where all have it.

    Raises:
      DataError: none given, other classes, or a slice that is in two of them.
    """
    classes = {table.class_names for table in tables}
    if len(classes) != 1:
        listed = " and ".join(str(names) for names in sorted(classes)) or "no table"
        raise DataError(f"predictions to join: {listed}; expected tables of the same classes")
    columns = {
        name: np.concatenate([getattr(table, name) for table in tables])
        for name in ("file_names", "labels", "probabilities", "patients", "sources")
    }
    repeated = _find_repeated(columns["file_names"])
    if repeated:
        raise DataError(
            f"predictions to join: {repeated[0]!r} is in several ({len(repeated)} such slices), expected "
            "each slice once; join runs whose test sets are apart"
        )
    shared = [name for name in tables[0].overlap if all(name in table.overlap for table in tables)]
    return Predictions(
        **columns,
        split=tables[0].split,
        overlap={
            name: np.concatenate([table.overlap[name] for table in tables]) for name in shared
        },
        class_names=tables[0].class_names,
    )


def read_csv(path: Path) -> Predictions:
    """Read what `write_csv` wrote, for a user's own tables and comparisons of runs.

    Raises:
      DataError: no such file, a missing column, a row that is short, repeated, of another split, or
        with an unreadable number, an unknown class or a `predicted` that is not the argmax.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = tuple(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as predictions: {error}") from error
    class_names = _class_names(path, columns)
    _check_cells(path, rows, columns)
    overlap_names = columns[len(LEADING) + len(class_names) + len(TRAILING) :]
    overlap = _numbers(path, rows, list(overlap_names))
    splits = sorted({row["split"] for row in rows})
    if len(splits) > 1:
        raise DataError(f"{path}: splits {', '.join(splits)} in one file, expected one split")
    table = Predictions(
        file_names=_strings(rows, "file_name"),
        labels=_codes(path, rows, "label", class_names),
        probabilities=_numbers(path, rows, [f"p_{name}" for name in class_names]),
        patients=_strings(rows, "patient"),
        sources=_strings(rows, "source"),
        split=splits[0] if splits else "",
        overlap=dict(zip(overlap_names, overlap.T.copy(), strict=True)),
        class_names=class_names,
    )
    _check_unique(path, table.file_names)
    wrong = np.flatnonzero(_codes(path, rows, "predicted", class_names) != table.predicted)
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"{path}, line {row + 2}: predicted is {rows[row]['predicted']!r}, but the highest "
            f"probability is that of {class_names[table.predicted[row]]!r}; write the file anew"
        )
    return table


def _check_unique(path: Path, names: np.ndarray) -> None:
    repeated = _find_repeated(names)
    if repeated:
        raise DataError(
            f"{path}: {repeated[0]!r} stands in several rows ({len(repeated)} such slices), expected each "
            "slice once; write the file anew"
        )


def _find_repeated(names: np.ndarray) -> list[str]:
    return [name for name, count in Counter(names.tolist()).items() if count > 1]


def _class_names(path: Path, columns: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name.removeprefix("p_") for name in columns if name.startswith("p_"))
    expected = (*LEADING, *(f"p_{name}" for name in names), *TRAILING)
    if len(names) < 2 or columns[: len(expected)] != expected:
        shown = ", ".join(columns) or "nothing"
        columns_expected = ", ".join((*LEADING, "p_CLASS …", *TRAILING))
        raise DataError(
            f"{path}: columns {shown}; expected {columns_expected}, then overlap columns"
        )
    return names


def _check_cells(path: Path, rows: list[dict[str, str]], columns: tuple[str, ...]) -> None:
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataError(f"{path}, line {line}: not the {len(columns)} cells of the header")


def _strings(rows: list[dict[str, str]], column: str) -> np.ndarray:
    return np.array([row[column] for row in rows], dtype=str)


def _codes(
    path: Path, rows: list[dict[str, str]], column: str, class_names: tuple[str, ...]
) -> np.ndarray:
    for line, row in enumerate(rows, start=2):
        if row[column] not in class_names:
            hint = nearest(str(row[column]), class_names)
            raise DataError(f"{path}, line {line}: {column} is {row[column]!r}; {hint}")
    return np.array([class_names.index(row[column]) for row in rows], dtype=np.int64)


def _numbers(path: Path, rows: list[dict[str, str]], columns: list[str]) -> np.ndarray:
    table = np.empty((len(rows), len(columns)))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            try:
                undefined = row[column] == "" and not column.startswith("p_")
                table[i, j] = np.nan if undefined else float(row[column])
            except ValueError:
                raise DataError(
                    f"{path}, line {i + 2}: {column} is {row[column]!r}, expected a number"
                ) from None
    return table
