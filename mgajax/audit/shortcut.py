"""Can the class be told where there is no body? A small forest on background pixels alone.

What it reaches above chance is there for any model to pick up instead of the lungs (DeGrave et al.,
Nat. Mach. Intell. 3, 2021). It is cross-validated over whole patients; the interval is a bootstrap
over patients of the predictions made out of fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int64
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold

from mgajax.audit.background import FAMILIES
from mgajax.schema import CLASS_NAMES

FOLDS = 5
TREES = 100
LEAF = 5
"""Slices in a leaf at least, so that a tree cannot remember single slices."""

THREADED = 2000
"""Slices from which a forest grows on several threads; below, handing out trees takes longer."""

REPLICATES = 1000
CONFIDENCE = 0.95
SEED = 0


@dataclass(frozen=True)
class BalancedAccuracy:
    """How well something tells the class: balanced accuracy, and its interval over patients."""

    accuracy: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """As plain JSON types."""
        return {"balanced_accuracy": self.accuracy, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Shortcut:
    """The shortcut check.

    Attributes:
      background: what all background features tell; None where too few patients are there.
      families: what each family of features tells.
      source: what the archive alone tells, by its most frequent class in the other folds.
      chance: balanced accuracy of guessing.
      classes: those that took part.
      left_out: why something could not be checked; "" otherwise.
    """

    background: BalancedAccuracy | None
    families: dict[str, BalancedAccuracy]
    source: BalancedAccuracy | None
    chance: float
    classes: tuple[str, ...]
    left_out: str = ""

    @property
    def is_above_chance(self) -> bool:
        """Whether the interval of the background lies above chance."""
        return self.background is not None and self.background.low > self.chance

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "model": f"random forest, {TREES} trees, {LEAF} slices a leaf, {FOLDS} folds at most",
            "background": self.background and self.background.to_json(),
            "families": {name: told.to_json() for name, told in self.families.items()},
            "source": self.source and self.source.to_json(),
            "chance": self.chance,
            "above_chance": self.is_above_chance,
            "classes": list(self.classes),
            "left_out": self.left_out,
            "interval": f"{CONFIDENCE:.0%}, bootstrap over patients",
        }


def check_shortcut(
    background: Float32[np.ndarray, "n features"],
    *,
    labels: Int[np.ndarray, "n"],
    sources: Sequence[str] | np.ndarray,
    people: Int[np.ndarray, "n"],
) -> Shortcut:
    """Predict the class from the background, from each family of its features, from the source.

    Classes of fewer than two patients are left out, since they cannot be cross-validated.

    Args:
      background: see `background.background_features`.
      labels: class codes.
      sources: archives.
      people: whose slice each is.
    """
    counts = {code: len(np.unique(people[labels == code])) for code in range(len(CLASS_NAMES))}
    usable = [code for code, count in counts.items() if count >= 2]
    few = [CLASS_NAMES[code] for code, count in counts.items() if 0 < count < 2]
    why = f"{', '.join(few)}: fewer than two patients" if few else ""
    if len(usable) < 2:
        return Shortcut(None, {}, None, 1.0, (), why or "only one class")
    rows = np.flatnonzero(np.isin(labels, usable))
    truth, groups = np.searchsorted(usable, labels[rows]), people[rows]
    splitter = StratifiedGroupKFold(
        min(FOLDS, *(counts[code] for code in usable)), shuffle=True, random_state=SEED
    )
    folds = [test for _, test in splitter.split(rows, truth, groups)]

    def told(features: np.ndarray) -> BalancedAccuracy:
        predicted = _out_of_fold(features[rows], truth, folds)
        return _with_interval(predicted, truth=truth, groups=groups)

    codes = np.unique(np.asarray(sources).astype(str), return_inverse=True)[1]
    return Shortcut(
        background=told(background),
        families={name: told(background[:, columns]) for name, columns in FAMILIES.items()},
        source=told(np.eye(codes.max() + 1, dtype=np.float32)[codes]),
        chance=1 / len(usable),
        classes=tuple(CLASS_NAMES[code] for code in usable),
        left_out=why,
    )


def _out_of_fold(
    features: Float[np.ndarray, "n f"], truth: Int64[np.ndarray, "n"], folds: list[np.ndarray]
) -> Int64[np.ndarray, "n"]:
    predicted = np.zeros_like(truth)
    jobs = -1 if len(truth) >= THREADED else 1
    for test in folds:
        train = np.setdiff1d(np.arange(len(truth)), test)
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=LEAF, class_weight="balanced", n_jobs=jobs, random_state=SEED
        )
        forest.fit(features[train], truth[train])
        predicted[test] = forest.predict(features[test])
    return predicted


def _with_interval(
    predicted: Int64[np.ndarray, "n"], *, truth: Int64[np.ndarray, "n"], groups: np.ndarray
) -> BalancedAccuracy:
    """Balanced accuracy, resampled over people. A draw without a class takes the others' mean."""
    people = np.unique(groups, return_inverse=True)[1]
    classes = int(truth.max()) + 1
    counts = np.zeros((2, people.max() + 1, classes))
    np.add.at(counts[0], (people, truth), 1)
    np.add.at(counts[1], (people, truth), predicted == truth)
    draws = np.random.default_rng(SEED).multinomial(
        counts.shape[1], np.full(counts.shape[1], 1 / counts.shape[1]), size=REPLICATES
    )
    sampled = _balanced(draws @ counts[1], draws @ counts[0])
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(sampled, [tail, 100 - tail])
    (value,) = _balanced(counts[1].sum(axis=0)[None], counts[0].sum(axis=0)[None])
    return BalancedAccuracy(float(value), float(low), float(high))


def _balanced(
    right: Float64[np.ndarray, "draws classes"], total: Float64[np.ndarray, "draws classes"]
) -> Float64[np.ndarray, "draws"]:
    recall = np.divide(right, total, out=np.full(total.shape, np.nan), where=total > 0)
    return np.nanmean(recall, axis=1)
