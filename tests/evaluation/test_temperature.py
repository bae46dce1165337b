"""One temperature mends what one temperature spoiled."""

import numpy as np
import pytest
from scipy.special import softmax

from mgajax.evaluation.calibration import fit_temperature, rescaled


def honest(n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels that are drawn from them."""
    rng = np.random.default_rng(0)
    chances = softmax(rng.normal(scale=1.5, size=(n, 3)), axis=1)
    labels = (rng.random(n)[:, None] > chances.cumsum(axis=1)).sum(axis=1).clip(max=2)
    return chances, labels


@pytest.mark.parametrize("spoiled", [0.4, 1.0, 2.5])
def test_finds_the_temperature_that_undoes_another(spoiled: float) -> None:
    chances, labels = honest()
    found = fit_temperature(rescaled(chances, temperature=spoiled), labels)
    assert found == pytest.approx(1 / spoiled, rel=0.08)


def test_keeps_decisions_and_rows_that_sum_to_one() -> None:
    chances, _ = honest(50)
    found = rescaled(chances, temperature=3.0)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    np.testing.assert_array_equal(found.argmax(axis=1), chances.argmax(axis=1))
    assert (found.max(axis=1) <= chances.max(axis=1)).all()
    np.testing.assert_allclose(rescaled(chances, temperature=1.0), chances)


def test_a_probability_of_zero_is_no_error() -> None:
    chances = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert np.isfinite(fit_temperature(chances, np.array([0, 2])))
