"""How often a slice comes in an epoch."""

import numpy as np

from mgajax.data.sampling import sample_rows

ROWS = np.array([7, 3, 9, 20, 21, 22, 23, 24, 25])
SOURCES = np.array(["medseg"] + ["jun"] * 8)


def test_each_slice_comes_once() -> None:
    assert np.array_equal(sample_rows(ROWS, SOURCES, sampling="slices"), ROWS)


def test_slices_of_small_sources_come_more_often_and_all_come() -> None:
    rows, times = np.unique(sample_rows(ROWS, SOURCES, sampling="sources"), return_counts=True)
    assert np.array_equal(rows, np.sort(ROWS))
    assert dict(zip(rows.tolist(), times.tolist(), strict=True)) == {
        row: 3 if row == 7 else 1 for row in ROWS.tolist()
    }, "one slice against eight: the root of 8, rounded"


def test_shares_go_with_the_root_of_a_sources_slices() -> None:
    sizes = {"jun": 900, "medseg": 36, "morozov": 4}
    sources = np.repeat(list(sizes), list(sizes.values()))
    rows = sample_rows(np.arange(len(sources)), sources, sampling="sources")
    counts = {name: int((sources[rows] == name).sum()) for name in sizes}
    assert counts == {"jun": 30 * 30, "medseg": 6 * 30, "morozov": 2 * 30}


def test_no_slice_and_one_source_stay_as_they_are() -> None:
    none = np.array([], np.int64)
    assert len(sample_rows(none, np.array([], np.str_), sampling="sources")) == 0
    assert np.array_equal(sample_rows(ROWS[1:], SOURCES[1:], sampling="sources"), ROWS[1:])
