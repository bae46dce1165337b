"""Cross-validation over the patients of all data sets: a fold's test patients train in none of them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from mgajax.data.columns import SliceColumns
from mgajax.data.patient_groups import Split, assert_patient_disjoint, patient_keys
from mgajax.data.splits import k_fold, write_split_csv
from mgajax.data.table import SliceTable
from mgajax.evaluation.intervals import MIN_CLUSTERS
from mgajax.schema import CLASS_NAMES, ONE_PERSON

LEAST_PEOPLE = MIN_CLUSTERS
"""The fewest patients of a usable class: fewer give no interval, and some folds lack the class."""


@dataclass(frozen=True)
class Fold:
    """The training, validation and test patients of one fold.

    Attributes:
      number: from 0.
      splits: by name of a data set; a patient is in the same part in all data sets.
    """

    number: int
    splits: Mapping[str, Split]


def deal_folds(
    tables: Mapping[str, SliceColumns],
    used: Mapping[str, Bool[np.ndarray, "n"]],
    *,
    folds: int,
    seed: int,
) -> list[Fold]:
    """Assign the patients of several data sets to folds, balanced by class and source in each set.

    Each patient is a test patient in exactly one fold. Of the other slices, the share of Table 2 is for
    validation.

    Args:
      tables: by name.
      used: the rows of each table that are used; the others are in no part.
      folds: number of folds.
      seed: of the assignment.

    Raises:
      ConfigError: fewer than two folds.
      DataError: fewer patients than folds, or no row is used.
    """
    joint = _join_tables({name: table.select(used[name]) for name, table in tables.items()})
    ends = np.cumsum([int(used[name].sum()) for name in tables])
    dealt = []
    for number in range(folds):
        split = k_fold(joint, k=folds, fold=number, seed=seed)
        assert_patient_disjoint(split, joint.patients)
        splits = {}
        for name, parts in zip(tables, np.split(split.assignment, ends[:-1]), strict=True):
            assignment = np.full(len(tables[name]), -1, np.int8)
            assignment[used[name]] = parts
            splits[name] = Split(split.name, assignment, split.notes)
        dealt.append(Fold(number, splits))
    return dealt


def _join_tables(tables: Mapping[str, SliceColumns]) -> SliceColumns:
    """One table of all sets. The sources of each set stay apart, so that each set is balanced."""
    return SliceColumns(
        labels=np.concatenate([table.labels for table in tables.values()]),
        patients=_people(np.concatenate([table.patients for table in tables.values()])),
        sources=np.concatenate(
            [np.char.add(f"{name} ", table.sources) for name, table in tables.items()]
        ),
        file_names=np.concatenate([table.file_names for table in tables.values()]),
    )


def _people(patients: np.ndarray) -> np.ndarray:
    """Patient ids; all of a source are one if some set does not tell its patients apart."""
    keys = patient_keys(patients)
    sources = np.array([key.partition("/")[0] for key in keys], np.str_)
    untold = [key.partition("/")[0] for key in set(keys) if key.endswith(f"/{ONE_PERSON}")]
    return np.where(np.isin(sources, untold), np.char.add(sources, f"/{ONE_PERSON}"), keys)


def usable_classes(
    table: SliceColumns, *, least: int = LEAST_PEOPLE
) -> tuple[Bool[np.ndarray, "n"], list[str]]:
    """The rows of classes with enough patients, and a note for each class with too few."""
    used, notes = np.ones(len(table), bool), []
    for label, name in enumerate(CLASS_NAMES):
        of_class = table.labels == label
        people = len(np.unique(table.patients[of_class]))
        if 0 < people < least:
            used &= ~of_class
            notes.append(
                f"{name} is no class here: {int(of_class.sum())} slices of {people} "
                f"{'person' if people == 1 else 'people'}, fewer than {least}; they are left out."
            )
    return used, notes


def written_split(table: SliceTable, split: Split, *, name: str, folder: Path) -> Path:
    """The CSV of a split. Its name contains a hash of its content, so equal splits share a file."""
    digest = hashlib.sha256(split.assignment.tobytes())
    digest.update("\n".join(table.file_names.tolist()).encode())
    path = folder / f"{name}-{digest.hexdigest()[:12]}.csv"
    if not path.is_file():
        write_split_csv(path, table=table, split=split)
    return path
