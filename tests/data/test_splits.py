"""What all splits promise (whole patients, one seed, any row order), and the configuration's entry."""

from pathlib import Path

import numpy as np
import pytest
from drawn_columns import TABLE2, Columns, assert_whole_patients, drawn_columns, full_size_columns

from mgajax.data.splits import (
    KINDS,
    Split,
    default_split,
    fraction_split,
    k_fold,
    leave_one_source_out,
    make_split,
    stratified_split,
    write_split_csv,
)
from mgajax.errors import ConfigError, DataError, LeakageError
from mgajax.schema import SPLITS


def every_split(table: Columns, seed: int) -> dict[str, Split]:
    base = stratified_split(**table.by_name, seed=seed)
    return {
        "default": default_split(**table.by_name, seed=seed),
        "stratified": base,
        "fraction": fraction_split(base, **table.by_name, fraction=0.4, seed=seed),
        "k_fold": k_fold(**table.by_name, k=4, fold=1, seed=seed),
        "leave_out": leave_one_source_out(**table.by_name, source="jun", seed=seed),
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spanning", [0, 5])
def test_every_split_keeps_patients_whole_and_repeats_by_seed(seed: int, spanning: int):
    table = drawn_columns(seed, patients=40, spanning=spanning)
    first, again = every_split(table, seed), every_split(table, seed)
    alike = set(first)
    for other in range(100, 103):
        if alike:  # two seeds may give one split by chance
            others = every_split(table, other)
            alike = {n for n in alike if (first[n].assignment == others[n].assignment).all()}
    assert not alike
    for name, split in first.items():
        assert split.assignment.dtype == np.int8
        assert_whole_patients(table, split)
        np.testing.assert_array_equal(split.assignment, again[name].assignment)
        for part in SPLITS:
            assert split.indices(part).size, (name, part)


def test_splits_do_not_depend_on_the_order_of_the_rows():
    table = drawn_columns(3, patients=40)
    order = np.random.default_rng(0).permutation(len(table.labels))
    shuffled = Columns(
        table.labels[order],
        table.patients[order],
        table.sources[order],
        table.file_names[order],
        table.built_split[order],
    )
    for name, split in every_split(table, 0).items():
        moved = every_split(shuffled, 0)[name].assignment
        np.testing.assert_array_equal(moved, split.assignment[order], err_msg=name)


def test_make_split_reaches_every_kind(tmp_path: Path):
    table = drawn_columns(0, patients=40)
    base = stratified_split(**table.by_name, seed=4)
    table = Columns(table.labels, table.patients, table.sources, table.file_names, base.assignment)
    write_split_csv(tmp_path / "s.csv", split=base, file_names=table.file_names, **table.by_name)
    options: dict[str, dict[str, object]] = {
        "built": {},
        "stratified": {"fractions": (0.5, 0.25, 0.25)},
        "fraction": {"fraction": 0.3},
        "kfold": {"k": 4, "fold": 3},
        "leave_one_source_out": {"source": "jun"},
        "csv": {"path": str(tmp_path / "s.csv")},
    }
    assert set(options) | {"table2", "leaking_slices"} == set(KINDS)
    unset = dict.fromkeys(("k", "fold", "fraction", "fractions", "source", "path", "base"))
    for kind, given in options.items():
        split = make_split(table, kind=kind, seed=0, **{**unset, **given})
        assert_whole_patients(table, split)
    for kind in ("built", "csv"):
        split = make_split(table, kind=kind, seed=0, **options[kind])
        np.testing.assert_array_equal(split.assignment, base.assignment)
    fractions = [make_split(table, kind="fraction", seed=s, fraction=0.3) for s in (0, 1)]
    for split in fractions:
        np.testing.assert_array_equal(split.indices("test"), base.indices("test"))
    full = full_size_columns(1)
    assert make_split(full, kind="table2", seed=0).counts(full.labels) == TABLE2


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("kfolds", {}, "kind='kfolds' is not known; did you mean 'kfold'"),
        ("kfold", {"folds": 3}, "folds=3 is not one of kind='kfold'; did you mean 'fold'"),
        ("table2", {"k": 3}, "k=3 is not one of kind='table2'; it takes no options"),
        ("fraction", {}, "kind='fraction' needs the option 'fraction'"),
        (
            "fraction",
            {"fraction": "70%"},
            "fraction='70%' of kind='fraction' is a str; expected float",
        ),
        ("fraction", {"fraction": 0.7, "base": "csv"}, "base='csv' is not known"),
        ("stratified", {"fractions": "0.7"}, "fractions='0.7' of kind='stratified' is a str"),
        ("kfold", {"k": True}, "k=True of kind='kfold' is a bool"),
        ("leave_one_source_out", {"source": "medsag"}, "source='medsag' is not in the data set"),
        ("stratified", {"seed": -1}, "seed=-1 is negative"),
    ],
)
def test_bad_configurations_are_named(kind: str, options: dict[str, object], message: str):
    table = drawn_columns(0, patients=20)
    with pytest.raises(ConfigError, match=message):
        make_split(table, **{"kind": kind, "seed": 0, **options})


def test_a_leaking_or_damaged_built_split_is_caught_at_load():
    table = drawn_columns(0, patients=20)
    codes = np.arange(len(table.labels), dtype=np.int8) % 3
    leaking = Columns(table.labels, table.patients, table.sources, table.file_names, codes)
    with pytest.raises(LeakageError, match="split 'built': patient"):
        make_split(leaking, kind="built", seed=0)
    odd = Columns(table.labels, table.patients, table.sources, table.file_names, codes + 5)
    with pytest.raises(DataError, match=r"built_split holds \[5, 6, 7\]"):
        make_split(odd, kind="built", seed=0)
