import warnings

import numpy as np
import pytest
from drawn_predictions import CLASS_NAMES, drawn

from mgajax.errors import ConfigError
from mgajax.evaluation import bootstrap, classification_metrics, metric_values, ranking
from mgajax.evaluation.bootstrap import Clusters, IntervalSettings
from mgajax.evaluation.metric_values import Classes, Reasons
from mgajax.evaluation.replicates import replicate_metrics
from mgajax.evaluation.scored_examples import check_examples

CLASSES = Classes(CLASS_NAMES, 1)


def _examples(**options):
    data = drawn(**options)
    return check_examples(
        data["probabilities"], data["labels"], classes=3, patients=data["patients"]
    )


def _settings(replicates: int, *, seed: int = 0) -> IntervalSettings:
    return IntervalSettings(replicates, seed, confidence=0.95)


def _alike(count: int) -> Clusters:
    """Clusters of one example each, in one stratum."""
    return Clusters(np.arange(count), np.zeros(count, np.int64), ("all",), "slice")


def _value(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def _paths(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _paths(value, (*path, key))
        else:
            yield (*path, key)


def test_each_replicate_equals_scikit_learn_on_the_resampled_slices():
    examples = _examples(n=120, people=14)
    clusters = bootstrap.make_clusters(examples.patients, examples.labels, class_names=CLASS_NAMES)
    drawn_counts = bootstrap.resample(clusters, settings=_settings(8, seed=3))
    metrics = replicate_metrics(examples, clusters, drawn_counts, classes=CLASSES)
    paths = list(_paths(metrics))
    assert len(paths) == 29
    for r, counts in enumerate(drawn_counts):
        resampled = examples.select(np.repeat(np.arange(120), counts[clusters.member]))
        expected = {
            "three_class": metric_values.three_class_metrics(
                resampled, classes=CLASSES, reasons=Reasons()
            ),
            "covid_vs_rest": metric_values.covid_vs_rest_metrics(
                resampled, classes=CLASSES, reasons=Reasons()
            ),
            "calibration": metric_values.calibration_metrics(resampled, classes=CLASSES),
        }
        for path in paths:
            assert _value(metrics, path)[r] == pytest.approx(_value(expected, path), abs=1e-12), (
                path
            )


def test_undefined_replicates_are_nan_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores, truth = np.array([0.1, 0.5, 0.5]), np.array([False, True, False])
        weights = np.array([[1, 0, 1], [0, 2, 0], [1, 1, 1], [0, 0, 0]])
        area = ranking.roc_auc(scores, truth, weights)
        precision = ranking.average_precision(scores, truth, weights)
    np.testing.assert_allclose(area, [np.nan, np.nan, 0.75, np.nan])
    np.testing.assert_allclose(precision, [np.nan, 1.0, 0.5, np.nan])


def test_draws_keep_patients_whole_and_strata_in_size():
    examples = _examples()
    clusters = bootstrap.make_clusters(examples.patients, examples.labels, class_names=CLASS_NAMES)
    counts = bootstrap.resample(clusters, settings=_settings(40, seed=0))
    for code, size in enumerate(np.bincount(clusters.stratum)):
        assert (counts[:, clusters.stratum == code].sum(axis=1) == size).all()
    for patient in np.unique(examples.patients):
        assert len(set(clusters.member[examples.patients == patient])) == 1
    assert sum(clusters.sizes().values()) == len(np.unique(examples.patients))
    assert (bootstrap.resample(clusters, settings=_settings(40, seed=1)) != counts).any()


def test_draws_are_uniform():
    clusters = _alike(10)
    counts = bootstrap.resample(clusters, settings=_settings(4000))
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.06)
    np.testing.assert_allclose(counts.var(axis=0), 0.9, atol=0.12)


def test_patient_with_two_classes_is_a_stratum_of_its_own():
    patients, labels = np.array(["a", "a", "b", "c"]), np.array([0, 1, 1, 0])
    clusters = bootstrap.make_clusters(patients, labels, class_names=CLASS_NAMES)
    assert clusters.sizes() == {"COVID-19": 1, "Normal": 1, "Normal+COVID-19": 1}


def test_alike_slices_of_a_patient_widen_the_interval():
    data = drawn(n=40, people=40)
    copies = {key: np.repeat(column, 9, axis=0) for key, column in data.items()}
    by_patient = classification_metrics(**copies)["intervals"]["covid_vs_rest"]["accuracy"]
    del copies["patients"]
    result = classification_metrics(**copies)["intervals"]
    by_slice = result["covid_vs_rest"]["accuracy"]
    assert result["settings"]["unit"] == "slice"
    widths = [interval["high"] - interval["low"] for interval in (by_patient, by_slice)]
    assert widths[0] == pytest.approx(3 * widths[1], rel=0.3)  # the square root of nine copies


def test_interval_of_a_share_agrees_with_theory():
    p = np.repeat([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]], [300, 100], axis=0)
    span = classification_metrics(p, np.zeros(400, int))["intervals"]["three_class"]["accuracy"]
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert span["low"] == pytest.approx(0.75 - half, abs=0.01)
    assert span["high"] == pytest.approx(0.75 + half, abs=0.01)


def test_interval_contains_the_value_and_widens_with_confidence():
    data = drawn()
    narrow = classification_metrics(**data, confidence=0.5)
    wide = classification_metrics(**data, confidence=0.99)
    inner, outer = (r["intervals"]["three_class"]["macro_f1"] for r in (narrow, wide))
    assert outer["low"] < inner["low"] < narrow["three_class"]["macro_f1"] < inner["high"]
    assert inner["high"] < outer["high"]


def test_one_patient_a_class_gives_no_interval():
    p = np.array([[0.8, 0.1, 0.1], [0.3, 0.4, 0.3], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]])
    result = classification_metrics(p, np.array([0, 0, 1, 1]), ["a", "a", "b", "b"])
    assert result["intervals"]["settings"]["strata"] == {"COVID-19": 1, "Normal": 1}
    none = {"low": None, "high": None, "clusters": 2, "reason": "2 patients, fewer than 5"}
    assert result["intervals"]["covid_vs_rest"]["accuracy"] == none
    ranked = none | {"clusters": 1, "reason": "1 patient, fewer than 5"}
    assert result["intervals"]["covid_vs_rest"]["roc_auc"] == ranked


def test_ratio_is_undefined_over_nothing_and_warns_of_nothing():
    ratios = bootstrap.ratio(np.array([[1.0, 0.0], [3.0, 0.0]]), np.array([[2.0, 0.0], [1.0, 4.0]]))
    np.testing.assert_array_equal(ratios, [[0.5, np.nan], [3.0, 0.0]])


def test_no_replicates_are_none_and_fewer_are_refused():
    assert bootstrap.resample(_alike(4), settings=_settings(0)).shape == (0, 4)
    with pytest.raises(ConfigError, match="bootstrap=-1, expected 0"):
        _settings(-1)
