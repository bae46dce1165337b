"""Every number of a classifier's evaluation, from probabilities and labels, ready for JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from mgajax import schema
from mgajax.errors import ConfigError
from mgajax.evaluation import bootstrap, metric_values, ranking
from mgajax.evaluation.bootstrap import Clusters, Intervals
from mgajax.evaluation.checks import ScoredExamples, checked_examples
from mgajax.evaluation.intervals import calibration_error, interval_tree, proportion
from mgajax.evaluation.metric_values import MetricSettings, Reasons
from mgajax.evaluation.patients import Patients, aggregate
from mgajax.evaluation.replicates import calibration_deviations, clusters_behind, replicate_metrics


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
      bootstrap: replicates for the intervals (`bootstrap.py` tells how); 0 leaves them out.
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
      DataError: see `checks.checked_examples`.
      ConfigError: an unusable argument.
    """
    question = MetricSettings(tuple(class_names), positive)
    settings = Intervals(bootstrap, seed, confidence)
    _check_question(question)
    examples = checked_examples(
        probabilities, labels, classes=len(class_names), patients=patients, sources=sources
    )
    return {
        "class_names": list(class_names),
        "positive": class_names[positive],
        **_block(examples, question, settings),
        "per_source": {
            str(name): _block(examples.select(examples.sources == name), question, settings)
            for name in np.unique([] if examples.sources is None else examples.sources)
        },
        "per_patient": _per_patient(examples, question, settings),
    }


def _check_question(question: MetricSettings) -> None:
    k = len(question.class_names)
    if len(set(question.class_names)) != k or k < 2:
        raise ConfigError(
            f"class_names={question.class_names}, expected two or more, all different"
        )
    if not 0 <= question.positive < k:
        raise ConfigError(f"positive={question.positive}, expected a class code in 0 … {k - 1}")


def _block(
    examples: ScoredExamples, question: MetricSettings, settings: Intervals
) -> dict[str, Any]:
    reasons = Reasons()
    patients = None if examples.patients is None else len(np.unique(examples.patients))
    values = {
        "three_class": metric_values.three_class(examples, question=question, reasons=reasons),
        "covid_vs_rest": metric_values.covid_vs_rest(examples, question=question, reasons=reasons),
        "calibration": metric_values.calibrated(examples, question=question),
    }
    return {
        "n": len(examples),
        "patients": patients,
        **values,
        "intervals": _intervals(examples, values, question, settings)
        if settings.replicates
        else None,
        "undefined": reasons.lines,
    }


def _intervals(
    examples: ScoredExamples, values: dict[str, Any], question: MetricSettings, settings: Intervals
) -> dict[str, Any]:
    clusters = bootstrap.make_clusters(
        examples.patients, examples.labels, class_names=question.class_names
    )
    drawn = _draws(clusters, settings)
    replicates = replicate_metrics(examples, clusters, drawn, question=question)
    spans = interval_tree(
        values,
        replicates,
        clusters_behind(examples, clusters, question=question),
        confidence=settings.confidence,
        unit=clusters.unit,
    )
    deviations = calibration_deviations(examples, clusters, drawn, question=question)
    for name, own in deviations.items():
        spans["calibration"]["ece"][name] = calibration_error(
            values["calibration"]["ece"][name],
            replicates["calibration"]["ece"][name],
            own,
            clusters=len(clusters.stratum),
            confidence=settings.confidence,
            unit=clusters.unit,
        )
    _put_proportions(spans, examples, clusters, question, settings.confidence)
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


def _put_proportions(
    spans: dict[str, Any],
    examples: ScoredExamples,
    clusters: Clusters,
    question: MetricSettings,
    confidence: float,
) -> None:
    """Set the intervals of all metrics that are a share of some of the examples."""
    labels, predicted, positive = examples.labels, examples.predicted, question.positive
    everything = np.ones(len(labels), bool)
    binary = (labels == positive) == (predicted == positive)
    of, called = (
        codes[:, None] == range(len(question.class_names)) for codes in (labels, predicted)
    )
    shares = [
        (spans["three_class"], "accuracy", labels == predicted, everything),
        (spans["covid_vs_rest"], "accuracy", binary, everything),
        (spans["covid_vs_rest"], "specificity", ~called[:, positive], ~of[:, positive]),
    ]
    rows = [*enumerate(spans["three_class"]["per_class"].values())]
    for code, row in [*rows, (positive, spans["covid_vs_rest"])]:
        shares += [
            (row, "recall", called[:, code], of[:, code]),
            (row, "precision", of[:, code], called[:, code]),
        ]
    for block, name, hits, counted in shares:
        block[name] = proportion(hits, counted, clusters, confidence=confidence)


def _draws(clusters: bootstrap.Clusters, settings: Intervals) -> np.ndarray:
    return bootstrap.multiplicities(
        clusters.stratum, replicates=settings.replicates, seed=settings.seed
    )


def _per_patient(
    examples: ScoredExamples, question: MetricSettings, settings: Intervals
) -> dict[str, Any] | None:
    if examples.patients is None:
        return None
    people = aggregate(examples, positive=question.positive)
    means = ScoredExamples(people.probabilities, people.labels, people.names, None)
    several = {
        patient: {question.class_names[code]: count for code, count in tally.items()}
        for patient, tally in people.several_labels.items()
    }
    return {
        **_block(means, question, settings),
        "positive_share": _positive_share(people, question, settings),
        "several_labels": several,
    }


def _positive_share(
    people: Patients, question: MetricSettings, settings: Intervals
) -> dict[str, Any]:
    """The share of a patient's slices called positive, as a score for the patient."""
    truth = people.labels == question.positive
    once = np.ones((1, len(truth)))
    scorers = {"roc_auc": ranking.roc_auc, "average_precision": ranking.average_precision}
    reasons = Reasons()
    reason = "needs patients of the positive class and others"
    values = {
        key: reasons.value(float(score(people.positive_share, truth, once)[0]), key, reason)
        for key, score in scorers.items()
    }
    intervals = None
    if settings.replicates:
        clusters = bootstrap.make_clusters(
            people.names, people.labels, class_names=question.class_names
        )
        drawn = _draws(clusters, settings)
        scored = {k: s(people.positive_share, truth, drawn) for k, s in scorers.items()}
        side = dict.fromkeys(scorers, int(min(truth.sum(), (~truth).sum())))
        intervals = interval_tree(values, scored, side, confidence=settings.confidence)
    return {**values, "intervals": intervals, "undefined": reasons.lines}
