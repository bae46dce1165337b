"""Cramér's V against its definition, and by people."""

import numpy as np
import pytest

from mgajax.audit.association import associate, cramers_v


def test_the_source_that_decides_the_class_gives_one() -> None:
    assert cramers_v(np.diag([50, 40, 30])) == pytest.approx(1.0)


def test_independence_gives_zero() -> None:
    assert cramers_v(np.outer([10, 20, 30], [3, 2, 1])) == 0.0


def test_the_correction_is_bergsmas() -> None:
    # phi² = 1/9 over 60; less 1/59, over sides of 2 - 1/59 each.
    expected = np.sqrt((1 / 9 - 1 / 59) / (1 - 1 / 59))
    assert cramers_v(np.array([[20, 10], [10, 20]])) == pytest.approx(expected)


def test_noise_is_not_taken_for_association() -> None:
    rng = np.random.default_rng(0)
    tables = [rng.multinomial(60, np.full(21, 1 / 21)).reshape(7, 3) for _ in range(200)]
    values = [value for value in map(cramers_v, tables) if value is not None]
    assert np.mean(values) < 0.1


@pytest.mark.parametrize("table", [[[5, 5]], [[5], [5]], [[0, 0], [0, 0]], [[5, 0], [3, 0]]])
def test_one_row_or_column_has_no_association(table: list[list[int]]) -> None:
    assert cramers_v(np.array(table)) is None


def test_a_person_counts_once() -> None:
    association = associate(
        labels=np.array([0, 0, 0, 1, 1]),
        sources=["jun", "jun", "jun", "zhao", "zhao"],
        people=np.array([0, 0, 1, 2, 3]),
    )
    assert association.sources == ("zhao", "jun")
    assert association.slices == ((0, 2, 0), (3, 0, 0))
    assert association.patients == ((0, 2, 0), (2, 0, 0))
    assert association.to_json()["counts"]["patients"]["jun"]["Normal"] == 2
