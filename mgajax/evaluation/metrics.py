"""Every number of a classifier's evaluation, from probabilities and labels, ready for JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from mgajax import schema
from mgajax.errors import ConfigError
from mgajax.evaluation import bootstrap, metric_values, ranking
from mgajax.evaluation.bootstrap import Clusters, IntervalSettings
from mgajax.evaluation.intervals import calibration_error, interval_tree, proportion
from mgajax.evaluation.metric_values import Classes, Reasons
from mgajax.evaluation.replicates import calibration_deviations, clusters_behind, replicate_metrics
from mgajax.evaluation.scored_examples import (
    Patients,
    ScoredExamples,
    aggregate_patients,
    check_examples,
)


def classification_metrics(
    probabilities: Num[ArrayLike, "..."],
    labels: Num[ArrayLike, "..."],
    patients: Sequence[str] | np.ndarray | None = None,
    *,
    sources: Sequence[str] | np.ndarray | None = None,
    class_names: Sequence[str] = schema.CLASS_NAMES,
    positive: int = schema.COVID,
    bootstrap: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Evaluate a classifier, each example counting exactly once.

    Equal inputs in any order give equal bits. Sums are float64.

    Args:
      probabilities: [n, k], rows that sum to one (softmax of the logits).
      labels: [n], integers in 0 … k-1.
      patients: n names; enables `per_patient` and intervals that respect patients.
      sources: n names; enables `per_source`.
      class_names: k names in label order.
      positive: the class of the binary metrics and of the share of positive slices.
      bootstrap: replicates for the intervals (see `bootstrap.py`); 0 leaves them out.
      seed: of the bootstrap.
      confidence: coverage of the intervals, in (0, 1).

    Returns:
      `class_names`, `positive`, and a block over all slices: `n`, `patients`, `three_class`,
      `covid_vs_rest` (the paper's Table 4), `calibration`, `intervals` (None without bootstrap;
      same nesting as the values, each leaf a `Span` of `intervals.py`), `undefined`. Then
      `per_source`, a block for each name, and `per_patient` (None without patients), a block of
      mean probabilities with `positive_share` and `several_labels`. A value that the data leave
      undefined is None and `undefined` says why; nothing is NaN.

    Raises:
      DataError: see `scored_examples.check_examples`.
      ConfigError: an unusable argument.
    """
    classes = Classes(tuple(class_names), positive)
    settings = IntervalSettings(bootstrap, seed, confidence)
    _check_classes(classes)
    examples = check_examples(
        probabilities, labels, classes=len(class_names), patients=patients, sources=sources
    )
    return {
        "class_names": list(class_names),
        "positive": class_names[positive],
        **_block(examples, classes, settings),
        "per_source": {
            str(name): _block(examples.select(examples.sources == name), classes, settings)
            for name in np.unique([] if examples.sources is None else examples.sources)
        },
        "per_patient": _per_patient(examples, classes, settings),
    }


def _check_classes(classes: Classes) -> None:
    k = len(classes.names)
    if len(set(classes.names)) != k or k < 2:
        raise ConfigError(f"class_names={classes.names}, expected two or more, all different")
    if not 0 <= classes.positive < k:
        raise ConfigError(f"positive={classes.positive}, expected a class code in 0 … {k - 1}")


def _block(
    examples: ScoredExamples, classes: Classes, settings: IntervalSettings
) -> dict[str, Any]:
    reasons = Reasons()
    patients = None if examples.patients is None else len(np.unique(examples.patients))
    values = {
        "three_class": metric_values.three_class_metrics(
            examples, classes=classes, reasons=reasons
        ),
        "covid_vs_rest": metric_values.covid_vs_rest_metrics(
            examples, classes=classes, reasons=reasons
        ),
        "calibration": metric_values.calibration_metrics(examples, classes=classes),
    }
    return {
        "n": len(examples),
        "patients": patients,
        **values,
        "intervals": _intervals(examples, values, classes, settings)
        if settings.replicates
        else None,
        "undefined": reasons.lines,
    }


def _intervals(
    examples: ScoredExamples, values: dict[str, Any], classes: Classes, settings: IntervalSettings
) -> dict[str, Any]:
    clusters = bootstrap.make_clusters(
        examples.patients, examples.labels, class_names=classes.names
    )
    counts = bootstrap.resample(clusters, settings=settings)
    replicates = replicate_metrics(examples, clusters, counts, classes=classes)
    spans = interval_tree(
        values,
        replicates,
        clusters_behind(examples, clusters, classes=classes),
        confidence=settings.confidence,
        unit=clusters.unit,
    )
    deviations = calibration_deviations(examples, clusters, counts, classes=classes)
    for name, deviation in deviations.items():
        spans["calibration"]["ece"][name] = calibration_error(
            values["calibration"]["ece"][name],
            replicates["calibration"]["ece"][name],
            deviation,
            clusters=len(clusters.stratum),
            confidence=settings.confidence,
            unit=clusters.unit,
        )
    _set_proportions(spans, examples, clusters, classes, settings.confidence)
    return {
        "settings": {
            "method": "Wilson's interval of proportions with the effective number of slices; of the "
            "rest Student's t with the standard error of a bootstrap over clusters, stratified by "
            "class, on the logit or logarithmic scale",
            "unit": clusters.unit,
            "strata": clusters.sizes(),
            "replicates": settings.replicates,
            "seed": settings.seed,
            "confidence": settings.confidence,
        },
        **spans,
    }


def _set_proportions(
    spans: dict[str, Any],
    examples: ScoredExamples,
    clusters: Clusters,
    classes: Classes,
    confidence: float,
) -> None:
    """Set the intervals of all metrics that are a share of some of the examples."""
    labels, predicted, positive = examples.labels, examples.predicted, classes.positive
    everything = np.ones(len(labels), bool)
    binary = (labels == positive) == (predicted == positive)
    true, called = (codes[:, None] == range(len(classes.names)) for codes in (labels, predicted))
    shares = [
        (spans["three_class"], "accuracy", labels == predicted, everything),
        (spans["covid_vs_rest"], "accuracy", binary, everything),
        (spans["covid_vs_rest"], "specificity", ~called[:, positive], ~true[:, positive]),
    ]
    rows = [*enumerate(spans["three_class"]["per_class"].values())]
    for code, row in [*rows, (positive, spans["covid_vs_rest"])]:
        shares += [
            (row, "recall", called[:, code], true[:, code]),
            (row, "precision", true[:, code], called[:, code]),
        ]
    for block, name, hits, counted in shares:
        block[name] = proportion(hits, counted, clusters, confidence=confidence)


def _per_patient(
    examples: ScoredExamples, classes: Classes, settings: IntervalSettings
) -> dict[str, Any] | None:
    if examples.patients is None:
        return None
    people = aggregate_patients(examples, positive=classes.positive)
    several = {
        patient: {classes.names[code]: count for code, count in tally.items()}
        for patient, tally in people.several_labels.items()
    }
    return {
        **_block(people.as_examples(), classes, settings),
        "positive_share": _positive_share(people, classes, settings),
        "several_labels": several,
    }


def _positive_share(
    people: Patients, classes: Classes, settings: IntervalSettings
) -> dict[str, Any]:
    """The share of a patient's slices called positive, as a score for the patient."""
    truth = people.labels == classes.positive
    original = np.ones((1, len(truth)))
    scorers = {"roc_auc": ranking.roc_auc, "average_precision": ranking.average_precision}
    reasons = Reasons()
    reason = "needs patients of the positive class and others"
    values = {
        key: reasons.value(float(score(people.positive_share, truth, original)[0]), key, reason)
        for key, score in scorers.items()
    }
    intervals = None
    if settings.replicates:
        clusters = bootstrap.make_clusters(people.names, people.labels, class_names=classes.names)
        counts = bootstrap.resample(clusters, settings=settings)
        replicates = {
            key: score(people.positive_share, truth, counts) for key, score in scorers.items()
        }
        rarer = dict.fromkeys(scorers, int(min(truth.sum(), (~truth).sum())))
        intervals = interval_tree(values, replicates, rarer, confidence=settings.confidence)
    return {**values, "intervals": intervals, "undefined": reasons.lines}
