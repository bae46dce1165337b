"""Several classifiers on the same slices: every metric on the same resamples, and McNemar's test.

A resample draws the same patients for all of them, so that the difference of two is one number a
resample: patients that are hard for both cancel.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binomtest

from mgajax import schema
from mgajax.errors import DataError
from mgajax.evaluation import bootstrap as resampling
from mgajax.evaluation.bootstrap import Intervals, ratio
from mgajax.evaluation.checks import ScoredExamples, checked_examples
from mgajax.evaluation.metric_values import MetricSettings
from mgajax.evaluation.patients import aggregate
from mgajax.evaluation.predictions import Predictions
from mgajax.evaluation.replicates import calibration_deviations, clusters_behind, replicate_metrics

Level = Literal["slices", "patients"]


@dataclass(frozen=True, eq=False)
class Replicates:
    """Every metric of a classifier, or of several added up, as it is and on resamples.

    Attributes:
      metrics: by path (`covid_vs_rest.accuracy`, …): the value itself, then that of each resample.
      clusters: by path, how many patients stand behind it.
    """

    metrics: dict[str, Float[np.ndarray, "r"]]
    clusters: dict[str, int]


def paired_replicates(
    predictions: Mapping[str, Predictions],
    *,
    settings: Intervals,
    level: Level = "slices",
    positive: int = schema.COVID,
) -> dict[str, Replicates]:
    """Every metric of each classifier, as it is and on resamples of patients that all share.

    Args:
      predictions: by name, of the same slices in any order.
      settings: of the bootstrap.
      level: `patients` judges each patient's mean probabilities.
      positive: the class of the binary metrics.

    Returns:
      By name, float64 [1 + replicates] of each metric: the paths of `classification_metrics`,
      `deviation.…` of the bins of its calibration errors, and `attention.…` for overlap columns (means
      over the slices with a lesion); NaN where undefined.

    Raises:
      DataError: none given, or predictions of different slices, labels or patients.
    """
    check_same_slices(predictions)
    found = {}
    for name, one in predictions.items():
        question = MetricSettings(one.class_names, positive)
        examples = _examples(one, level=level, positive=positive)
        clusters = resampling.make_clusters(
            examples.patients, examples.labels, class_names=one.class_names
        )
        drawn = resampling.multiplicities(
            clusters.stratum, replicates=settings.replicates, seed=settings.seed
        )
        drawn = np.concatenate([np.ones_like(clusters.stratum)[None], drawn])  # once as they are
        tree = replicate_metrics(examples, clusters, drawn, question=question)
        behind = clusters_behind(examples, clusters, question=question)
        deviations = calibration_deviations(examples, clusters, drawn, question=question)
        tree |= {"deviation": deviations}
        behind |= {"deviation": dict.fromkeys(deviations, len(clusters.stratum))}
        own = Replicates(dict(_leaves(tree)), dict(_leaves(behind)))
        if level == "slices" and one.overlap:
            attention = _attention(one, drawn)
            own = Replicates(own.metrics | attention.metrics, own.clusters | attention.clusters)
        found[name] = own
    return found


def check_same_slices(predictions: Mapping[str, Predictions]) -> None:
    """Refuse predictions that were not made on the same slices.

    Raises:
      DataError: names the two and what differs.
    """
    if not predictions:
        raise DataError("0 tables of predictions to compare; expected one or more")
    (first_name, first), *others = predictions.items()
    for name, other in others:
        for column in ("file_names", "labels", "patients"):
            pair = [getattr(table, column)[table.file_names.argsort()] for table in (first, other)]
            if not np.array_equal(*pair):
                raise DataError(
                    f"{first_name} and {name}: {column} of their test slices differ "
                    f"({len(first)} and {len(other)} slices); compare runs on one test set"
                )


def mcnemar(first: Bool[np.ndarray, "n"], second: Bool[np.ndarray, "n"]) -> dict[str, Any]:
    """McNemar's exact test on what two classifiers get right (McNemar 1947).

    Args:
      first, second: right or wrong, of the same examples in the same order. The test takes them as
        independent, which slices of one patient are not: give patients.

    Returns:
      `only_first` and `only_second` (right where the other is wrong), and `p`, two-sided: the
      chance of so uneven a division if both were equally often right; 1 where they never differ.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differ = only_first + only_second
    p = float(binomtest(only_first, differ).pvalue) if differ else 1.0
    return {"only_first": only_first, "only_second": only_second, "p": p}


def right_patients(
    predictions: Predictions, *, positive: int = schema.COVID
) -> Bool[np.ndarray, "p"]:
    """Whether each patient, by name, is rightly called `positive` or not by mean probability."""
    people = _examples(predictions, level="patients", positive=positive)
    right: np.ndarray = (people.predicted == positive) == (people.labels == positive)
    return right


def weighted_sum(
    several: Sequence[tuple[float, Replicates]], *, paths: Iterable[str] | None = None
) -> Replicates:
    """The sum of several classifiers' metrics times a weight each, resample by resample.

    Args:
      several: weights and metrics; one or more.
      paths: which metrics; None: those that all have.
    """
    shared = set.intersection(*(set(one.metrics) for _, one in several))
    chosen = several[0][1].metrics if paths is None else paths
    chosen = [path for path in chosen if path in shared]
    return Replicates(
        {path: np.sum([w * one.metrics[path] for w, one in several], axis=0) for path in chosen},
        {path: min(one.clusters[path] for _, one in several) for path in chosen},
    )


def mean_replicates(several: Sequence[Replicates]) -> Replicates:
    """The mean over runs that differ in their seed alone, resample by resample."""
    return weighted_sum([(1 / len(several), one) for one in several])


def _examples(predictions: Predictions, *, level: Level, positive: int) -> ScoredExamples:
    examples = checked_examples(
        predictions.probabilities,
        predictions.labels,
        classes=len(predictions.class_names),
        patients=predictions.patients,
    )
    if level == "slices":
        return examples
    people = aggregate(examples, positive=positive)
    return ScoredExamples(people.probabilities, people.labels, people.names, None)


def _attention(predictions: Predictions, drawn: np.ndarray) -> Replicates:
    """Means of the overlap columns over the slices with a known lesion."""
    member = np.unique(predictions.patients, return_inverse=True)[1]
    table = np.stack([*predictions.overlap.values()], axis=1)
    counted = np.isfinite(table) & (predictions.overlap["lesion_area"] > 0)[:, None]
    sums = drawn @ resampling.cluster_sums(np.where(counted, table, 0.0), member)
    sizes = resampling.cluster_sums(counted.astype(np.float64), member)
    means = ratio(sums, drawn @ sizes)
    paths = [f"attention.{name}" for name in predictions.overlap]
    return Replicates(
        dict(zip(paths, means.T, strict=True)),
        dict(zip(paths, (sizes > 0).sum(axis=0).tolist(), strict=True)),
    )


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            found += _leaves(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, value))
    return found
