"""Test patients whose slices have trained the segmenter that writes the masks."""

from collections import Counter
from pathlib import Path

import numpy as np

from mgajax.audit.result import SharedPatient
from mgajax.audit.slices import AuditSlices
from mgajax.curation.lesion_pairs import with_pooled
from mgajax.data.patient_groups import patient_keys
from mgajax.data.split_csv import patients_of_split
from mgajax.data.table import read_table
from mgajax.errors import ConfigError
from mgajax.schema import SPLITS

TRAIN, TEST = SPLITS.index("train"), SPLITS.index("test")


def shared_patients(slices: AuditSlices, trained_on: Path) -> list[SharedPatient]:
    """Test patients of `slices` who train in `trained_on`, by id.

    Args:
      slices: what is audited; its splits must be known.
      trained_on: a built data set, or the split.csv of a segmenter's run.

    Raises:
      ConfigError: no split of `slices` is known.
      DataError: `trained_on` is neither.
    """
    if not slices.has_split:
        raise ConfigError(
            f"--trained_on {trained_on}: no split of {slices.directory} is known; give --split"
        )
    trained: Counter[str] = Counter()
    for patient, count in _training_patients(trained_on).items():
        trained[_key(patient)] += count
    shared = []
    for patient, tested in sorted(Counter(slices.patients[slices.splits == TEST].tolist()).items()):
        seen = sum(trained[_key(identity)] for identity in with_pooled([patient]))
        if seen:
            shared.append(SharedPatient(patient, tested=tested, trained=seen))
    return shared


def _key(patient: str) -> str:
    return str(patient_keys(np.array([patient], np.str_))[0])


def _training_patients(trained_on: Path) -> dict[str, int]:
    """Training slices by patient."""
    if trained_on.suffix == ".csv":
        return patients_of_split(trained_on, split="train")
    table = read_table(trained_on)
    return dict(Counter(table.patients[table.built_split == TRAIN].tolist()))
