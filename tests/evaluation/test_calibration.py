import numpy as np
import pytest
from drawn_predictions import drawn
from scipy.special import softmax

from mgajax.evaluation import calibration, classification_metrics
from mgajax.evaluation.calibration import apply_temperature, fit_temperature


def test_ece_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False, True, True])
    # two of the 15 bins: |4 · 0.95 - 3| + |2 · 0.55 - 2| over 6
    gaps = calibration.bin_sums(confidence, correct).sum(axis=0)
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
    confidence = np.array([0.0, 0.2, 0.2000001, 1.0, 1.00001])
    assert calibration.bin_index(confidence).tolist() == [0, 2, 3, 14, 14]


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


def honest(n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels that are drawn from them."""
    rng = np.random.default_rng(0)
    chances = softmax(rng.normal(scale=1.5, size=(n, 3)), axis=1)
    labels = (rng.random(n)[:, None] > chances.cumsum(axis=1)).sum(axis=1).clip(max=2)
    return chances, labels


@pytest.mark.parametrize("spoiled", [0.4, 1.0, 2.5])
def test_finds_the_temperature_that_undoes_another(spoiled: float) -> None:
    chances, labels = honest()
    fitted = fit_temperature(apply_temperature(chances, temperature=spoiled), labels)
    assert fitted == pytest.approx(1 / spoiled, rel=0.08)


def test_keeps_decisions_and_rows_that_sum_to_one() -> None:
    chances, _ = honest(50)
    scaled = apply_temperature(chances, temperature=3.0)
    np.testing.assert_allclose(scaled.sum(axis=1), 1.0)
    np.testing.assert_array_equal(scaled.argmax(axis=1), chances.argmax(axis=1))
    assert (scaled.max(axis=1) <= chances.max(axis=1)).all()
    np.testing.assert_allclose(apply_temperature(chances, temperature=1.0), chances)


def test_a_probability_of_zero_is_no_error() -> None:
    chances = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert np.isfinite(fit_temperature(chances, np.array([0, 2])))
