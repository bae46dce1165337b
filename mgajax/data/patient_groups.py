"""Rows grouped by patient, and the `Split` that assigns whole patients.

Our splits assign patients, and their slices follow, so that no patient can be in two splits;
`assert_patient_disjoint` checks splits from outside.

Reading: ids are compared stripped (also around the "/" after the source) and case-folded, since the
curated set has ids with stray (non-breaking) spaces. Joining two spellings can only make groups larger,
never leak.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int8, Int64

from mgajax.data.columns import SliceColumns
from mgajax.errors import ConfigError, DataError, LeakageError, nearest
from mgajax.schema import CLASS_NAMES, SPLITS

UNUSED = "unused"
"""The name of code -1: a row outside all splits."""

SPLIT_CODES: dict[str, int] = {
    **{name: code for code, name in enumerate(SPLITS)},
    UNUSED: -1,
}


@dataclass(frozen=True, eq=False)
class Split:
    """Which split each row of a data set belongs to.

    Attributes:
      name: how it was made, e.g. "table2" or "fraction-0.30".
      assignment: int8 [n]; 0 train, 1 validation, 2 test, -1 left out.
      notes: lines for readers of results, e.g. on a class without a patient in validation.
      leaks: whether patients are in several splits on purpose. Only the kind `leaking_slices` sets
        it; it is written into split.csv.
    """

    name: str
    assignment: Int8[np.ndarray, " n"]
    notes: tuple[str, ...] = ()
    leaks: bool = False

    def indices(self, split: str) -> Int64[np.ndarray, " m"]:
        """The rows of `split` ("train", "validation", "test" or "unused"), ascending.

        Raises:
          ConfigError: no such split name.
        """
        return np.flatnonzero(self.assignment == split_code(split)).astype(np.int64)

    def counts(self, labels: Int[np.ndarray, " n"]) -> dict[str, dict[str, int]]:
        """Slices by split and class name: `counts(labels)["test"]["CAP"]`; JSON-ready."""
        table = class_counts(self.assignment, labels)
        return {
            split: {name: int(table[label, code]) for label, name in enumerate(CLASS_NAMES)}
            for code, split in enumerate(SPLITS)
        }


def split_code(split: str) -> int:
    """The code of a split name.

    Raises:
      ConfigError: no such split name.
    """
    if split not in SPLIT_CODES:
        raise ConfigError(f"split={split!r} is not known; {nearest(split, list(SPLIT_CODES))}")
    return SPLIT_CODES[split]


@dataclass(frozen=True, eq=False)
class PatientGroups:
    """The rows of a data set, grouped by patient.

    Attributes:
      keys: str [p], the distinct patients, sorted: results do not depend on the order of rows.
      sources: str [s], the distinct sources, sorted.
      rows: int64 [n], the patient of every row (index into `keys`).
      labels: int64 [n], the class of every row.
      source_codes: int64 [n], the source of every row (index into `sources`).
      counts: int64 [p, k, s], slices of each patient by class and source.
    """

    keys: np.ndarray
    sources: np.ndarray
    rows: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]
    source_codes: Int64[np.ndarray, " n"]
    counts: Int64[np.ndarray, "p k s"]

    def split(self, name: str, parts: Int[np.ndarray, " p"], *, notes: Sequence[str] = ()) -> Split:
        """The split that gives every row its patient's part (int [p], codes of `Split`)."""
        return Split(name, parts.astype(np.int8)[self.rows], tuple(notes))

    def all_parts_open(self) -> Bool[np.ndarray, "p 3"]:
        """`open_parts` of patients who may all go to every split."""
        return np.ones((len(self.keys), len(SPLITS)), bool)

    def counts_in(self, rows: Bool[np.ndarray, " n"]) -> Int64[np.ndarray, "p k s"]:
        """`counts` over the rows that are true in `rows`."""
        counts = np.zeros_like(self.counts)
        np.add.at(counts, (self.rows[rows], self.labels[rows], self.source_codes[rows]), 1)
        return counts

    def missing_classes(self, assignment: Int[np.ndarray, " n"]) -> tuple[str, ...]:
        """A line for each class of the data set that a split lacks."""
        table = class_counts(assignment, self.labels)
        return tuple(
            f"{CLASS_NAMES[label]} has no patient in {' and '.join(lacking)}"
            for label in np.flatnonzero(self.counts.sum(axis=(0, 2)))
            if (lacking := [SPLITS[part] for part in np.flatnonzero(table[label] == 0)])
        )


def group_patients(table: SliceColumns) -> PatientGroups:
    """Group rows by patient.

    Raises:
      DataError: no rows, a label outside the schema, or an empty patient id (all such rows would
        become one person).
    """
    codes = table.labels.astype(np.int64)
    if not len(codes):
        raise DataError("the data set has no rows to split; build it from a non-empty folder")
    if codes.min() < 0 or codes.max() >= len(CLASS_NAMES):
        row = int(np.flatnonzero((codes < 0) | (codes >= len(CLASS_NAMES)))[0])
        raise DataError(
            f"row {row}: label {codes[row]} is not in 0..{len(CLASS_NAMES) - 1} "
            f"({', '.join(CLASS_NAMES)}); use the schema's class codes"
        )
    keys, rows = np.unique(patient_keys(table.patients), return_inverse=True)
    sources, source_codes = np.unique(table.sources, return_inverse=True)
    counts = np.zeros((len(keys), len(CLASS_NAMES), len(sources)), np.int64)
    np.add.at(counts, (rows, codes, source_codes), 1)
    return PatientGroups(
        keys=keys,
        sources=sources,
        rows=rows.astype(np.int64),
        labels=codes,
        source_codes=source_codes.astype(np.int64),
        counts=counts,
    )


def patient_keys(patients: np.ndarray) -> np.ndarray:
    """The form in which patient ids are compared: stripped and case-folded, str [n].

    Raises:
      DataError: an id is empty.
    """
    keys = np.array(
        ["/".join(part.strip() for part in str(name).split("/")).casefold() for name in patients],
        dtype=str,
    )
    if (empty := np.flatnonzero((keys == "") | np.char.endswith(keys, "/"))).size:
        raise DataError(
            f"row {empty[0]}: patient id {str(patients[int(empty[0])])!r} is empty "
            f"({empty.size} rows in all); give every slice its patient"
        )
    return keys


def class_counts(
    assignment: Int[np.ndarray, " n"], labels: Int[np.ndarray, " n"]
) -> Int64[np.ndarray, "k 3"]:
    """Slices by class and split, left-out rows not counted."""
    table = np.zeros((len(CLASS_NAMES), len(SPLITS)), np.int64)
    assigned = assignment >= 0
    np.add.at(table, (labels[assigned], assignment[assigned]), 1)
    return table


def assert_patient_disjoint(split: Split, patients: np.ndarray) -> None:
    """Check that no patient is in two splits, unless the split is marked as leaking.

    Args:
      split: assignment of n rows; left-out rows do not count.
      patients: patient ids [n].

    Raises:
      DataError: `patients` has another length than the split.
      LeakageError: names the first patient in two splits, and the splits.
    """
    if len(patients) != len(split.assignment):
        raise DataError(
            f"split {split.name!r} has {len(split.assignment)} rows, the data set {len(patients)}; "
            "make the split from this data set"
        )
    if split.leaks:
        return
    rows, is_in = _splits_of_patients(split.assignment, patients)
    if (leaking := np.flatnonzero(is_in.sum(axis=1) > 1)).size:
        first = int(leaking[0])
        both = " and ".join(
            name for name, is_member in zip(SPLITS, is_in[first], strict=True) if is_member
        )
        raise LeakageError(
            f"split {split.name!r}: patient {str(patients[int(np.argmax(rows == first))])!r} is in "
            f"{both} ({leaking.size} such patients); keep all slices of a patient in one split"
        )


def leakage_note(assignment: Int[np.ndarray, " n"], patients: np.ndarray) -> str:
    """How many patients stand in several splits, as a line for `Split.notes`."""
    _, is_in = _splits_of_patients(assignment, patients)
    people = int(is_in.any(axis=1).sum())
    several = int((is_in.sum(axis=1) > 1).sum())
    return (
        f"LEAKS: {several} of {people} patients stand in several splits, since slices were divided "
        "and not patients; scores are too good and say nothing about new patients"
    )


def _splits_of_patients(
    assignment: Int[np.ndarray, " n"], patients: np.ndarray
) -> tuple[Int64[np.ndarray, " n"], Bool[np.ndarray, "p 3"]]:
    """The patient (a number) of every row, and whether each patient has slices in each split."""
    keys, rows = np.unique(patient_keys(patients), return_inverse=True)
    is_in = np.zeros((len(keys), len(SPLITS)), bool)
    assigned = assignment >= 0
    is_in[rows[assigned], assignment[assigned]] = True
    return rows.astype(np.int64), is_in
