"""Views go back exactly, and spacing is that of neighbours."""

import itertools

import numpy as np
import pytest

from mgajax.imaging.geometry import View, find_repeats, spacing_of, usual_step, view_of


def test_views_go_back_exactly() -> None:
    stored = np.arange(12).reshape(3, 4)
    for axes, rows, columns in itertools.product([(0, 1), (1, 0)], (1, -1), (1, -1)):
        view = View(axes, (rows, columns))
        for turn in ("none", "flip", "rotate"):
            turned_view = view.turned(turn)
            np.testing.assert_array_equal(turned_view.store(turned_view.show(stored)), stored)
    flipped = View().turned("flip").show(stored)
    np.testing.assert_array_equal(flipped, stored[::-1])
    np.testing.assert_array_equal(View().turned("rotate").show(stored), stored[::-1, ::-1])
    assert view_of(np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])) == View()


def test_spacing_is_that_of_neighbours_and_gaps_are_counted() -> None:
    even = spacing_of(np.arange(10.0, 0.0, -2.0))
    assert (even.step, even.gaps, even.missing) == (2.0, (), 0)
    torn = spacing_of(np.array([20.0, 18.0, 12.0, 10.01, 4.0]))
    assert torn.step == pytest.approx(2.0, abs=0.01)
    assert torn.gaps == ((18.0, 12.0), (10.01, 4.0))
    assert torn.missing == 4
    assert spacing_of(np.array([3.0])).step is None


@pytest.mark.parametrize(
    ("positions", "step", "again"),
    [
        ([0.0, 0.1, 5.0, 5.1], 5.0, [1, 3]),
        ([0.0, 0.1, 5.0, 5.1, 10.0, 10.1], 5.0, [1, 3, 5]),
        ([100.0, 96.0, -300.0], 4.0, []),
        ([0.0, 0.1, 0.2, 0.3], 0.1, []),
        ([0.0, 1.2, 5.0, 10.0, 15.0, 15.0], 5.0, [1, 5]),
        ([5.0, 5.0], None, [1]),
    ],
)
def test_repeats_are_recognised_by_the_usual_step(
    positions: list[float], step: float | None, again: list[int]
) -> None:
    usual = usual_step(np.array(positions))
    assert usual == (step if step is None else pytest.approx(step, rel=0.05))
    assert np.flatnonzero(find_repeats(np.array(positions))).tolist() == again
