"""Several classifiers on the same slices: every metric on the same resamples, and McNemar's test.

A resample draws the same patients for all of them, so each resample gives one difference of two
classifiers, in which patients that are hard for both cancel.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binomtest

from mgajax import schema
from mgajax.errors import DataError
from mgajax.evaluation import bootstrap
from mgajax.evaluation.bootstrap import IntervalSettings, ratio
from mgajax.evaluation.metric_values import Classes
from mgajax.evaluation.predictions import Predictions
from mgajax.evaluation.replicates import calibration_deviations, clusters_behind, replicate_metrics
from mgajax.evaluation.scored_examples import (
    ScoredExamples,
    aggregate_patients,
    check_examples,
)

JudgedUnit = Literal["slices", "patients"]


@dataclass(frozen=True, eq=False)
class Replicates:
    """Every metric of a classifier, or of a weighted sum of several, on the data and on resamples.

    Attributes:
      metrics: by path (`covid_vs_rest.accuracy`, …): the value on the data, then on each resample.
      clusters: by path, how many patients stand behind it.
    """

    metrics: dict[str, Float[np.ndarray, "r"]]
    clusters: dict[str, int]


def paired_replicates(
    predictions: Mapping[str, Predictions],
    *,
    settings: IntervalSettings,
    unit: JudgedUnit = "slices",
) -> dict[str, Replicates]:
    """Every metric of each classifier, on the data and on resamples of patients that all share.

    Args:
      predictions: by name, of the same slices in any order.
      settings: of the bootstrap.
      unit: `patients` judges each patient's mean probabilities.

    Returns:
      By name, float64 [1 + replicates] of each metric: the paths of `classification_metrics`,
      `deviation.…` of the bins of its calibration errors, and `attention.…` for overlap columns (means
      over the slices with a lesion); NaN where undefined.

    Raises:
      DataError: none given, or predictions of different slices, labels or patients.
    """
    check_same_slices(predictions)
    return {
        name: _replicates(table, settings=settings, unit=unit)
        for name, table in predictions.items()
    }


def _replicates(
    predictions: Predictions, *, settings: IntervalSettings, unit: JudgedUnit
) -> Replicates:
    classes = Classes(predictions.class_names, schema.COVID)
    examples = _examples(predictions, unit=unit)
    clusters = bootstrap.make_clusters(
        examples.patients, examples.labels, class_names=classes.names
    )
    counts = bootstrap.prepend_original(bootstrap.resample(clusters, settings=settings))
    metrics = replicate_metrics(examples, clusters, counts, classes=classes)
    behind = clusters_behind(examples, clusters, classes=classes)
    deviations = calibration_deviations(examples, clusters, counts, classes=classes)
    metrics["deviation"] = deviations
    behind["deviation"] = dict.fromkeys(deviations, len(clusters.stratum))
    replicates = Replicates(dict(_flatten(metrics)), dict(_flatten(behind)))
    if unit == "patients" or not predictions.overlap:
        return replicates
    attention = _attention(predictions, counts)
    return Replicates(
        replicates.metrics | attention.metrics, replicates.clusters | attention.clusters
    )


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
      first, second: whether each example is rightly classified, in the same order. The test takes
        examples as independent, which slices of one patient are not: give patients.

    Returns:
      `only_first` and `only_second` (right where the other is wrong), and `p`, two-sided: the
      chance of so uneven a division if both were right equally often; 1 where they never differ.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differ = only_first + only_second
    p = float(binomtest(only_first, differ).pvalue) if differ else 1.0
    return {"only_first": only_first, "only_second": only_second, "p": p}


def right_patients(predictions: Predictions) -> Bool[np.ndarray, "p"]:
    """Whether each patient, sorted by name, is rightly called COVID-19 or not by mean probability."""
    people = _examples(predictions, unit="patients")
    right: np.ndarray = (people.predicted == schema.COVID) == (people.labels == schema.COVID)
    return right


def weighted_sum(
    terms: Sequence[tuple[float, Replicates]], *, paths: Iterable[str] | None = None
) -> Replicates:
    """The sum of several classifiers' metrics times a weight each, resample by resample.

    Args:
      terms: a weight and metrics each; one or more.
      paths: which metrics; None: those that all have.
    """
    shared = set.intersection(*(set(replicates.metrics) for _, replicates in terms))
    metrics = terms[0][1].metrics if paths is None else paths
    summed = [path for path in metrics if path in shared]
    return Replicates(
        {
            path: np.sum(
                [weight * replicates.metrics[path] for weight, replicates in terms], axis=0
            )
            for path in summed
        },
        {path: min(replicates.clusters[path] for _, replicates in terms) for path in summed},
    )


def mean_replicates(runs: Sequence[Replicates]) -> Replicates:
    """The mean over runs that differ in their seed alone, resample by resample."""
    return weighted_sum([(1 / len(runs), replicates) for replicates in runs])


def _examples(predictions: Predictions, *, unit: JudgedUnit) -> ScoredExamples:
    examples = check_examples(
        predictions.probabilities,
        predictions.labels,
        classes=len(predictions.class_names),
        patients=predictions.patients,
    )
    if unit == "slices":
        return examples
    return aggregate_patients(examples, positive=schema.COVID).as_examples()


def _attention(predictions: Predictions, counts: np.ndarray) -> Replicates:
    """Means of the overlap columns over the slices with a known lesion."""
    member = np.unique(predictions.patients, return_inverse=True)[1]
    table = np.stack([*predictions.overlap.values()], axis=1)
    averaged = np.isfinite(table) & (predictions.overlap["lesion_area"] > 0)[:, None]
    sums = counts @ bootstrap.cluster_sums(np.where(averaged, table, 0.0), member)
    sizes = bootstrap.cluster_sums(averaged.astype(np.float64), member)
    means = ratio(sums, counts @ sizes)
    paths = [f"attention.{name}" for name in predictions.overlap]
    return Replicates(
        dict(zip(paths, means.T, strict=True)),
        dict(zip(paths, (sizes > 0).sum(axis=0).tolist(), strict=True)),
    )


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Path and value of each leaf."""
    leaves: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            leaves += _flatten(value, f"{prefix}{key}.")
        else:
            leaves.append((prefix + key, value))
    return leaves
