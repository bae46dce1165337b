"""The checks of input that all metrics share."""

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


def checked_examples(
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
    y = _checked_labels(y, classes)
    names = checked_names(patients, n=len(y), what="patients")
    origins = checked_names(sources, n=len(y), what="sources")
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


def _checked_labels(y: np.ndarray, classes: int) -> np.ndarray:
    wrong = (y < 0) | (y >= classes) | (y != np.floor(y)) | ~np.isfinite(y)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"labels[{row}] is {y[row]}, expected an integer in 0 … {classes - 1}; "
            f"{wrong.sum()} such labels"
        )
    return y.astype(np.int64)


def checked_names(
    names: Sequence[str] | np.ndarray | None, *, n: int, what: str
) -> np.ndarray | None:
    """A column of names, str [n], or None where unknown.

    Raises:
      DataError: another number than `n`, or an empty name.
    """
    if names is None:
        return None
    column = np.asarray(names).astype(str)
    if column.shape != (n,):
        raise DataError(f"{what}: shape {column.shape}, expected ({n},), one for each example")
    if (column == "").any():
        row = int(np.flatnonzero(column == "")[0])
        raise DataError(f"{what}[{row}] is empty, expected a name; pass {what}=None if unknown")
    return column
