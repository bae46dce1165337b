"""Nested fractions, folds that test each patient once, left-out sources."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_columns import assert_whole_patients, columns, drawn_columns

from mgajax.data.splits import (
    Split,
    assert_patient_disjoint,
    fraction_split,
    k_fold,
    leave_one_source_out,
    stratified_split,
)
from mgajax.errors import ConfigError, DataError, LeakageError
from mgajax.schema import CLASS_NAMES, SPLITS


@pytest.mark.parametrize("seed", range(6))
def test_fractions_are_nested_close_and_leave_the_test_set_alone(seed: int):
    table = drawn_columns(seed, patients=60, spanning=3 * (seed % 2))
    base = stratified_split(table, seed=seed)
    test = base.indices("test")
    pool = len(base.assignment) - test.size
    before: set[int] = set()
    for percent in range(10, 100, 10):
        split = fraction_split(table, base=base, fraction=percent / 100, seed=seed)
        train = set(split.indices("train").tolist())
        assert before < train
        before = train
        np.testing.assert_array_equal(split.indices("test"), test)
        assert not split.indices("unused").size
        assert abs(len(train) / pool - percent / 100) < 0.1
        counts = split.counts(table.labels)
        assert all(counts[part][name] for part in SPLITS for name in CLASS_NAMES)


@pytest.mark.parametrize("seed", range(5))
def test_every_fraction_holds_the_sources_in_proportion(seed: int):
    rows = [(1, source, f"{source}/{n // 5}") for source in ("jun", "zhao") for n in range(100)]
    table = columns(rows)
    base = Split("base", np.zeros(200, np.int8))
    for percent in range(10, 100, 10):
        split = fraction_split(table, base=base, fraction=percent / 100, seed=seed)
        for source in ("jun", "zhao"):
            of_source = table.sources == source
            assert abs((split.assignment[of_source] == 0).sum() - percent) <= 5


@pytest.mark.parametrize(("people", "fraction"), [(1, 0.1), (1, 0.9), (2, 0.1), (2, 0.9)])
def test_a_class_of_two_patients_both_trains_and_validates(people: int, fraction: float):
    table = columns([(2, "afshar", f"afshar/{n // 9}") for n in range(9 * people)])
    base = Split("base", np.ones(9 * people, np.int8))
    split = fraction_split(table, base=base, fraction=fraction, seed=0)
    assert [split.indices(part).size for part in ("train", "validation")] == [9, 9 * (people - 1)]


def test_fractions_keep_left_out_rows_out_and_refuse_a_leaking_base():
    table = columns([(0, "jun", f"jun/{n // 4}") for n in range(40)])
    codes = np.repeat(np.array([0, 0, 0, 1, 1, 1, 2, 2, -1, -1], np.int8), 4)
    split = fraction_split(table, base=Split("base", codes), fraction=0.5, seed=0)
    np.testing.assert_array_equal(split.indices("unused"), np.arange(32, 40))
    codes[0] = 2
    with pytest.raises(LeakageError, match="patient 'jun/0' is in train and test"):
        fraction_split(table, base=Split("bad", codes), fraction=0.5, seed=0)
    with pytest.raises(ConfigError, match="fraction=1"):
        fraction_split(table, base=Split("base", codes), fraction=1.0, seed=0)
    only_test = Split("base", np.full(40, 2, np.int8))
    with pytest.raises(DataError, match="no train or validation rows"):
        fraction_split(table, base=only_test, fraction=0.5, seed=0)


@pytest.mark.parametrize("k", [2, 5, 10])
def test_every_patient_is_tested_in_exactly_one_fold(k: int):
    table = drawn_columns(k, patients=60, spanning=2)
    splits = [k_fold(table, k=k, fold=fold, seed=7) for fold in range(k)]
    tested = np.stack([split.assignment == 2 for split in splits])
    assert (tested.sum(axis=0) == 1).all()
    assert len({frozenset(table.patients[rows].tolist()) for rows in tested}) == k
    shares = tested.mean(axis=1)
    assert abs(shares - 1 / k).max() < 0.03
    for split in splits:
        assert_whole_patients(table, split)
        counts = split.counts(table.labels)
        assert all(counts[part][name] for part in SPLITS for name in CLASS_NAMES)
        rest = split.indices("train").size + split.indices("validation").size
        assert abs(split.indices("validation").size / rest - 0.245) < 0.08


def test_each_patient_can_be_its_own_fold():
    table = drawn_columns(0, patients=140)
    tested = np.stack([k_fold(table, k=140, fold=f, seed=0).assignment == 2 for f in (0, 139)])
    for rows in tested:
        assert len(set(table.patients[rows].tolist())) == 1


def test_no_fold_lacks_a_class_that_has_a_patient_for_each():
    rows = [(0, "jun", "jun/large")] * 200 + [(2, "afshar", f"afshar/{n // 5}") for n in range(10)]
    table = columns(rows)
    for fold in range(2):
        split = k_fold(table, k=2, fold=fold, seed=0)
        assert split.counts(table.labels)["test"]["CAP"] == 5


def test_a_class_of_fewer_patients_than_folds_spreads_and_is_noted():
    rows = [(0, "jun", f"jun/{n // 5}") for n in range(200)]
    rows += [(2, "afshar", f"afshar/{n // 10}") for n in range(30)]
    table = columns(rows)
    splits = [k_fold(table, k=5, fold=fold, seed=0) for fold in range(5)]
    cap = [split.counts(table.labels)["test"]["CAP"] for split in splits]
    assert sorted(cap) == [0, 0, 10, 10, 10]
    assert all(
        ("CAP has no patient in test" in " ".join(s.notes)) == (n == 0)
        for s, n in zip(splits, cap, strict=True)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 1, "fold": 0}, "k=1"),
        ({"k": 5, "fold": 5}, r"fold=5 is not in 0\.\.4"),
    ],
)
def test_bad_folds_are_refused(options: dict[str, int], message: str):
    with pytest.raises(ConfigError, match=message):
        k_fold(drawn_columns(0, patients=9), **options, seed=0)
    with pytest.raises(DataError, match="9 patients cannot make k=10 folds"):
        k_fold(drawn_columns(0, patients=9), k=10, fold=0, seed=0)


def test_the_left_out_source_is_the_test_set_and_double_identities_do_not_leak():
    table = drawn_columns(0, patients=40)
    patients = table.patients.copy()
    zhao = np.flatnonzero(table.sources == "zhao")[0]
    identity, jun = patients[zhao], patients[np.flatnonzero(table.sources == "jun")[0]]
    patients[patients == identity] = jun
    split = leave_one_source_out(replace(table, patients=patients), source="jun", seed=0)
    np.testing.assert_array_equal(split.assignment == 2, table.sources == "jun")
    np.testing.assert_array_equal(
        split.indices("unused"), np.flatnonzero(table.patients == identity)
    )
    assert "patients in other sources are left out" in split.notes[-1]
    assert_patient_disjoint(split, patients)


def test_a_source_that_holds_all_of_a_class_is_noted():
    rows = [(0, "jun", f"jun/{n}") for n in range(9)] + [
        (2, "afshar", f"afshar/{n}") for n in range(9)
    ]
    table = columns(rows)
    split = leave_one_source_out(table, source="afshar", seed=0)
    assert "CAP has no patient in train and validation" in split.notes
    with pytest.raises(ConfigError, match="source='afshaar' is not in the data set; did you mean"):
        leave_one_source_out(table, source="afshaar", seed=0)
    alone = columns(rows[:9])
    with pytest.raises(DataError, match="nothing is left to train on"):
        leave_one_source_out(alone, source="jun", seed=0)
