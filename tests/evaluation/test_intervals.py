"""Intervals: known cases, and none where there is nothing to go by."""

import numpy as np
import pytest
from drawn_predictions import drawn
from scipy.stats import bootstrap, t

from mgajax.evaluation import classification_metrics
from mgajax.evaluation.bootstrap import Clusters
from mgajax.evaluation.intervals import (
    ValueScale,
    calibration_error,
    over_seeds,
    proportion,
    standard_error,
    student_interval,
)
from mgajax.reporting.tables.metrics_tables import metrics_table


def _pairs(hits: np.ndarray) -> Clusters:
    """Two examples a patient."""
    member = np.arange(len(hits)) // 2
    return Clusters(member, np.zeros(len(hits) // 2, np.int64), ("all",), "patient")


def _wilson(p: float, n: float, degrees: int) -> list[float]:
    """The roots of (p − x)² = q² x (1 − x) / n."""
    q = t.ppf(0.975, degrees) ** 2
    return sorted(np.roots([1 + q / n, -(2 * p + q / n), p**2]).real)


def test_slices_of_a_patient_that_agree_count_once() -> None:
    alike = np.repeat(np.arange(40) % 4 > 0, 2)
    span = proportion(alike, np.ones(80, bool), _pairs(alike), confidence=0.95)
    # 40 patients over 39: the variance of a sample, which the estimate has and is held at 40
    assert [span["low"], span["high"]] == pytest.approx(_wilson(0.75, 40, 39))


def test_slices_of_a_patient_that_disagree_count_each_and_not_more() -> None:
    unlike = np.arange(80) % 2 == 0
    span = proportion(unlike, np.ones(80, bool), _pairs(unlike), confidence=0.95)
    assert [span["low"], span["high"]] == pytest.approx(_wilson(0.5, 80, 39))


def test_a_perfect_share_is_not_certain() -> None:
    hits = np.ones(122, bool)
    span = proportion(hits, hits, _pairs(hits), confidence=0.95)
    assert span["high"] == 1
    assert span["low"] == pytest.approx(1 / (1 + t.ppf(0.975, 60) ** 2 / 61))


def test_only_patients_in_the_denominator_count() -> None:
    hits, counted = np.ones(40, bool), np.arange(40) < 8
    span = proportion(hits, counted, _pairs(hits), confidence=0.95)
    assert (span["clusters"], span["reason"]) == (4, "4 patients, fewer than 5")
    assert span["low"] is None


def test_the_standard_error_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(size=30)
    resampled = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1)
    error = standard_error(resampled.bootstrap_distribution, clusters=30)
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(30), rel=0.02)


@pytest.mark.parametrize(
    ("value", "scale", "inside"),
    [
        (0.98, ValueScale.SHARE, (0.0, 1.0)),
        (0.02, ValueScale.LOSS, (0.0, np.inf)),
        (0.01, ValueScale.DIFFERENCE, (-np.inf, 0.05)),
    ],
)
def test_an_interval_stays_in_the_range_of_its_value(
    value: float, scale: ValueScale, inside: tuple[float, float]
) -> None:
    draws = value + np.random.default_rng(0).normal(size=500) * 0.01
    span = student_interval(value, draws, clusters=20, confidence=0.95, scale=scale)
    assert inside[0] < span["low"] < value < span["high"] < inside[1]


def test_a_calibration_error_lies_in_its_own_interval() -> None:
    rng = np.random.default_rng(0)
    draws = rng.uniform(0.08, 0.12, size=500)  # resampling only raises it
    deviations = rng.uniform(0.02, 0.04, size=500)
    span = calibration_error(0.06, draws, deviations, clusters=20, confidence=0.95)
    assert span["low"] == pytest.approx(0.02, abs=0.002)
    error = standard_error(draws, clusters=20)
    assert span["high"] == pytest.approx(0.06 + error * t.ppf(0.975, 19))
    same = calibration_error(0.06, draws * 0, deviations, clusters=20, confidence=0.95)
    assert same["reason"] == "no patient makes a difference"
    report = classification_metrics(**drawn(60))
    for name, value in report["calibration"]["ece"].items():
        span = report["intervals"]["calibration"]["ece"][name]
        assert span["low"] <= value <= span["high"]


@pytest.mark.parametrize(
    ("value", "draws", "clusters", "reason"),
    [
        (0.5, np.linspace(0, 1, 9), 1, "1 patient, fewer than 5"),
        (0.5, np.zeros(0), 9, "nothing to resample"),
        (np.nan, np.linspace(0, 1, 9), 9, "undefined, or so in most resamples"),
        (0.5, np.r_[0.5, [np.nan] * 3], 9, "undefined, or so in most resamples"),
        (0.5, np.full(9, 0.5), 9, "no patient makes a difference"),
        (1.0, np.linspace(0.9, 1, 9), 9, "at the edge: 1"),
    ],
)
def test_no_interval_where_nothing_is_known(
    value: float, draws: np.ndarray, clusters: int, reason: str
) -> None:
    span = student_interval(
        value, draws, clusters=clusters, confidence=0.95, scale=ValueScale.SHARE
    )
    assert span == {"low": None, "high": None, "clusters": clusters, "reason": reason}


def test_one_patient_of_a_class_has_no_interval_and_the_table_says_so() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.r_[[0, 1] * 10, 2], 4)
    p = rng.dirichlet([1, 1, 1], size=len(labels))
    people = np.repeat(np.arange(21), 4).astype(str)
    report = classification_metrics(p, labels, people, bootstrap=50)
    spans = report["intervals"]["three_class"]
    assert spans["roc_auc"]["CAP"]["reason"] == "1 patient, fewer than 5"
    assert spans["per_class"]["CAP"]["recall"]["low"] is None
    assert spans["roc_auc"]["macro"]["low"] is None
    assert spans["roc_auc"]["COVID-19"]["low"] < report["three_class"]["roc_auc"]["COVID-19"]
    lines = metrics_table(report).splitlines()
    assert (
        "    1 patient, fewer than 5: macro F1, macro ROC AUC"
        in lines[lines.index("  no interval") :]
    )


def test_a_perfect_classifier_is_not_certain() -> None:
    labels = np.repeat(np.arange(30) % 3, 2)
    people = np.repeat(np.arange(30), 2).astype(str)
    report = classification_metrics(np.eye(3)[labels], labels, people, bootstrap=50)
    spans = report["intervals"]
    assert spans["covid_vs_rest"]["accuracy"]["low"] < 0.95
    assert spans["covid_vs_rest"]["accuracy"]["high"] == 1
    assert spans["covid_vs_rest"]["roc_auc"]["reason"] == "no patient makes a difference"
    assert "no patient makes a difference:" in metrics_table(report)


def test_seeds_alone_give_students_interval_of_their_mean() -> None:
    seeds = np.array([0.01, 0.05, 0.03])
    span = over_seeds(seeds, 0.0, clusters=61, confidence=0.95)
    half = t.ppf(0.975, 2) * seeds.std(ddof=1) / np.sqrt(3)
    assert [span["low"], span["high"]] == pytest.approx([0.03 - half, 0.03 + half])
    assert over_seeds(seeds[:1], 0.01, clusters=61, confidence=0.95)["reason"] == "one seed"


def test_patients_alone_give_students_interval_over_patients() -> None:
    span = over_seeds(np.full(3, 0.03), 0.01, clusters=61, confidence=0.95)
    assert span["high"] - 0.03 == pytest.approx(0.01 * t.ppf(0.975, 60))
