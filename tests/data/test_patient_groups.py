"""Columns, patient ids, leakage, and the `Split` itself."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from drawn_columns import columns

from mgajax.data.splits import Split, assert_patient_disjoint, default_split
from mgajax.errors import ConfigError, DataError, LeakageError


def test_split_gives_rows_and_counts():
    split = Split("mine", np.array([2, 0, -1, 0, 1], np.int8))
    np.testing.assert_array_equal(split.indices("train"), [1, 3])
    assert split.indices("unused").tolist() == [2]
    counts = split.counts(np.array([0, 1, 1, 2, 2]))
    assert counts == {
        "train": {"Normal": 0, "COVID-19": 1, "CAP": 1},
        "validation": {"Normal": 0, "COVID-19": 0, "CAP": 1},
        "test": {"Normal": 1, "COVID-19": 0, "CAP": 0},
    }
    with pytest.raises(ConfigError, match=r"split='tset' is not known; did you mean 'test'"):
        split.indices("tset")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patients": np.array(["a/1"])}, "columns of unequal length .*'patients': 1"),
        ({"labels": np.array([0, 3], np.int32)}, "row 1: label 3 is not in 0..2"),
        ({"patients": np.array(["jun/1", "jun/ "])}, "row 1: patient id 'jun/ ' is empty"),
    ],
)
def test_unusable_columns_are_refused(changes: dict[str, Any], message: str):
    table = columns([(0, "a", "a/1"), (1, "a", "a/2")])
    with pytest.raises(DataError, match=message):
        default_split(replace(table, **changes), seed=0)
    with pytest.raises(DataError, match="no rows"):
        default_split(table.select(np.zeros(2, bool)), seed=0)


@pytest.mark.parametrize(
    ("spelling", "other"),
    [
        ("jun/\xa074724", "jun/74724"),
        ("zhao/Zhao_Patient 180 ", "zhao/Zhao_Patient 180"),
        ("zhao/Zhao_Patient 180", "zhao/zhao_patient 180"),
        ("jun/74724", "jun /74724"),
    ],
)
def test_spellings_of_one_id_are_one_patient(spelling: str, other: str):
    patients = np.array([spelling, other, "jun/another"])
    with pytest.raises(LeakageError, match="in train and validation"):
        assert_patient_disjoint(Split("bad", np.array([0, 1, 2], np.int8)), patients)
    assert_patient_disjoint(Split("good", np.array([0, 0, 2], np.int8)), patients)
    assert_patient_disjoint(Split("half", np.array([0, -1, 2], np.int8)), patients)


def test_a_split_of_another_data_set_is_refused():
    with pytest.raises(DataError, match="has 2 rows, the data set 3"):
        assert_patient_disjoint(
            Split("short", np.zeros(2, np.int8)), np.array(["a/1", "a/2", "a/3"])
        )
