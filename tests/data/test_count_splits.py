"""Splits by counts: Table 2 exactly on a drawn set of full size, shares, tiny classes."""

import time

import numpy as np
import pytest
from drawn_columns import (
    TABLE2,
    assert_sources_balanced,
    assert_whole_patients,
    columns,
    drawn_columns,
    full_size_columns,
)

from mgajax.data.splits import (
    TABLE2_COUNTS,
    default_split,
    lesion_split,
    stratified_split,
    table2_split,
)
from mgajax.data.table import SliceTable
from mgajax.errors import ConfigError, DataError
from mgajax.schema import CLASS_NAMES, COVID, SPLITS


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("seed", range(2))
def test_full_size_drawn_set_gets_table_2_exactly_in_seconds(seed: int):
    table = full_size_columns(seed)
    start = time.process_time()
    splits = [table2_split(table, seed=s) for s in (seed, seed + 100)]
    assert time.process_time() - start < 5
    for split in splits:
        assert split.counts(table.labels) == TABLE2
        assert_whole_patients(table, split)
        assert not split.notes
    assert (splits[0].assignment != splits[1].assignment).mean() > 0.1
    np.testing.assert_array_equal(default_split(table, seed=seed).assignment, splits[0].assignment)


@pytest.mark.usefixtures("unchecked")
def test_sources_are_balanced_as_far_as_table_2_allows():
    table = full_size_columns(0)
    assert_sources_balanced(table, table2_split(table, seed=0), large=300, off=0.05)


def lesion_columns(seed: int) -> SliceTable:
    """Numbers of patients and slices of the lesion set's three sources, sizes drawn."""
    table = full_size_columns(seed)
    rows = (table.labels == COVID) & np.isin(table.sources, ["jun", "morozov", "medseg"])
    return table.select(rows)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("seed", range(3))
def test_the_lesion_set_gets_the_papers_counts_at_once(seed: int):
    table = lesion_columns(seed)
    start = time.process_time()
    split = lesion_split(table, seed=seed)
    assert time.process_time() - start < 2  # a third of a second
    assert split.name == "lesions"
    assert [split.indices(part).size for part in SPLITS] == [2329, 200, 200]
    assert_whole_patients(table, split)
    assert_sources_balanced(table, split, large=700, off=0.05)


def test_a_lesion_set_of_another_size_gets_the_same_proportions():
    table = lesion_columns(0)
    keep = np.arange(len(table.labels)) % 4 == 0
    table = table.select(keep)
    split = lesion_split(table, seed=0)
    assert split.name == "default"
    assert [split.indices(part).size for part in SPLITS] == [583, 50, 50]
    assert_whole_patients(table, split)
    few = columns([(1, "jun", f"jun/{n // 5}") for n in range(15)])
    split = lesion_split(few, seed=0)
    assert [split.indices(part).size for part in SPLITS] == [5, 5, 5]


def test_table_2_is_refused_for_another_set():
    table = drawn_columns(0, patients=20)
    with pytest.raises(
        DataError, match=r"'table2': Normal 4643/1736/514 sums to 6893, .* has \d+ slices of it"
    ):
        table2_split(table, seed=0)


@pytest.mark.usefixtures("unchecked")
def test_full_sized_set_that_cannot_have_table_2_falls_back_to_its_proportions():
    sizes = TABLE2_COUNTS.sum(axis=1)
    rows = [
        (label, "afshar", f"afshar/{label}_{n // 100}")
        for label in range(3)
        for n in range(int(sizes[label]))
    ]
    table = columns(rows)
    with pytest.raises(DataError, match=r"cannot have 4643/1736/514 .*closest: 4693/1700/500"):
        table2_split(table, seed=0)
    split = default_split(table, seed=0)
    assert split.name == "default"
    assert_whole_patients(table, split)
    counts = split.counts(table.labels)
    for part in SPLITS:
        for name in CLASS_NAMES:
            assert abs(counts[part][name] - TABLE2[part][name]) <= 100


@pytest.mark.usefixtures("unchecked")
def test_a_set_that_lacks_a_few_slices_stays_within_a_slice_of_table_2():
    full = full_size_columns(0)
    keep = np.ones(len(full.labels), bool)
    keep[np.random.default_rng(0).choice(len(keep), 9, replace=False)] = False
    table = full.select(keep)
    split = default_split(table, seed=0)
    for part, printed in TABLE2.items():
        for name, count in printed.items():
            assert abs(split.counts(table.labels)[part][name] - count) <= 9
    assert split.name == "default"


@pytest.mark.parametrize("seed", range(8))
def test_stratified_counts_are_within_a_slice_of_the_fractions(seed: int):
    table = drawn_columns(seed, patients=150)
    fractions = (0.6, 0.25, 0.15)
    split = stratified_split(table, fractions=fractions, seed=seed)
    counts = split.counts(table.labels)
    for label, name in enumerate(CLASS_NAMES):
        total = int((table.labels == label).sum())
        for part, fraction in zip(SPLITS, fractions, strict=True):
            assert abs(counts[part][name] - fraction * total) <= 1.0
    assert_sources_balanced(table, split, large=150, off=0.08)


@pytest.mark.parametrize("people", range(1, 8))
def test_classes_of_few_patients_reach_train_then_test_then_validation(people: int):
    rows = [(0, "jun", f"jun/{n // 5}") for n in range(200)]
    rows += [(2, "afshar", f"afshar/{n // 20}") for n in range(20 * people)]
    table = columns(rows)
    for seed in range(5):
        split = stratified_split(table, fractions=(0.8, 0.1, 0.1), seed=seed)
        assert_whole_patients(table, split)
        cap = {part: split.counts(table.labels)[part]["CAP"] for part in SPLITS}
        assert cap["train"] > 0
        assert (cap["test"] > 0) == (people >= 2)
        assert (cap["validation"] > 0) == (people >= 3)
        assert any("CAP has no patient in" in note for note in split.notes) == (people < 3)


def test_one_patient_in_all_is_a_training_set():
    table = columns([(2, "afshar", "afshar/cap001")] * 7)
    split = default_split(table, seed=0)
    assert (split.assignment == 0).all()
    assert split.notes == ("CAP has no patient in validation and test",)


def test_no_test_set_when_none_is_asked_for():
    table = drawn_columns(0, patients=30)
    split = stratified_split(table, fractions=(0.7, 0.3, 0.0), seed=0)
    assert not split.indices("test").size


@pytest.mark.parametrize("fractions", [(0.7, 0.2, 0.2), (1.2, -0.2, 0.0)])
def test_bad_fractions_are_refused(fractions: tuple[float, float, float]):
    with pytest.raises(ConfigError, match="fractions="):
        stratified_split(drawn_columns(0, patients=9), fractions=fractions, seed=0)
