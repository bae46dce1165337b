"""MedSeg: a hundred single slices from SIRM, outlined by one radiologist, in one NIfTI file.

    tr_im.nii.gz  tr_mask.nii.gz  [tr_lungmasks_updated.nii.gz]

The published set calls the outliner Bjorke and holds all hundred slices (one has an empty mask).
The ten test slices (`val_im.nii.gz`) and the volumes of the second part (`rp_im`) are not in it.
Whose slice is whose is told by the published table alone; without it they are one person's.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mgajax.curation.archives.archive import RawSlice, ReadOptions, Unit
from mgajax.curation.archives.nifti import ArchiveVolume, labelled, open_mask, open_volume
from mgajax.curation.archives.packed import SourceFile, named
from mgajax.curation.archives.published import carried, published_rows
from mgajax.curation.archives.tables import Row
from mgajax.curation.mask_encoding import MEDSEG_LESIONS
from mgajax.curation.names import is_upside_down
from mgajax.curation.report import Finding, Findings
from mgajax.schema import COVID

IMAGES = ("tr_im.nii.gz", "tr_im.nii")
MASKS = ("tr_mask.nii.gz", "tr_mask.nii")
LUNGS = ("tr_lungmasks_updated.nii.gz", "tr_lungmasks_updated.nii")
UNUSED = ("val_im.nii.gz", "val_im.nii")

KNOWN = MEDSEG_LESIONS["lesion"]

NOBODY = "all"
"""Patient id of every slice where the published table is not there."""


def find(files: Sequence[SourceFile], *, options: ReadOptions, findings: Findings) -> list[Unit]:
    """One unit; see `archive.Find`."""
    for file in named(files, *UNUSED):
        findings.note(Finding.NOT_TAKEN, file.origin)
    images, masks, lungs = (
        next(iter(named(files, *names)), None) for names in (IMAGES, MASKS, LUNGS)
    )
    if images is None:
        if masks is not None:
            findings.note(Finding.MASK_WITHOUT_VOLUME, masks.origin)
        return []
    if masks is None:
        findings.note(Finding.NO_LABEL_ROW, f"{images.origin} (no {MASKS[0]})")
    rows = published_rows(files, table="meta_data_covid.csv")
    rows = {name: row for name, row in rows.items() if name.startswith("13_Bjorke_")}
    if not rows:
        findings.note(Finding.PEOPLE_POOLED, images.origin)
    found = {"images": images, "mask": masks, "lungs": lungs}
    read = functools.partial(_read, {k: f for k, f in found.items() if f}, rows, options)
    return [Unit("medseg", "tr_im", read)]


def _read(
    files: Mapping[str, SourceFile],
    rows: Mapping[str, Row],
    options: ReadOptions,
    findings: Findings,
) -> Iterator[RawSlice]:
    """All slices, by number. They are no neighbours, so they have no position."""
    images = open_volume(files["images"])
    mask, lungs = (
        open_mask(files[k], of=images) if k in files else None for k in ("mask", "lungs")
    )
    unit = images.unit
    for k in range(1, images.depth + 1):
        name = f"13_Bjorke_{k}.png"
        verdict = options.verdict(name, True, "all slices")
        if verdict.is_taken is False:
            continue
        row = rows.get(name, {})
        if rows and not row:
            findings.note(Finding.NO_TABLE_ROW, name)
        yield RawSlice(
            source="medseg",
            label=COVID,
            file_name=name,
            patient_id=row.get("patient_id", "") or NOBODY,
            origin=images.origin,
            slice_index=k,
            values=images.plane(k),
            unit=unit,
            mask=None if mask is None else _lesions(mask, k, effusion=options.effusion),
            lungs=None if lungs is None else _any_label(lungs, k),
            is_selected_by_source=verdict.is_taken,
            reason=verdict.reason,
            metadata={"Slice": str(k), "Country": "Italy", "Image Source": "SIRM", **carried(row)},
            upright_turn="flip_vertical" if is_upside_down(name) else "none",
        )


def _lesions(mask: ArchiveVolume, k: int, *, effusion: str) -> np.ndarray:
    return labelled(mask, k, labels=MEDSEG_LESIONS[effusion], known=KNOWN)


def _any_label(lungs: ArchiveVolume, k: int) -> np.ndarray:
    """Lungs as 255, whatever label they have."""
    return np.where(lungs.plane(k) > 0, np.uint8(255), np.uint8(0))
