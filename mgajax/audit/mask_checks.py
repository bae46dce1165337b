"""Checks of lesion masks: do they fit their slices, and did test patients train their segmenter?"""

from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from mgajax.audit.audit_result import SharedPatient
from mgajax.audit.slices import AuditSlices
from mgajax.curation.lesion_masks import attach_masks, find_masks
from mgajax.curation.lesion_pairs import add_medseg_patient
from mgajax.curation.records import SliceRecord
from mgajax.data.patient_groups import patient_keys
from mgajax.data.split_csv import patients_of_split
from mgajax.data.table import read_table
from mgajax.errors import ConfigError, DataError, quantity
from mgajax.schema import SPLITS

TRAIN, TEST = SPLITS.index("train"), SPLITS.index("test")


def check_masks(
    slices: AuditSlices, shapes: Int32[np.ndarray, "n 2"], *, folder: Path | None
) -> None:
    """Note masks that are damaged, of another size, without a slice, empty, or of a normal slice.

    Args:
      slices: their findings take the notes.
      shapes: height and width of each slice.
      folder: the masks, named like their slices; None for none.

    Raises:
      DataError: no such folder; or the given one holds no mask of any slice.
    """
    if folder is None:
        return
    if not folder.is_dir():
        raise DataError(f"--masks {folder}: no such folder; expected one of PNG masks")
    records = [_record(slices, row, shape) for row, shape in enumerate(shapes)]
    masks = find_masks(records, folder=folder, findings=slices.findings)
    if not masks and folder != slices.mask_folder:
        raise DataError(
            f"{folder}: no mask of any of {quantity(len(records), 'slice')} (e.g. "
            f"{records[0].file_name}); "
            "masks carry the names of their slices"
        )
    attach_masks(records, masks=masks, findings=slices.findings)


def _record(slices: AuditSlices, row: int, shape: np.ndarray) -> SliceRecord:
    name = str(slices.file_names[row])
    return SliceRecord(
        path=slices.directory / name,
        file_name=name,
        label=int(slices.labels[row]),
        source=str(slices.sources[row]),
        patient=str(slices.patients[row]),
        country="",
        age=-1,
        gender="",
        flags=(),
        height=int(shape[0]),
        width=int(shape[1]),
        sha256="",
        is_plain_png=False,
    )


def find_shared_patients(slices: AuditSlices, trained_on: Path) -> list[SharedPatient]:
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
        trained_slices = sum(trained[_key(identity)] for identity in add_medseg_patient([patient]))
        if trained_slices:
            shared.append(SharedPatient(patient, tested=tested, trained=trained_slices))
    return shared


def _key(patient: str) -> str:
    return str(patient_keys(np.array([patient], np.str_))[0])


def _training_patients(trained_on: Path) -> dict[str, int]:
    """Training slices by patient."""
    if trained_on.suffix == ".csv":
        return patients_of_split(trained_on, split="train")
    table = read_table(trained_on)
    return dict(Counter(table.patients[table.built_split == TRAIN].tolist()))
