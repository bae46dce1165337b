"""Cross-validation folds over the patients of two data sets together."""

import numpy as np
import pytest

from mgajax.data.columns import SliceColumns
from mgajax.errors import ConfigError, DataError
from mgajax.experiments.real.budgets import chosen_budget
from mgajax.experiments.real.folds import deal_folds, usable_classes

CAP = 2


def columns(*people: tuple[str, int, int]) -> SliceColumns:
    """Slices of (patient, label, how many)."""
    rows = [(patient, label) for patient, label, count in people for _ in range(count)]
    names, labels = zip(*rows, strict=True)
    return SliceColumns(
        labels=np.array(labels),
        patients=np.array(names),
        sources=np.array([name.partition("/")[0] for name in names]),
        file_names=np.array([f"{place}.png" for place in range(len(rows))]),
    )


SLICES = columns(
    *((f"zhao/{person}", person % 2, 2) for person in range(18)),
    *((f"jun/{person}", 1, 3) for person in range(3)),
    ("medseg/7", 1, 2),
    ("medseg/8", 1, 1),
    ("afshar/P1", CAP, 9),
)
PAIRS = columns(
    *((f"jun/{person}", 1, 20) for person in range(6)),
    ("MedSeg/all", 1, 5),
    *((f"morozov/{person}", 1, 1) for person in range(4)),
)
TABLES = {"slices": SLICES, "lesions": PAIRS}
USED = {"slices": SLICES.labels != CAP, "lesions": np.ones(len(PAIRS), bool)}


def test_each_patient_is_tested_once_and_never_trains_in_that_fold() -> None:
    dealt = deal_folds(TABLES, USED, folds=3, seed=0)
    for name, table in TABLES.items():
        parts = np.stack([fold.splits[name].assignment for fold in dealt])
        assert ((parts == 2).sum(axis=0) == USED[name]).all()
        assert (parts[:, ~USED[name]] == -1).all()
        assert all(
            (codes_of_person == part).any() for codes_of_person in parts for part in range(3)
        )
        for patient in np.unique(table.patients):
            of_one = parts[:, table.patients == patient]
            assert (of_one == of_one[:, :1]).all(), "a person is in one part"
    for fold in dealt:
        for person in ("jun/0", "jun/1", "jun/2"):
            (codes_of_person,) = {
                tuple(np.unique(fold.splits[name].assignment[table.patients == person]))
                for name, table in TABLES.items()
            }
            assert len(codes_of_person) == 1, "in both sets alike"
        codes = fold.splits["slices"].assignment[np.isin(SLICES.patients, ["medseg/7", "medseg/8"])]
        untold = fold.splits["lesions"].assignment[PAIRS.patients == "MedSeg/all"]
        assert len({*codes.tolist(), *untold.tolist()}) == 1, (
            "patients who may be the same person count as one"
        )


def test_folds_follow_from_the_seed_and_are_even() -> None:
    first, again, other = (
        deal_folds(TABLES, USED, folds=3, seed=seed)[0].splits["slices"].assignment
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    jun = [
        int((fold.splits["lesions"].assignment[PAIRS.sources == "jun"] == 2).sum())
        for fold in deal_folds(TABLES, USED, folds=3, seed=0)
    ]
    assert jun == [40, 40, 40]


def test_a_class_of_one_patient_is_left_out_with_a_note() -> None:
    used, notes = usable_classes(SLICES)
    assert np.array_equal(used, SLICES.labels != CAP)
    assert notes == ["CAP is no class here: 9 slices of 1 person, fewer than 5; they are left out."]
    assert usable_classes(SLICES.select(used))[1] == []


def test_too_few_people_are_no_folds() -> None:
    few = {"lesions": columns(("jun/1", 1, 4), ("jun/2", 1, 4))}
    with pytest.raises(DataError, match="2 patients cannot make k=3 folds"):
        deal_folds(few, {"lesions": np.ones(8, bool)}, folds=3, seed=0)


@pytest.mark.parametrize(
    ("name", "folds", "seeds", "message"),
    [
        ("hour", None, None, "did you mean 'hours'"),
        ("hours", 1, None, "--folds 1: expected at least 2"),
        ("hours", None, 0, "--seeds 0: expected at least 1"),
    ],
)
def test_impossible_sizes_are_reported(
    name: str, folds: int | None, seeds: int | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen_budget(name, folds=folds, seeds=seeds)
    chosen = chosen_budget("minutes", folds=5, seeds=None)
    assert (chosen.folds, chosen.seeds) == (5, 1)
