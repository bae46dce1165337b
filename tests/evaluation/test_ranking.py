"""Curves against scikit-learn, and bands against resampling by hand."""

import numpy as np
import pytest
from drawn_predictions import CLASS_NAMES, drawn
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from mgajax.evaluation.bootstrap import IntervalSettings, make_clusters, resample
from mgajax.evaluation.ranking import GRID, RankingCurves, ranking_curves

SETTINGS = IntervalSettings(replicates=40, seed=3, confidence=0.9)


def rankings(data: dict, *, settings: IntervalSettings = SETTINGS) -> dict[str, RankingCurves]:
    return ranking_curves(
        data["probabilities"].astype(np.float64),
        data["labels"],
        data["patients"],
        class_names=CLASS_NAMES,
        settings=settings,
    )


def test_the_curves_are_those_of_scikit_learn() -> None:
    data = drawn()
    scores = data["probabilities"][:, 1].astype(np.float64)
    ranking = rankings(data)["COVID-19"]
    fpr, tpr, _ = roc_curve(data["labels"] == 1, scores, drop_intermediate=False)
    np.testing.assert_allclose(ranking.roc.x, fpr)
    np.testing.assert_allclose(ranking.roc.y, tpr)
    precision, recall, _ = precision_recall_curve(data["labels"] == 1, scores)
    count = int((recall == 1).sum())  # scikit-learn stops at the first threshold that finds all
    np.testing.assert_allclose(ranking.precision_recall.x[: len(recall) - 1], np.sort(recall[:-1]))
    assert ranking.precision_recall.y[0] == precision[-2]
    assert count >= 1
    assert ranking.share == pytest.approx((data["labels"] == 1).mean())


def test_the_bands_are_quantiles_over_resampled_patients() -> None:
    data = drawn(n=90, people=12)
    ranking = rankings(data)["COVID-19"]
    labels, scores = data["labels"], data["probabilities"][:, 1].astype(np.float64)
    clusters = make_clusters(data["patients"], labels, class_names=CLASS_NAMES)
    heights, precisions = [], []
    for counts in resample(clusters, settings=SETTINGS):
        rows = np.repeat(np.arange(len(labels)), counts[clusters.member])
        fpr, tpr, _ = roc_curve(labels[rows] == 1, scores[rows], drop_intermediate=False)
        heights.append(np.interp(GRID, fpr, tpr))
        precision, recall, _ = precision_recall_curve(labels[rows] == 1, scores[rows])
        at_half = np.flatnonzero(recall >= 0.5 - 1e-12)[
            -1
        ]  # the strictest threshold that finds half
        precisions.append(precision[at_half])
    np.testing.assert_allclose(ranking.roc.low, np.quantile(heights, 0.05, axis=0))
    np.testing.assert_allclose(ranking.roc.high, np.quantile(heights, 0.95, axis=0))
    assert ranking.precision_recall.low is not None
    assert ranking.precision_recall.low[50] == pytest.approx(np.quantile(precisions, 0.05))


def test_a_band_goes_round_its_curve_and_inside_the_square() -> None:
    ranking = rankings(drawn(), settings=IntervalSettings(200, seed=0, confidence=0.95))["Normal"]
    height = np.interp(GRID, ranking.roc.x, ranking.roc.y)
    assert (ranking.roc.low <= height + 1e-9).all()
    assert (height <= ranking.roc.high + 1e-9).all()
    assert ranking.roc.high.max() <= 1
    assert (
        auc(GRID, ranking.roc.low) < auc(ranking.roc.x, ranking.roc.y) < auc(GRID, ranking.roc.high)
    )


def test_without_replicates_there_is_a_curve_and_no_band() -> None:
    ranking = rankings(drawn(), settings=IntervalSettings(0, seed=0, confidence=0.95))["CAP"]
    assert ranking.roc.low is None
    assert ranking.precision_recall.high is None
    assert ranking.roc.y[-1] == 1


def test_a_class_that_is_absent_has_no_curve() -> None:
    data = drawn()
    data["labels"] = np.where(data["labels"] == 2, 0, data["labels"])
    assert set(rankings(data)) == {"Normal", "COVID-19"}
