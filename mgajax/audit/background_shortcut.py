"""Does the background tell the class? A small forest that sees no pixel of the body.

Any model may use what it reaches above chance instead of the lungs (DeGrave et al., Nat. Mach. Intell.
3, 2021). It is cross-validated over whole patients; the interval is a bootstrap over patients of the
predictions made out of fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int64, UInt8
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold

from mgajax.schema import CLASS_NAMES

FOLDS = 5
TREES = 100
LEAF = 5
"""Least slices in a leaf, so that a tree cannot remember single slices."""

THREADED = 2000
"""From so many slices on a forest uses several threads; with fewer it would be slower."""

REPLICATES = 1000
CONFIDENCE = 0.95
SEED = 0

FEATURES: tuple[str, ...] = (
    "height",
    "width",
    "aspect",
    "top edge mean",
    "top edge spread",
    "bottom edge mean",
    "bottom edge spread",
    "left edge mean",
    "left edge spread",
    "right edge mean",
    "right edge spread",
    "background mean",
    "background spread",
    "background 5 %",
    "background 25 %",
    "background median",
    "background 75 %",
    "background 95 %",
    "share of black",
    "share of white",
    "levels used",
)
"""Names of the columns of `background_features`."""

FAMILIES: dict[str, slice] = {
    "size of the frame": slice(0, 3),
    "edges of the frame": slice(3, 11),
    "grey levels outside the body": slice(11, 21),
}
"""Which columns belong together."""

NONE = -1.0
"""Stands for a statistic where there are no pixels."""


@dataclass(frozen=True)
class BalancedAccuracy:
    """Balanced accuracy of a prediction of the class, and its interval over patients."""

    accuracy: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """As plain JSON types."""
        return {"balanced_accuracy": self.accuracy, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Shortcut:
    """How well the background tells the class.

    Attributes:
      background: by all background features; None where there are too few patients.
      families: by each family of features.
      source: by the archive alone: its most frequent class in the other folds.
      chance: balanced accuracy of guessing.
      classes: those that took part.
      left_out: why something could not be checked; "" otherwise.
    """

    background: BalancedAccuracy | None
    families: dict[str, BalancedAccuracy]
    source: BalancedAccuracy | None
    chance: float
    classes: tuple[str, ...]
    left_out: str

    @property
    def is_above_chance(self) -> bool:
        """Whether the interval of the background lies above chance."""
        return self.background is not None and self.background.low > self.chance

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "model": f"random forest, {TREES} trees, {LEAF} slices a leaf, {FOLDS} folds at most",
            "background": self.background and self.background.to_json(),
            "families": {name: accuracy.to_json() for name, accuracy in self.families.items()},
            "source": self.source and self.source.to_json(),
            "chance": self.chance,
            "above_chance": self.is_above_chance,
            "classes": list(self.classes),
            "left_out": self.left_out,
            "interval": f"{CONFIDENCE:.0%}, bootstrap over patients",
        }


def background_features(
    picture: UInt8[np.ndarray, "h w"], body: Bool[np.ndarray, "h w"] | None
) -> Float32[np.ndarray, "features"]:
    """Statistics of the frame's size and of the pixels outside the body, by `FEATURES`.

    Args:
      picture: grey levels.
      body: from `imaging.body.foreground`; None counts every pixel as body.
    """
    height, width = picture.shape
    outside = np.zeros(picture.shape, bool) if body is None else ~body
    features = [height, width, width / height]
    for edge, is_outside in zip(_edges(picture), _edges(outside), strict=True):
        levels = edge[is_outside]
        features += [levels.mean(), levels.std()] if levels.size else [NONE, NONE]
    return np.array([*features, *_level_statistics(picture[outside])], np.float32)


def _edges(picture: np.ndarray) -> tuple[np.ndarray, ...]:
    """Top, bottom, left and right line."""
    return picture[0], picture[-1], picture[:, 0], picture[:, -1]


def _level_statistics(levels: UInt8[np.ndarray, "n"]) -> list[float]:
    """Statistics of grey levels, from their histogram."""
    count = levels.size
    if not count:
        return [NONE] * (len(FEATURES) - FAMILIES["edges of the frame"].stop)
    histogram = np.bincount(levels, minlength=256)
    values = np.arange(256)
    mean = float(histogram @ values / count)
    spread = float(np.sqrt(histogram @ np.square(values - mean) / count))
    below = np.cumsum(histogram)
    shares = [np.searchsorted(below, share * count) for share in (0.05, 0.25, 0.5, 0.75, 0.95)]
    extremes = (histogram[0] / count, histogram[255] / count, np.count_nonzero(histogram))
    return [mean, spread, *map(float, shares), *map(float, extremes)]


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
      background: see `background_features`.
      labels: class codes.
      sources: archives.
      people: whose slice each is.
    """
    counts = {code: len(np.unique(people[labels == code])) for code in range(len(CLASS_NAMES))}
    usable = [code for code, count in counts.items() if count >= 2]
    few = [CLASS_NAMES[code] for code, count in counts.items() if 0 < count < 2]
    reason = f"{', '.join(few)}: fewer than two patients" if few else ""
    if len(usable) < 2:
        return Shortcut(None, {}, None, 1.0, (), reason or "only one class")
    rows = np.flatnonzero(np.isin(labels, usable))
    truth, groups = np.searchsorted(usable, labels[rows]), people[rows]
    splitter = StratifiedGroupKFold(
        min(FOLDS, *(counts[code] for code in usable)), shuffle=True, random_state=SEED
    )
    folds = [test for _, test in splitter.split(rows, truth, groups)]

    def measure(features: np.ndarray) -> BalancedAccuracy:
        predicted = _predict_out_of_fold(features[rows], truth, folds)
        return _measure_accuracy(predicted, truth=truth, groups=groups)

    codes = np.unique(np.asarray(sources).astype(str), return_inverse=True)[1]
    return Shortcut(
        background=measure(background),
        families={name: measure(background[:, columns]) for name, columns in FAMILIES.items()},
        source=measure(np.eye(codes.max() + 1, dtype=np.float32)[codes]),
        chance=1 / len(usable),
        classes=tuple(CLASS_NAMES[code] for code in usable),
        left_out=reason,
    )


def _predict_out_of_fold(
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


def _measure_accuracy(
    predicted: Int64[np.ndarray, "n"], *, truth: Int64[np.ndarray, "n"], groups: np.ndarray
) -> BalancedAccuracy:
    """Balanced accuracy, resampled over people. A draw without a class averages the other classes."""
    people = np.unique(groups, return_inverse=True)[1]
    classes = int(truth.max()) + 1
    counts = np.zeros((2, people.max() + 1, classes))
    np.add.at(counts[0], (people, truth), 1)
    np.add.at(counts[1], (people, truth), predicted == truth)
    draws = np.random.default_rng(SEED).multinomial(
        counts.shape[1], np.full(counts.shape[1], 1 / counts.shape[1]), size=REPLICATES
    )
    sampled = _balanced_accuracies(draws @ counts[1], draws @ counts[0])
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(sampled, [tail, 100 - tail])
    (value,) = _balanced_accuracies(counts[1].sum(axis=0)[None], counts[0].sum(axis=0)[None])
    return BalancedAccuracy(float(value), float(low), float(high))


def _balanced_accuracies(
    right: Float64[np.ndarray, "draws classes"], total: Float64[np.ndarray, "draws classes"]
) -> Float64[np.ndarray, "draws"]:
    recall = np.divide(right, total, out=np.full(total.shape, np.nan), where=total > 0)
    return np.nanmean(recall, axis=1)
