"""ROC and precision-recall curves with bootstrap bands, each class against the rest.

A band is pointwise: at each false positive rate (or recall) the interval of the replicates' heights
there, from the same resampling of whole patients that gives the intervals of the areas.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mgajax.evaluation.bootstrap import Intervals, make_clusters, multiplicities, ratio
from mgajax.evaluation.ranking import by_threshold

GRID = np.linspace(0.0, 1.0, 101)
TINY = 1e-9
"""Precision at recall 0 is that of the first hit, and rounding must not push recall 1 out of reach."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve and its band.

    Attributes:
      x: float64 [t], false positive rates or recalls, ascending.
      y: float64 [t], true positive rates or precisions.
      grid: float64 [g], where the band is known, from 0 to 1.
      low: float64 [g], its lower end; None without replicates.
      high: float64 [g], its upper end.
    """

    x: Float[np.ndarray, "t"]
    y: Float[np.ndarray, "t"]
    grid: Float[np.ndarray, "g"]
    low: Float[np.ndarray, "g"] | None
    high: Float[np.ndarray, "g"] | None


@dataclass(frozen=True, eq=False)
class Ranking:
    """How well one class is ranked above the rest.

    Attributes:
      roc: true positive rate over false positive rate.
      precision_recall: precision over recall.
      share: of the examples that are of the class, which is a blind guess's precision.
    """

    roc: Curve
    precision_recall: Curve
    share: float


def ranking_bands(
    probabilities: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, "n"],
    patients: np.ndarray | None,
    *,
    class_names: tuple[str, ...],
    settings: Intervals,
) -> dict[str, Ranking]:
    """The curves of each class against the rest; a class without examples, or alone, has none.

    Args:
      probabilities: of the k classes.
      labels: 0 … k-1.
      patients: str [n], resampled whole; None: slices are.
      class_names: k names.
      settings: of the bootstrap, as in the report's `intervals`; 0 replicates give no bands.
    """
    clusters = make_clusters(patients, labels, class_names=class_names)
    drawn = multiplicities(clusters.stratum, replicates=settings.replicates, seed=settings.seed)
    weights = drawn[:, clusters.member]
    curves = {}
    for code, name in enumerate(class_names):
        positive = labels == code
        if positive.any() and not positive.all():
            scores = probabilities[:, code]
            curves[name] = _ranking(scores, positive, weights, confidence=settings.confidence)
    return curves


def _ranking(
    scores: Float[np.ndarray, "n"],
    positive: Bool[np.ndarray, "n"],
    weights: Int[np.ndarray, "r n"],
    *,
    confidence: float,
) -> Ranking:
    once = np.ones((1, len(scores)), np.int64)
    fpr, tpr, precision = (rates[0] for rates in _rates(scores, positive, once))
    rocs, precisions = [], []
    for one_fpr, one_tpr, one_precision in zip(*_rates(scores, positive, weights), strict=True):
        rocs.append(np.interp(GRID, one_fpr, one_tpr))
        places = np.searchsorted(one_tpr, np.clip(GRID, TINY, 1 - TINY))
        precisions.append(one_precision[places])
    return Ranking(
        Curve(fpr, tpr, GRID, *_band(rocs, confidence)),
        Curve(tpr[1:], precision[1:], GRID, *_band(precisions, confidence)),
        float(positive.mean()),
    )


def _rates(
    scores: Float[np.ndarray, "n"], positive: Bool[np.ndarray, "n"], weights: Int[np.ndarray, "r n"]
) -> tuple[Float[np.ndarray, "r t"], ...]:
    """False and true positive rates and precisions as the threshold falls, from none called."""
    gained, lost = by_threshold(scores, positive, weights)
    start = np.zeros((len(weights), 1))
    hits = np.concatenate([start, np.cumsum(gained, axis=1)], axis=1)
    alarms = np.concatenate([start, np.cumsum(lost, axis=1)], axis=1)
    fpr, tpr = (ratio(part, np.broadcast_to(part[:, -1:], part.shape)) for part in (alarms, hits))
    return fpr, tpr, ratio(hits, hits + alarms)


def _band(
    heights: list[np.ndarray], confidence: float
) -> tuple[Float[np.ndarray, "g"] | None, Float[np.ndarray, "g"] | None]:
    if not heights:
        return None, None
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.stack(heights), [tail, 1 - tail], axis=0)
    return low, high
