"""What a difference over seeds and patients says of a method."""

from dataclasses import replace

import numpy as np
import pytest

from mgajax.experiments.verdicts import judge, verdict
from mgajax.reporting.tables.measurements import Measurement


def difference(*seeds: float, error: float = 0.005) -> Measurement:
    values = dict(enumerate(seeds))
    row = Measurement("t", "A minus B", "Accuracy", value=float(np.mean(seeds)), seeds=values)
    row = replace(row, low=row.value - 2 * error, high=row.value + 2 * error)
    return judge(row, patient_error=error, clusters=61)


def test_a_difference_that_seeds_and_patients_agree_on_holds() -> None:
    row = difference(0.05, 0.04, 0.06, 0.05, 0.05)
    assert row.verdict == "holds"
    assert 0 < row.method_low < row.low, "seeds add to what patients leave open"
    assert row.method_high - row.value == pytest.approx(row.value - row.method_low)
    assert difference(-0.05, -0.04, -0.06, -0.05, -0.05).verdict == "fails: the opposite holds"


def test_a_seed_of_the_other_sign_makes_a_verdict_open() -> None:
    """Even where the interval still excludes zero."""
    seeds = [0.05, 0.06] * 20
    assert difference(*seeds).verdict == "holds"
    planted = difference(*seeds, -0.001)
    assert planted.method_low > 0
    assert planted.verdict == "open: seed 40 of the other sign"


def test_three_seeds_that_spread_leave_a_verdict_open() -> None:
    """The seeds of "guided attention at 40 % is ahead of unguided at 80 %", as once published."""
    row = difference(0.219, -0.040, -0.033, error=0.0166)
    assert row.low > 0, "these networks, over patients"
    assert row.method_low < 0
    assert row.verdict == "open: the interval holds zero"


def test_one_seed_never_holds() -> None:
    row = difference(0.5)
    assert row.low > 0
    assert row.verdict == "open: one seed"


def test_a_difference_that_was_not_measured_is_undecided() -> None:
    assert verdict(Measurement("t", "n", "m")) == "undecided: undefined"
    same = difference(0.0, 0.0, error=0.0)
    assert same.verdict == "undecided: no seed and no patient makes a difference"


@pytest.mark.parametrize(
    ("row", "cell"),
    [
        (difference(0.05, 0.04, 0.06, 0.05, 0.05), "**5.0 [3.8, 6.2]** ± 0.7; networks [4.0, 6.0]"),
        (difference(0.05), "5.0; networks [4.0, 6.0]"),
    ],
)
def test_both_intervals_are_written_and_decided_verdicts_are_bold(
    row: Measurement, cell: str
) -> None:
    assert row.as_text() == cell
    assert Measurement.from_json(row.to_json()) == row
