"""The metrics of `metric_values.py` on all bootstrap replicates at once.

Everything but the ranking metrics is a function of sums over examples (the confusion counts, the
calibration gaps, the losses), so a replicate is one row of a matrix product over clusters.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mgajax.evaluation import bootstrap, calibration, ranking
from mgajax.evaluation.bootstrap import Clusters, ratio
from mgajax.evaluation.metric_values import Classes, normalise
from mgajax.evaluation.scored_examples import ScoredExamples

Tree = dict[str, Any]

CALIBRATED = ("top_label", "covid_vs_rest")
"""Probabilities whose calibration error is measured: the winning class's and the positive class's."""


def replicate_metrics(
    examples: ScoredExamples,
    clusters: Clusters,
    counts: Int[np.ndarray, "r c"],
    *,
    classes: Classes,
) -> Tree:
    """Every metric that gets an interval, in the nesting of the report, float64 [r] each.

    Args:
      examples: the data.
      clusters: which examples are drawn together.
      counts: how often each cluster is drawn in each replicate.
      classes: names, and the positive one.

    Returns:
      Values per replicate; NaN where a replicate leaves a value undefined.
    """
    k = len(classes.names)
    columns = _contributions(examples, classes=classes)
    totals = {
        name: counts @ bootstrap.cluster_sums(values, clusters.member)
        for name, values in columns.items()
    }
    confusion = totals["confusion"].reshape(-1, k, k)
    n = confusion.sum(axis=(1, 2))
    areas, precision = _rankings(examples, clusters, counts, classes=classes)
    names = classes.names
    three_class = confusion_scores(confusion, class_names=names)
    three_class["roc_auc"] = {**areas, "macro": np.mean([*areas.values()], axis=0)}
    three_class["log_loss"] = totals["log_loss"][:, 0] / n
    binary = binary_scores(confusion, positive=classes.positive)
    binary["roc_auc"] = areas[names[classes.positive]]
    binary["average_precision"] = precision
    brier = {
        name: totals["brier"][:, i] / n for i, name in enumerate(("three_class", "covid_vs_rest"))
    }
    errors = {name: calibration.ece(totals[name], n) for name in CALIBRATED}
    return {
        "three_class": three_class,
        "covid_vs_rest": binary,
        "calibration": {"ece": errors, "brier": brier},
    }


def calibration_deviations(
    examples: ScoredExamples,
    clusters: Clusters,
    counts: Int[np.ndarray, "r c"],
    *,
    classes: Classes,
) -> dict[str, Float[np.ndarray, "r"]]:
    """How far the reliability bins of each replicate are from those of the data, summed over bins."""
    columns = _contributions(examples, classes=classes)
    deviations = {}
    for name in CALIBRATED:
        sums = bootstrap.cluster_sums(columns[name], clusters.member)
        sizes = counts @ np.bincount(clusters.member)
        expected = sums.sum(axis=0) / len(examples)
        deviations[name] = calibration.ece(counts @ sums - sizes[:, None] * expected, sizes)
    return deviations


def clusters_behind(examples: ScoredExamples, clusters: Clusters, *, classes: Classes) -> Tree:
    """How many clusters stand behind each metric of `replicate_metrics`, in the same nesting.

    Of a metric that needs two kinds of examples, as a ROC AUC does, those of the rarer kind; of a
    mean over classes those of the rarest.
    """
    names, positive = classes.names, classes.positive
    count, k = len(clusters.stratum), len(names)
    true, called, other = (np.zeros((count, k), bool) for _ in range(3))
    true[clusters.member, examples.labels] = True
    called[clusters.member, examples.predicted] = True
    for code in range(k):
        other[clusters.member[examples.labels != code], code] = True
    per_class = {
        name: {"precision": int(predicted), "recall": int(labelled), "f1": int(labelled)}
        for name, predicted, labelled in zip(
            names, called.sum(axis=0), true.sum(axis=0), strict=True
        )
    }
    sides = np.minimum(true.sum(axis=0), other.sum(axis=0))
    ranked = int(sides[positive])
    macro = {
        f"macro_{key}": min(row[key] for row in per_class.values())
        for key in ("precision", "recall", "f1")
    }
    areas = dict(zip(names, sides.tolist(), strict=True)) | {"macro": int(sides.min())}
    return {
        "three_class": {
            "accuracy": count,
            **macro,
            "per_class": per_class,
            "roc_auc": areas,
            "log_loss": count,
        },
        "covid_vs_rest": {
            "accuracy": count,
            **per_class[names[positive]],
            "specificity": int(other[:, positive].sum()),
            "roc_auc": ranked,
            "average_precision": ranked,
        },
        "calibration": {
            "ece": {"top_label": count, "covid_vs_rest": count},
            "brier": {"three_class": count, "covid_vs_rest": count},
        },
    }


def confusion_scores(
    confusion: Float[np.ndarray, "r k k"], *, class_names: tuple[str, ...]
) -> Tree:
    """Accuracy, per-class and macro scores of each confusion matrix (rows true); NaN for 0/0."""
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    true, called = confusion.sum(axis=2), confusion.sum(axis=1)
    scores = {
        "precision": ratio(hits, called),
        "recall": ratio(hits, true),
        "f1": ratio(2 * hits, true + called),
    }
    per_class = {
        name: {key: score[:, code] for key, score in scores.items()}
        for code, name in enumerate(class_names)
    }
    macro = {f"macro_{key}": score.mean(axis=1) for key, score in scores.items()}
    accuracy = ratio(hits.sum(axis=1), confusion.sum(axis=(1, 2)))
    return {"accuracy": accuracy, **macro, "per_class": per_class}


def binary_scores(confusion: Float[np.ndarray, "r k k"], *, positive: int) -> Tree:
    """Scores of `positive` against all other classes merged; NaN for 0/0."""
    tp = confusion[:, positive, positive]
    fn = confusion[:, positive].sum(axis=1) - tp
    fp = confusion[:, :, positive].sum(axis=1) - tp
    total = confusion.sum(axis=(1, 2))
    tn = total - tp - fn - fp
    return {
        "accuracy": ratio(tp + tn, total),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "recall": ratio(tp, tp + fn),
        "precision": ratio(tp, tp + fp),
        "specificity": ratio(tn, tn + fp),
    }


def _contributions(examples: ScoredExamples, *, classes: Classes) -> dict[str, np.ndarray]:
    """Each example's contribution [n, ·] to the sums that the metrics are made of."""
    p, labels, rows = examples.probabilities, examples.labels, np.arange(len(examples))
    k, predicted = len(classes.names), examples.predicted
    confusion = np.zeros((len(examples), k * k))
    confusion[rows, labels * k + predicted] = 1
    of_label = normalise(examples)[rows, labels]
    smallest = np.finfo(np.float64).eps  # the floor that scikit-learn's log_loss has
    positive = labels == classes.positive
    share = p[:, classes.positive]
    brier = np.stack([calibration.brier_terms(p, labels), (share - positive) ** 2], axis=1)
    return {
        "confusion": confusion,
        "log_loss": -np.log(np.clip(of_label, smallest, 1 - smallest))[:, None],
        "top_label": calibration.bin_sums(p.max(axis=1), predicted == labels),
        "covid_vs_rest": calibration.bin_sums(share, positive),
        "brier": brier,
    }


def _rankings(
    examples: ScoredExamples, clusters: Clusters, counts: np.ndarray, *, classes: Classes
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """One-vs-rest AUC of each class, and the positive class's average precision."""
    areas: dict[str, list[np.ndarray]] = {name: [] for name in classes.names}
    precision = []
    for part in bootstrap.iter_chunks(counts):
        weights = part[:, clusters.member]
        for code, (name, scores) in enumerate(zip(areas, examples.probabilities.T, strict=True)):
            truth = examples.labels == code
            areas[name].append(ranking.roc_auc(scores, truth, weights))
            if code == classes.positive:
                precision.append(ranking.average_precision(scores, truth, weights))
    return {name: np.concatenate(values) for name, values in areas.items()}, np.concatenate(
        precision
    )
