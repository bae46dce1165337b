"""What all metrics start from: checked examples with their probabilities, and patients made of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float, Int64, Num

from mgajax.errors import DataError

SUM_TOLERANCE = 1e-4
"""How far a row of probabilities may be from one; a float32 softmax stays within 1e-6."""


@dataclass(frozen=True)
class ScoredExamples:
    """Checked examples in an order that depends on their content alone.

    Attributes:
      probabilities: float64 [n, k], as given.
      labels: int64 [n], in 0 … k-1.
      patients: str [n], or None when unknown.
      sources: str [n], or None when unknown.
    """

    probabilities: Float[np.ndarray, "n k"]
    labels: Int64[np.ndarray, "n"]
    patients: np.ndarray | None
    sources: np.ndarray | None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> Int64[np.ndarray, "n"]:
        """The class of the highest probability; the first of equals."""
        return self.probabilities.argmax(axis=1)

    def select(self, rows: np.ndarray) -> "ScoredExamples":
        """The examples at `rows` (a mask or indices)."""
        return ScoredExamples(
            probabilities=self.probabilities[rows],
            labels=self.labels[rows],
            patients=None if self.patients is None else self.patients[rows],
            sources=None if self.sources is None else self.sources[rows],
        )


@dataclass(frozen=True)
class Patients:
    """One row a patient, sorted by name.

    Attributes:
      names: str [n].
      labels: int64 [n], the patient's class; see `aggregate_patients`.
      probabilities: float64 [n, k], mean over the patient's slices.
      positive_share: float64 [n], share of the patient's slices predicted as the positive class.
      several_labels: for each patient whose slices differ in label, the slices of each class code.
    """

    names: np.ndarray
    labels: Int64[np.ndarray, "n"]
    probabilities: Float[np.ndarray, "n k"]
    positive_share: Float[np.ndarray, "n"]
    several_labels: dict[str, dict[int, int]]

    def as_examples(self) -> ScoredExamples:
        """One example a patient, of its mean probabilities."""
        return ScoredExamples(self.probabilities, self.labels, self.names, None)


def check_examples(
    probabilities: Num[ArrayLike, "..."],
    labels: Num[ArrayLike, "..."],
    *,
    classes: int,
    patients: Sequence[str] | np.ndarray | None = None,
    sources: Sequence[str] | np.ndarray | None = None,
) -> ScoredExamples:
    """Check the columns and bring them into canonical order (by patient, label, probabilities).

    The order makes every sum and every bootstrap draw independent of the order in which the
    examples arrived: equal inputs give equal bits.

    Raises:
      DataError: wrong shape or length, no example, a value that is not a probability, a row that
        does not sum to one, a label out of range, an empty patient or source.
    """
    p, y = np.asarray(probabilities), np.asarray(labels)
    _check_shapes(p, y, classes)
    _check_probabilities(p := p.astype(np.float64))
    y = _check_labels(y, classes)
    names = check_names(patients, n=len(y), argument="patients")
    origins = check_names(sources, n=len(y), argument="sources")
    keys = [*p.T[::-1], y] + [column for column in (origins, names) if column is not None]
    return ScoredExamples(p, y, names, origins).select(np.lexsort(keys))


def _check_shapes(p: np.ndarray, y: np.ndarray, classes: int) -> None:
    if p.ndim != 2 or p.shape[1] != classes:
        raise DataError(f"probabilities: shape {p.shape}, expected (n, {classes})")
    if y.shape != (len(p),):
        raise DataError(f"labels: shape {y.shape}, expected ({len(p)},) as probabilities has rows")
    if not len(p):
        raise DataError("probabilities: no rows; expected at least one example to evaluate")


def _check_probabilities(p: np.ndarray) -> None:
    wrong = ~(np.isfinite(p) & (p >= -SUM_TOLERANCE) & (p <= 1 + SUM_TOLERANCE))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"probabilities[{row}, {column}] is {p[row, column]}, expected a value in [0, 1]; "
            f"{wrong.sum()} such values"
        )
    off = np.abs(p.sum(axis=1) - 1) > SUM_TOLERANCE
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise DataError(
            f"probabilities[{row}] sums to {p[row].sum():.6g}, expected 1 ± {SUM_TOLERANCE:g}; "
            f"{off.sum()} such rows; pass the softmax of the logits"
        )


def _check_labels(y: np.ndarray, classes: int) -> np.ndarray:
    wrong = (y < 0) | (y >= classes) | (y != np.floor(y)) | ~np.isfinite(y)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"labels[{row}] is {y[row]}, expected an integer in 0 … {classes - 1}; "
            f"{wrong.sum()} such labels"
        )
    return y.astype(np.int64)


def check_names(
    names: Sequence[str] | np.ndarray | None, *, n: int, argument: str
) -> np.ndarray | None:
    """A column of names, str [n], or None where unknown.

    Raises:
      DataError: another number than `n`, or an empty name.
    """
    if names is None:
        return None
    column = np.asarray(names).astype(str)
    if column.shape != (n,):
        raise DataError(f"{argument}: shape {column.shape}, expected ({n},), one for each example")
    if (column == "").any():
        row = int(np.flatnonzero(column == "")[0])
        raise DataError(
            f"{argument}[{row}] is empty, expected a name; pass {argument}=None if unknown"
        )
    return column


def aggregate_patients(examples: ScoredExamples, *, positive: int) -> Patients:
    """Average the slices of each patient.

    Note: slices of one patient may have several labels (a follow-up scan that has cleared, or a slice
    without findings). The patient's label is the most frequent one; of equals `positive`, else the
    lowest code. All such patients are listed.

    Args:
      examples: with patients.
      positive: class code whose share of a patient's slices is counted.
    """
    if examples.patients is None:
        raise ValueError("aggregate_patients: the examples have no patients")
    names, member = np.unique(examples.patients, return_inverse=True)
    counts = np.bincount(member).astype(np.float64)
    sums = np.stack([np.bincount(member, column) for column in examples.probabilities.T], axis=1)
    hits = np.bincount(member, examples.predicted == positive)
    labels = np.empty(len(names), np.int64)
    several: dict[str, dict[int, int]] = {}
    for index, patient_labels in enumerate(_split_by_group(examples.labels, member)):
        tally = Counter(patient_labels.tolist())
        labels[index] = min(tally, key=lambda c: (-tally[c], c != positive, c))
        if len(tally) > 1:
            several[str(names[index])] = dict(sorted(tally.items()))
    return Patients(names, labels, sums / counts[:, None], hits / counts, several)


def _split_by_group(values: np.ndarray, member: np.ndarray) -> list[np.ndarray]:
    """`values` split by group 0, 1, …"""
    order = np.argsort(member, kind="stable")
    return np.split(values[order], np.cumsum(np.bincount(member))[:-1])
