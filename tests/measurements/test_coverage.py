"""How often nominal 95 % intervals hold the truth, by `docs/measurements/coverage.py`."""

import pytest
from measurement_scripts import load_script

LEAST = 0.93


@pytest.mark.slow(
    finds="intervals too narrow for so few patients, verdicts too sure for so few seeds"
)
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    for row in load_script("coverage").rows(simulations=1000, seed=1):
        assert row.now >= LEAST, row
        assert row.none < 0.01, row
