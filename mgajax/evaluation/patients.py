"""From slices to patients: one vote of many slices."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from mgajax.evaluation.checks import ScoredExamples


@dataclass(frozen=True)
class Patients:
    """One row a patient, sorted by name.

    Attributes:
      names: str [n].
      labels: int64 [n], the patient's class; see `aggregate`.
      probabilities: float64 [n, k], mean over the patient's slices.
      positive_share: float64 [n], share of the patient's slices predicted as the positive class.
      several_labels: for each patient whose slices differ in label, the slices of each class code.
    """

    names: np.ndarray
    labels: Int64[np.ndarray, "n"]
    probabilities: Float[np.ndarray, "n k"]
    positive_share: Float[np.ndarray, "n"]
    several_labels: dict[str, dict[int, int]]


def aggregate(examples: ScoredExamples, *, positive: int) -> Patients:
    """Average the slices of each patient.

    Note: a patient whose slices carry several labels (a follow-up scan that has cleared, or a slice
    without findings) takes the most frequent one; of equals `positive`, else the lowest code. All
    such patients are listed.

    Args:
      examples: with patients.
      positive: class code whose share of the slices is counted.
    """
    if examples.patients is None:
        raise ValueError("aggregate: the examples have no patients")
    names, member = np.unique(examples.patients, return_inverse=True)
    counts = np.bincount(member).astype(np.float64)
    sums = np.stack([np.bincount(member, column) for column in examples.probabilities.T], axis=1)
    hits = np.bincount(member, examples.predicted == positive)
    labels = np.empty(len(names), np.int64)
    several: dict[str, dict[int, int]] = {}
    for index, own in enumerate(_groups(member, examples.labels)):
        tally = Counter(own.tolist())
        labels[index] = min(tally, key=lambda c: (-tally[c], c != positive, c))
        if len(tally) > 1:
            several[str(names[index])] = dict(sorted(tally.items()))
    return Patients(names, labels, sums / counts[:, None], hits / counts, several)


def _groups(member: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
    """`values` split by group 0, 1, …"""
    order = np.argsort(member, kind="stable")
    return np.split(values[order], np.cumsum(np.bincount(member))[:-1])
