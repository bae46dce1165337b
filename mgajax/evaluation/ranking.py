"""ROC AUC and average precision of many resamples at once.

A resample is a row of multiplicities: how often each example was drawn. Scores are sorted once;
each replicate then costs a few cumulative sums.
"""

import numpy as np
from jaxtyping import Bool, Float, Num

from mgajax.evaluation.bootstrap import ratio


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
    gained, lost = by_threshold(scores, positive, weights)
    below = np.cumsum(lost[:, ::-1], axis=1)[:, ::-1] - lost  # negatives under each threshold
    wins = (gained * (below + 0.5 * lost)).sum(axis=1)
    return ratio(wins, gained.sum(axis=1) * lost.sum(axis=1))


def average_precision(
    scores: Num[np.ndarray, "n"], positive: Bool[np.ndarray, "n"], weights: Num[np.ndarray, "r n"]
) -> Float[np.ndarray, "r"]:
    """Precision averaged over the steps in recall; arguments as `roc_auc`.

    Returns:
      float64; NaN for a replicate without a positive example. Equal to scikit-learn's
      `average_precision_score` on the resampled data.
    """
    gained, lost = by_threshold(scores, positive, weights)
    hits = np.cumsum(gained, axis=1)
    precision = np.nan_to_num(ratio(hits, hits + np.cumsum(lost, axis=1)))
    return ratio((gained * precision).sum(axis=1), hits[:, -1])


def by_threshold(
    scores: np.ndarray, positive: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives of each resample at each distinct score, highest score first.

    Arguments as `roc_auc`; returns float64 [r, thresholds] each.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    drawn = weights[:, order].astype(np.float64)
    gained = np.add.reduceat(drawn * positive[order], starts, axis=1)
    return gained, np.add.reduceat(drawn, starts, axis=1) - gained
