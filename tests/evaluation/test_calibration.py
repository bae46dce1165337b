import numpy as np
import pytest
from drawn_predictions import drawn

from mgajax.evaluation import calibration, classification_metrics


def test_ece_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False, True, True])
    # bins of width 0.1: |4 · 0.95 - 3| + |2 · 0.55 - 2| over 6
    gaps = calibration.bin_sums(confidence, correct, bins=10).sum(axis=0)
    assert calibration.ece(gaps, 6) == pytest.approx((0.8 + 0.9) / 6)


def test_ece_is_that_of_the_reliability_bins():
    result = classification_metrics(**drawn(), bootstrap=0)["calibration"]
    for name in ("top_label", "covid_vs_rest"):
        rows = [row for row in result["reliability"][name] if row["count"]]
        n = sum(row["count"] for row in rows)
        gap = sum(row["count"] * abs(row["confidence"] - row["observed"]) for row in rows)
        assert n == 300
        assert result["ece"][name] == pytest.approx(gap / n)
        assert all(row["low"] < row["confidence"] <= row["high"] for row in rows)
    assert result["bins"] == len(result["reliability"]["top_label"])


def test_edges_of_the_bins():
    confidence = np.array([0.0, 0.1, 0.1000001, 1.0, 1.00001])
    assert calibration.bin_index(confidence, bins=10).tolist() == [0, 0, 1, 9, 9]


def test_calibrated_forecasts_score_better_than_bold_ones():
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.05, 0.95, size=6000)
    y = (rng.uniform(size=6000) < chance).astype(int)
    bold = np.where(chance > 0.5, 0.99, 0.01)
    ece = {}
    for name, p in (("honest", chance), ("bold", bold)):
        columns = np.stack([1 - p, p], axis=1)
        result = classification_metrics(columns, y, class_names=("a", "b"), bootstrap=0)
        ece[name] = result["calibration"]["ece"]["covid_vs_rest"]
    assert ece["honest"] < 0.03
    assert ece["bold"] > 0.15
