"""Who of another set is known from a run's own: people who trained it make its numbers too good."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from mgajax.data.columns import SliceColumns
from mgajax.data.patient_groups import patient_keys
from mgajax.data.split_csv import patients_of_split

NAMED = 5
"""People in both sets who are named in messages."""


@dataclass(frozen=True, eq=False)
class SetPeople:
    """The people of a set beside those of a run's training and validation slices, by their ids.

    Attributes:
      number: how many the set has; None where no patient is known.
      trained_on: people of the run's training slices.
      training: those of the set who are among these, as the set calls them, sorted.
      validation: those who are among the validation slices, by which the checkpoint was chosen.
      has_trained: bool [n], the set's slices of the former.
    """

    number: int | None
    trained_on: int
    training: tuple[str, ...]
    validation: tuple[str, ...]
    has_trained: Bool[np.ndarray, "n"]

    def to_json(self) -> dict[str, Any]:
        """As the report holds it."""
        known = self.number is not None
        return {
            "number": self.number,
            "trained_on": self.trained_on,
            "in_training": len(self.training) if known else None,
            "in_validation": len(self.validation) if known else None,
            "named": list(self.training[:NAMED]),
        }


def find_people(table: SliceColumns, *, split_csv: Path) -> SetPeople:
    """Compare the people of a set with those of a run.

    An id counts as the same with and without its source before it ("afshar/P001").

    Args:
      table: the set; patients are '' where nobody knows them.
      split_csv: of the run.

    Raises:
      DataError: the split cannot be read.
    """
    trained, validated = (
        _keys(list(patients_of_split(split_csv, split=split))) for split in ("train", "validation")
    )
    if not (table.patients != "").any():
        nobody = np.zeros(len(table), bool)
        return SetPeople(None, len(trained), (), (), nobody)
    plain = patient_keys(table.patients)
    qualified = np.char.add(np.char.add(table.sources, "/"), table.patients)
    in_training, in_validation = (
        np.isin(plain, list(keys)) | np.isin(np.char.lower(qualified), list(keys))
        for keys in (trained, validated)
    )
    return SetPeople(
        number=len(np.unique(plain)),
        trained_on=len(trained),
        training=tuple(np.unique(table.patients[in_training]).tolist()),
        validation=tuple(np.unique(table.patients[in_validation]).tolist()),
        has_trained=in_training,
    )


def _keys(patients: list[str]) -> set[str]:
    return set(patient_keys(np.array(patients, np.str_)).tolist()) if patients else set()
