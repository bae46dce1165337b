"""What all splits promise (whole patients, one seed, any row order), and the configuration's entry."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_columns import TABLE2, assert_whole_patients, drawn_columns, full_size_columns

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
from mgajax.data.table import SliceTable
from mgajax.errors import ConfigError, DataError, LeakageError
from mgajax.schema import SPLITS


def every_split(table: SliceTable, seed: int) -> dict[str, Split]:
    base = stratified_split(table, seed=seed)
    return {
        "default": default_split(table, seed=seed),
        "stratified": base,
        "fraction": fraction_split(table, base=base, fraction=0.4, seed=seed),
        "k_fold": k_fold(table, k=4, fold=1, seed=seed),
        "leave_out": leave_one_source_out(table, source="jun", seed=seed),
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
    shuffled = table.select(order)
    for name, split in every_split(table, 0).items():
        moved = every_split(shuffled, 0)[name].assignment
        np.testing.assert_array_equal(moved, split.assignment[order], err_msg=name)


def test_make_split_reaches_every_kind(tmp_path: Path):
    table = drawn_columns(0, patients=40)
    base = stratified_split(table, seed=4)
    table = replace(table, built_split=base.assignment)
    write_split_csv(tmp_path / "s.csv", table=table, split=base)
    options: dict[str, Any] = {
        "fraction": 0.3,
        "k": 4,
        "fold": 3,
        "source": "jun",
        "path": str(tmp_path / "s.csv"),
    }
    for kind in set(KINDS) - {"table2", "leaking_slices"}:
        assert_whole_patients(table, make_split(table, kind=kind, seed=0, **options))
    for kind in ("built", "csv"):
        split = make_split(table, kind=kind, seed=0, **options)
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
        ("fraction", {"fraction": 1.5}, r"fraction=1\.5 is not in \(0, 1\)"),
        ("kfold", {"fold": 5}, "fold=5 is not in"),
        ("csv", {}, "path=''; set split.path"),
        ("leave_one_source_out", {"source": "medsag"}, "source='medsag' is not in the data set"),
        ("stratified", {"seed": -1}, "seed=-1 is negative"),
    ],
)
def test_bad_configurations_are_named(kind: str, options: dict[str, Any], message: str):
    table = drawn_columns(0, patients=20)
    with pytest.raises(ConfigError, match=message):
        make_split(table, **{"kind": kind, "seed": 0, **options})


def test_a_leaking_or_damaged_built_split_is_caught_at_load():
    table = drawn_columns(0, patients=20)
    codes = np.arange(len(table.labels), dtype=np.int8) % 3
    leaking = replace(table, built_split=codes)
    with pytest.raises(LeakageError, match="split 'built': patient"):
        make_split(leaking, kind="built", seed=0)
    odd = replace(table, built_split=codes + 5)
    with pytest.raises(DataError, match=r"built_split holds \[5, 6, 7\]"):
        make_split(odd, kind="built", seed=0)


def test_the_page_about_splits_names_every_kind():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "splits.md").read_text(
        encoding="utf-8"
    )
    named = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert named == {"config.split.kind", *KINDS}
