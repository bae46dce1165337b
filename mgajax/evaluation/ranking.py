"""How well scores rank: ROC and precision-recall, as areas of many resamples and as curves with bands.

A resample is a row of multiplicities: how often each example was drawn. Scores are sorted once;
each resample then costs a few cumulative sums. A band is pointwise: at each false positive rate (or
recall) the interval of the resampled curves' heights, from the same resampling of whole patients
that gives the intervals of the areas.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from mgajax.evaluation.bootstrap import IntervalSettings, make_clusters, ratio, resample

GRID = np.linspace(0.0, 1.0, 101)
ROUNDING = 1e-9
"""Kept from both ends of the recalls: at recall 0 the precision of the first hit is meant, and a
recall of 1 is not missed by rounding."""


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
class RankingCurves:
    """How well one class is ranked above the rest.

    Attributes:
      roc: true positive rate over false positive rate.
      precision_recall: precision over recall.
      share: share of the examples that are of the class: the precision of a blind guess.
    """

    roc: Curve
    precision_recall: Curve
    share: float


def roc_auc(
    scores: Num[np.ndarray, "n"], positive: Bool[np.ndarray, "n"], weights: Num[np.ndarray, "r n"]
) -> Float[np.ndarray, "r"]:
    """The chance that a positive example scores above a negative one, ties counting one half.

    Args:
      scores: the higher, the more likely positive.
      positive: which examples are positive.
      weights: multiplicities, one row a replicate.

    Returns:
      float64; NaN for a replicate without a positive or without a negative example. Equal to
      scikit-learn's `roc_auc_score` on the resampled data.
    """
    positives, negatives = _count_by_score(scores, positive, weights)
    below = np.cumsum(negatives[:, ::-1], axis=1)[:, ::-1] - negatives
    wins = (positives * (below + 0.5 * negatives)).sum(axis=1)
    return ratio(wins, positives.sum(axis=1) * negatives.sum(axis=1))


def average_precision(
    scores: Num[np.ndarray, "n"], positive: Bool[np.ndarray, "n"], weights: Num[np.ndarray, "r n"]
) -> Float[np.ndarray, "r"]:
    """Precision averaged over the steps in recall; arguments as `roc_auc`.

    Returns:
      float64; NaN for a replicate without a positive example. Equal to scikit-learn's
      `average_precision_score` on the resampled data.
    """
    positives, negatives = _count_by_score(scores, positive, weights)
    hits = np.cumsum(positives, axis=1)
    precision = np.nan_to_num(ratio(hits, hits + np.cumsum(negatives, axis=1)))
    return ratio((positives * precision).sum(axis=1), hits[:, -1])


def ranking_curves(
    probabilities: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, "n"],
    patients: np.ndarray | None,
    *,
    class_names: tuple[str, ...],
    settings: IntervalSettings,
) -> dict[str, RankingCurves]:
    """The curves of each class against the rest.

    Args:
      probabilities: of the k classes.
      labels: 0 … k-1.
      patients: str [n], resampled whole; None: slices are.
      class_names: k names.
      settings: of the bootstrap, as in the report's `intervals`; 0 replicates give no bands.

    Returns:
      By class name, without classes that no example or every example belongs to.
    """
    clusters = make_clusters(patients, labels, class_names=class_names)
    weights = resample(clusters, settings=settings)[:, clusters.member]
    curves = {}
    for code, name in enumerate(class_names):
        positive = labels == code
        if positive.any() and not positive.all():
            scores = probabilities[:, code]
            curves[name] = _curves(scores, positive, weights, confidence=settings.confidence)
    return curves


def _curves(
    scores: Float[np.ndarray, "n"],
    positive: Bool[np.ndarray, "n"],
    weights: Int[np.ndarray, "r n"],
    *,
    confidence: float,
) -> RankingCurves:
    original = np.ones((1, len(scores)), np.int64)
    fpr, tpr, precision = (rates[0] for rates in _rates(scores, positive, original))
    roc_heights, precision_heights = [], []
    for resampled in zip(*_rates(scores, positive, weights), strict=True):
        resampled_fpr, resampled_tpr, resampled_precision = resampled
        roc_heights.append(np.interp(GRID, resampled_fpr, resampled_tpr))
        index = np.searchsorted(resampled_tpr, np.clip(GRID, ROUNDING, 1 - ROUNDING))
        precision_heights.append(resampled_precision[index])
    return RankingCurves(
        Curve(fpr, tpr, GRID, *_band(roc_heights, confidence)),
        Curve(tpr[1:], precision[1:], GRID, *_band(precision_heights, confidence)),
        float(positive.mean()),
    )


def _rates(
    scores: Float[np.ndarray, "n"], positive: Bool[np.ndarray, "n"], weights: Int[np.ndarray, "r n"]
) -> tuple[Float[np.ndarray, "r t"], ...]:
    """False and true positive rates and precisions as the threshold falls, from no example called."""
    positives, negatives = _count_by_score(scores, positive, weights)
    start = np.zeros((len(weights), 1))
    hits = np.concatenate([start, np.cumsum(positives, axis=1)], axis=1)
    alarms = np.concatenate([start, np.cumsum(negatives, axis=1)], axis=1)
    fpr, tpr = (ratio(sums, np.broadcast_to(sums[:, -1:], sums.shape)) for sums in (alarms, hits))
    return fpr, tpr, ratio(hits, hits + alarms)


def _band(
    heights: list[np.ndarray], confidence: float
) -> tuple[Float[np.ndarray, "g"] | None, Float[np.ndarray, "g"] | None]:
    if not heights:
        return None, None
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.stack(heights), [tail, 1 - tail], axis=0)
    return low, high


def _count_by_score(
    scores: np.ndarray, positive: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives of each resample at each distinct score, highest score first.

    Arguments as `roc_auc`; returns float64 [r, distinct scores] each.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    counts = weights[:, order].astype(np.float64)
    positives = np.add.reduceat(counts * positive[order], starts, axis=1)
    return positives, np.add.reduceat(counts, starts, axis=1) - positives
