"""The only split by slices: it has the built counts and is marked as leaking; no other may leak."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_columns import drawn_columns, parts_of_patients

from mgajax.data.splits import (
    Split,
    assert_patient_disjoint,
    fraction_split,
    make_split,
    split_from_csv,
    stratified_split,
    write_split_csv,
)
from mgajax.data.table import SliceTable
from mgajax.errors import DataError, LeakageError


def built(seed: int = 0) -> SliceTable:
    table = drawn_columns(seed, patients=30)
    codes = stratified_split(table, seed=seed).assignment.copy()
    codes[:7] = -1
    return replace(table, built_split=codes)


TABLE = built()


def leaking(table: SliceTable = TABLE, *, seed: int = 0) -> Split:
    return make_split(table, kind="leaking_slices", seed=seed)


def write(path: Path, split: Split, table: SliceTable = TABLE) -> Path:
    write_split_csv(path, table=table, split=split)
    return path


def read(path: Path, table: SliceTable = TABLE) -> Split:
    return split_from_csv(path, table=table)


@pytest.mark.parametrize("seed", range(3))
def test_it_has_the_built_counts_of_every_class_and_spreads_patients(seed: int):
    split = leaking(seed=seed)
    base = make_split(TABLE, kind="built", seed=0)
    assert split.counts(TABLE.labels) == base.counts(TABLE.labels)
    np.testing.assert_array_equal(split.indices("unused"), range(7))
    parts = parts_of_patients(TABLE, split.assignment)
    assert sum(len(codes) > 1 for codes in parts.values()) > 0.7 * len(parts)
    np.testing.assert_array_equal(split.assignment, leaking(seed=seed).assignment)
    assert (split.assignment != leaking(seed=seed + 1).assignment).mean() > 0.1


def test_the_order_of_the_rows_has_no_part_in_it():
    order = np.random.default_rng(0).permutation(len(TABLE.labels))
    shuffled = TABLE.select(order)
    np.testing.assert_array_equal(leaking(shuffled).assignment, leaking().assignment[order])


def test_it_says_that_it_leaks():
    split = leaking()
    assert (split.name, split.leaks) == ("leaking_slices", True)
    parts = parts_of_patients(TABLE, split.assignment)
    several = sum(len(codes) > 1 for codes in parts.values())
    (note,) = split.notes
    assert f"LEAKS: {several} of {len(parts)} patients stand in several splits" in note


def test_only_a_declared_split_may_leak():
    split = leaking()
    assert_patient_disjoint(split, TABLE.patients)
    with pytest.raises(LeakageError, match="patient"):
        assert_patient_disjoint(replace(split, leaks=False), TABLE.patients)
    with pytest.raises(LeakageError, match="patient"):
        make_split(replace(TABLE, built_split=split.assignment), kind="built", seed=0)
    with pytest.raises(LeakageError, match="patient"):
        fraction_split(TABLE, base=split, fraction=0.5, seed=0)
    with pytest.raises(DataError, match="has"):
        assert_patient_disjoint(split, TABLE.patients[1:])


def test_the_mark_goes_into_split_csv_and_comes_back(tmp_path: Path):
    split = leaking()
    path = write(tmp_path / "split.csv", split)
    assert path.read_text().splitlines()[0] == "file_name,label,patient,source,split,leaks"
    back = read(path)
    np.testing.assert_array_equal(back.assignment, split.assignment)
    assert back.leaks
    assert back.notes == split.notes
    again = write(tmp_path / "again.csv", back)
    assert again.read_bytes() == path.read_bytes()
    assert make_split(TABLE, kind="csv", seed=0, path=str(path)).leaks


def test_a_split_of_patients_has_no_such_column(tmp_path: Path):
    path = write(tmp_path / "split.csv", make_split(TABLE, kind="built", seed=0))
    assert "leaks" not in path.read_text()
    assert not read(path).leaks


def test_without_the_mark_the_same_file_is_leakage(tmp_path: Path):
    path = write(tmp_path / "split.csv", leaking())
    path.write_text(path.read_text().replace(",leaks", "").replace(",leaking_slices", ""))
    with pytest.raises(LeakageError, match="keep all slices of a patient in one split"):
        read(path)


@pytest.mark.parametrize("mark", ["", "yes"])
def test_a_row_marked_otherwise_is_named(tmp_path: Path, mark: str):
    path = write(tmp_path / "split.csv", leaking())
    lines = path.read_text().splitlines()
    lines[4] = lines[4].replace("leaking_slices", mark)
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=f"line 5: leaks is '{mark}'; expected 'leaking_slices'"):
        read(path)
