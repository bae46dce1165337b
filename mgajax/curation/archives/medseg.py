"""MedSeg: a hundred single slices from SIRM, outlined by one radiologist, in one NIfTI file.

    tr_im.nii.gz  tr_mask.nii.gz  [tr_lungmasks_updated.nii.gz]

The published set calls the radiologist Bjorke and holds all hundred slices (one has an empty mask).
The ten test slices (`val_im.nii.gz`) and the volumes of the second part (`rp_im`) are not in it.
Only the published table knows the patients; without it all slices count as one person's.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mgajax.curation.archives.archive import RawSlice, ReadOptions, Unit
from mgajax.curation.archives.archive_tables import ArchiveRow, published_metadata, published_rows
from mgajax.curation.archives.packed import SourceFile, find_named
from mgajax.curation.archives.volumes import ArchiveVolume, binary_plane, open_mask, open_volume
from mgajax.curation.findings import Finding, Findings
from mgajax.curation.mask_encoding import MEDSEG_LESIONS
from mgajax.curation.names import is_upside_down
from mgajax.schema import COVID

IMAGES = ("tr_im.nii.gz", "tr_im.nii")
MASKS = ("tr_mask.nii.gz", "tr_mask.nii")
LUNGS = ("tr_lungmasks_updated.nii.gz", "tr_lungmasks_updated.nii")
UNUSED = ("val_im.nii.gz", "val_im.nii")

LABELS = MEDSEG_LESIONS["lesion"]

NOBODY = "all"
"""Patient id of every slice without the published table."""


def find(files: Sequence[SourceFile], *, options: ReadOptions, findings: Findings) -> list[Unit]:
    """One unit; see `archive.Find`."""
    for file in find_named(files, *UNUSED):
        findings.note(Finding.NOT_TAKEN, file.origin)
    images, masks, lungs = (
        next(iter(find_named(files, *names)), None) for names in (IMAGES, MASKS, LUNGS)
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
    parts = {"images": images, "mask": masks, "lungs": lungs}
    reader = functools.partial(_read_slices, {k: f for k, f in parts.items() if f}, rows, options)
    return [Unit("medseg", "tr_im", reader)]


def _read_slices(
    files: Mapping[str, SourceFile],
    rows: Mapping[str, ArchiveRow],
    options: ReadOptions,
    findings: Findings,
) -> Iterator[RawSlice]:
    """All slices, by number. They are of different scans, so they have no position."""
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
            metadata={
                "Slice": str(k),
                "Country": "Italy",
                "Image Source": "SIRM",
                **published_metadata(row),
            },
            upright_turn="flip_vertical" if is_upside_down(name) else "none",
        )


def _lesions(mask: ArchiveVolume, k: int, *, effusion: str) -> np.ndarray:
    return binary_plane(mask, k, labels=MEDSEG_LESIONS[effusion], known=LABELS)


def _any_label(lungs: ArchiveVolume, k: int) -> np.ndarray:
    """Lungs of any label as 255."""
    return np.where(lungs.plane(k) > 0, np.uint8(255), np.uint8(0))
