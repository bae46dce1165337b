"""Lesion masks checked against the slices they belong to."""

from pathlib import Path

import numpy as np
from jaxtyping import Int32

from mgajax.audit.slices import AuditSlices
from mgajax.curation.lesion_masks import attach_masks, find_masks
from mgajax.curation.records import SliceRecord
from mgajax.errors import DataError


def check_masks(
    slices: AuditSlices, shapes: Int32[np.ndarray, "n 2"], *, folder: Path | None
) -> None:
    """Note masks that are damaged, of another size, of nobody, empty, or of a normal slice.

    Args:
      slices: their findings take the notes.
      shapes: height and width of each slice.
      folder: the masks, named as their slices; None for none.

    Raises:
      DataError: no such folder; or one that was asked for holds no mask of any slice.
    """
    if folder is None:
        return
    if not folder.is_dir():
        raise DataError(f"--masks {folder}: no such folder; expected one of PNG masks")
    records = [_record(slices, row, shape) for row, shape in enumerate(shapes)]
    masks = find_masks(records, folder=folder, findings=slices.findings)
    if not masks and folder != slices.mask_folder:
        raise DataError(
            f"{folder}: no mask of any of {len(records)} slices (e.g. {records[0].file_name}); "
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
