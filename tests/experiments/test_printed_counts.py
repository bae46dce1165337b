"""Counts behind printed percentages, against a search through all of them."""

import itertools

import pytest

from mgajax.experiments.forensics import fitting_counts, fitting_sizes

COLUMNS = ("accuracy", "f1", "recall", "precision")


def printed(tp: int, fp: int, fn: int, tn: int, *, cut: bool = False) -> dict[str, float]:
    """Percentages of two decimals, rounded or cut off."""
    shares = (
        (tp + tn) / (tp + fp + fn + tn),
        2 * tp / (2 * tp + fp + fn),
        tp / (tp + fn),
        tp / (tp + fp),
    )
    off = 0.005 if cut else 0.0
    return {name: round(100 * share - off, 2) for name, share in zip(COLUMNS, shares, strict=True)}


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("counts", [(13, 3, 4, 20), (1, 0, 0, 39), (17, 2, 0, 21), (20, 0, 20, 0)])
def test_the_counts_are_found(counts: tuple[int, int, int, int], cut: bool) -> None:
    tp, _, fn, _ = counts
    row = printed(*counts, cut=cut)
    assert counts in fitting_counts(row, slices=40, positives=[tp + fn])
    assert (40, tp + fn) in fitting_sizes(row, most=60)


def test_nothing_else_is_found_and_nothing_missed() -> None:
    """Every confusion of at most 24 slices, one by one."""
    row = printed(5, 1, 2, 7)
    same = {
        (tp + fp + fn + tn, tp + fn)
        for tp, fp, fn, tn in itertools.product(range(1, 25), range(25), range(25), range(25))
        if tp + fp + fn + tn <= 24 and printed(tp, fp, fn, tn) == row
    }
    assert same == fitting_sizes(row, most=24) == {(15, 7)}
    assert fitting_counts(row, slices=15, positives=range(1, 16)) == [(5, 1, 2, 7)]
    assert fitting_counts(row, slices=14, positives=range(1, 15)) == []
