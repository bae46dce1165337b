"""The subset-sum table and the exact assignment, against brute force on small sets."""

import itertools

import numpy as np
import pytest

from mgajax.data import exact_counts
from mgajax.data.exact_counts import assign_exactly, make_sum_table


def drawn_open_parts(rng: np.random.Generator, people: int) -> np.ndarray:
    """Some patients may go anywhere, some may not train, some only test."""
    kinds = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1]], bool)
    return kinds[rng.choice(3, people, p=[0.6, 0.2, 0.2])]


def brute_force_sums(sizes: list[int], open_parts: np.ndarray) -> set[tuple[int, int]]:
    """All reachable (validation, test) sums, by trying every assignment."""
    return {
        (
            sum(s for s, part in zip(sizes, parts, strict=True) if part == 1),
            sum(s for s, part in zip(sizes, parts, strict=True) if part == 2),
        )
        for parts in itertools.product(*(np.flatnonzero(may) for may in open_parts))
    }


def reached(counts: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Slices by class and part [k, 3]."""
    return np.stack([counts.sum(axis=2)[parts == part].sum(axis=0) for part in range(3)], axis=1)


@pytest.mark.parametrize("seed", range(6))
def test_table_holds_exactly_the_sums_that_brute_force_finds(seed: int):
    rng = np.random.default_rng(seed)
    sizes = [int(s) for s in rng.integers(1, 8, size=6)]
    total = sum(sizes)
    open_parts = drawn_open_parts(rng, 6) if seed % 2 else np.ones((6, 3), bool)
    table = make_sum_table(sizes, open_parts=open_parts, goal=np.array([0, total, total]))
    sums = brute_force_sums(sizes, open_parts)
    for v in range(-1, total + 2):
        for t in range(-1, total + 2):
            assert table.holds(0, v, t) == ((v, t) in sums), (sizes, v, t)


@pytest.mark.parametrize("seed", range(20))
def test_closest_pair_is_as_close_as_the_best_of_all_assignments(seed: int):
    rng = np.random.default_rng(seed)
    sizes = [int(s) for s in rng.integers(1, 40, size=6)]
    total = sum(sizes)
    v, t = int(rng.integers(0, total // 2)), int(rng.integers(0, total // 2))
    open_parts = drawn_open_parts(rng, 6) if seed % 2 else np.ones((6, 3), bool)
    sums = brute_force_sums(sizes, open_parts)
    best = min(abs(a - v) + abs(b - t) + abs((a + b) - (v + t)) for a, b in sums)
    table = make_sum_table(
        sizes, open_parts=open_parts, goal=np.array([total - v - t, v, t])
    ).closest(v, t)
    assert table[2] == best
    assert abs(table[0] - v) + abs(table[1] - t) + abs(table[0] + table[1] - v - t) == best


@pytest.mark.parametrize("seed", range(20))
def test_targets_that_some_assignment_meets_are_met(seed: int):
    rng = np.random.default_rng(seed)
    counts = np.zeros((40, 3, 2), np.int64)
    counts[np.arange(40), rng.integers(0, 3, 40), rng.integers(0, 2, 40)] = rng.integers(1, 50, 40)
    targets = reached(counts, rng.integers(0, 3, 40))
    parts = assign_exactly(
        counts=counts, targets=targets, open_parts=np.ones((len(counts), 3), bool), rng=rng
    )
    np.testing.assert_array_equal(reached(counts, parts), targets)


@pytest.mark.parametrize("seed", range(20))
def test_patients_with_several_classes_are_solved_jointly(seed: int):
    rng = np.random.default_rng(seed)
    counts = np.zeros((9, 3, 1), np.int64)
    counts[np.arange(9), np.arange(9) % 3, 0] = rng.integers(1, 12, 9)
    counts[:4, :, 0] += rng.integers(0, 9, (4, 3))
    targets = reached(counts, rng.integers(0, 3, 9))
    parts = assign_exactly(
        counts=counts, targets=targets, open_parts=np.ones((len(counts), 3), bool), rng=rng
    )
    np.testing.assert_array_equal(reached(counts, parts), targets)


def test_large_sets_stay_exact_when_the_table_covers_the_small_patients_only(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(exact_counts, "TABLE_BITS", 200_000)
    rng = np.random.default_rng(0)
    counts = np.zeros((2000, 3, 2), np.int64)
    where = np.arange(2000), rng.integers(0, 3, 2000), rng.integers(0, 2, 2000)
    counts[where] = 1 + rng.geometric(0.05, 2000)
    totals = counts.sum(axis=(0, 2))
    validation, test = totals // 5, totals // 10
    targets = np.stack([totals - validation - test, validation, test], axis=1)
    parts = assign_exactly(
        counts=counts, targets=targets, open_parts=np.ones((len(counts), 3), bool), rng=rng
    )
    np.testing.assert_array_equal(reached(counts, parts), targets)


@pytest.mark.parametrize("seed", range(20))
def test_patients_go_to_open_parts_only(seed: int):
    rng = np.random.default_rng(seed)
    counts = np.zeros((12, 3, 1), np.int64)
    counts[np.arange(12), np.arange(12) % 3, 0] = rng.integers(1, 12, 12)
    counts[:3, :, 0] += rng.integers(0, 9, (3, 3))
    open_parts = drawn_open_parts(rng, 12)
    some = np.array([rng.choice(np.flatnonzero(may)) for may in open_parts])
    targets = reached(counts, some)
    parts = assign_exactly(counts=counts, targets=targets, rng=rng, open_parts=open_parts)
    assert open_parts[np.arange(12), parts].all()
    np.testing.assert_array_equal(reached(counts, parts), targets)
