"""The companion lesion set: frames and lesion masks of equal name, paired and verified.

    <manual_dir>/frames/*.png
    <manual_dir>/masks/*.png
    <manual_dir>/meta_data_covid.csv      (optional; also one folder up, or where the slices have it)

Every frame is a COVID-19 slice. Names give archive and person of all frames except MedSeg's, whose
people are only in the table of the classification set. Unless it lists all of them they count as
one person: a split then keeps them together, which cannot leak.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mgajax.curation.catalogue import Catalogue, files_fingerprint, summarise
from mgajax.curation.findings import Finding, Findings
from mgajax.curation.inspection import Candidate, inspect
from mgajax.curation.kaggle_layout import (
    MISSING,
    TABLES,
    KaggleRow,
    find_table,
    folder_levels,
    read_table,
)
from mgajax.curation.lesion_masks import attach_masks
from mgajax.curation.matching import identify
from mgajax.curation.names import pair_name, source_of
from mgajax.errors import DataError
from mgajax.folders import is_clutter
from mgajax.schema import COVID, ONE_PERSON

TABLE: str = TABLES[COVID]

ANNOTATED_SOURCES: tuple[str, ...] = ("medseg", "jun", "morozov")
"""The archives with annotated lesions; the table's rows of these are the set's frames."""


@dataclass(frozen=True)
class PairsLayout:
    """The parts of a copy of the lesion set; `table` may be missing."""

    frame_folder: Path
    mask_folder: Path
    table: Path | None


def find_pairs(manual_dir: Path) -> PairsLayout:
    """Locate frames, masks and table.

    Raises:
      DataError: a folder is missing, or the table lies in two places with different content.
    """
    for name in ("frames", "masks"):
        if not (manual_dir / name).is_dir():
            raise DataError(
                f"{manual_dir}: no folder {name}/; pass the folder that holds frames/ and masks/"
            )
    levels = [*folder_levels(manual_dir), manual_dir.parent]
    return PairsLayout(
        frame_folder=manual_dir / "frames",
        mask_folder=manual_dir / "masks",
        table=find_table(TABLE, list(dict.fromkeys(levels))),
    )


def pairs_fingerprint(layout: PairsLayout) -> str:
    """A quick hash of an input: content of the table, names and sizes of frames and masks."""
    return files_fingerprint(
        [layout.table] if layout.table else [],
        folders=[layout.frame_folder, layout.mask_folder],
    )


def read_pairs(manual_dir: Path, *, max_damage_share: float) -> Catalogue:
    """Read and verify the lesion set under `manual_dir`.

    A frame without a usable mask is left out. Names are compared without case, suffix and the
    archive's number.

    Args:
      manual_dir: see `find_pairs`.
      max_damage_share: the share of names, in [0, 1], that may be damaged or unmatched.

    Raises:
      DataError: missing folders, no frame, an unreadable table, or too much damage.
    """
    layout, findings = find_pairs(manual_dir), Findings()
    frames = _index_pictures(layout.frame_folder, findings=findings)
    masks = _index_pictures(layout.mask_folder, findings=findings)
    if not frames:
        raise DataError(f"{layout.frame_folder}: no picture; unpack the download again")
    rows = _read_annotated_rows(layout, findings=findings)
    _note_unpaired(frames, masks, rows, findings=findings)
    paired = {name: path for name, path in frames.items() if name in masks}
    candidates = _find_candidates(paired, rows=rows, findings=findings)
    records = inspect(candidates, findings=findings)
    records = attach_masks(
        records,
        masks={record.file_name: masks[pair_name(record.file_name)] for record in records},
        findings=findings,
    )
    records = [record for record in records if record.mask_path is not None]
    report = summarise(
        records,
        findings,
        rows=len(rows),
        files=len(frames),
        names=len(frames.keys() | masks.keys()),
        max_damage_share=max_damage_share,
    )
    report.check(where=str(manual_dir))
    return Catalogue(records=tuple(records), report=report)


def _index_pictures(folder: Path, *, findings: Findings) -> dict[str, Path]:
    """The pictures of a folder by `pair_name`, in order; for a name found twice the first."""
    copies_by_name: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if is_clutter(path.name) or path.is_dir():
            findings.note(Finding.IGNORED, f"{folder.name}/{path.name}")
        else:
            copies_by_name[pair_name(path.name)].append(path)
    for name, copies in copies_by_name.items():
        if len(copies) > 1:
            findings.note(Finding.PAIR_TWICE, name)
    return {name: copies[0] for name, copies in copies_by_name.items()}


def _note_unpaired(
    frames: dict[str, Path],
    masks: dict[str, Path],
    rows: dict[str, KaggleRow],
    *,
    findings: Findings,
) -> None:
    for name, path in frames.items():
        if name not in masks:
            findings.note(Finding.FRAME_WITHOUT_MASK, path.name)
    for name, path in masks.items():
        if name not in frames:
            findings.note(Finding.MASK_WITHOUT_FRAME, path.name)
    for name, row in rows.items():
        if name not in frames:
            findings.note(Finding.ROW_WITHOUT_FRAME, row.file_name)


def _read_annotated_rows(layout: PairsLayout, *, findings: Findings) -> dict[str, KaggleRow]:
    """The table's rows of the annotated archives, by `pair_name`."""
    if layout.table is None:
        findings.note(Finding.NO_TABLE, TABLE)
        return {}
    return {
        pair_name(row.file_name): row
        for row in read_table(layout.table, label=COVID)
        if source_of(row.file_name) in ANNOTATED_SOURCES
    }


def _find_candidates(
    frames: dict[str, Path], *, rows: dict[str, KaggleRow], findings: Findings
) -> list[Candidate]:
    """The frames whose person is known, by file name; notes the others."""
    pooled = _frames_of_one_person(frames, rows=rows)
    candidates = []
    for name, path in sorted(frames.items(), key=lambda item: item[1].name):
        row = rows.get(name)
        if row is None and rows:
            findings.note(Finding.FRAME_WITHOUT_ROW, path.name)
        if name in pooled:
            findings.note(Finding.PEOPLE_POOLED, path.name)
            present_row = row or KaggleRow(
                path.name, COVID, patient_id="", country="", age=-1, gender=""
            )
            row = replace(present_row, patient_id=ONE_PERSON)
        identity = identify(path.name, row, findings=findings)
        if identity is not None:
            candidates.append(Candidate(path, COVID, identity))
    return candidates


def _frames_of_one_person(frames: Iterable[str], *, rows: dict[str, KaggleRow]) -> set[str]:
    """MedSeg's frames, unless the table names the person of each."""
    medseg = {name for name in frames if source_of(name) == "medseg"}
    listed = {name for name in medseg if name in rows and rows[name].patient_id not in MISSING}
    return set() if listed == medseg else medseg


def add_medseg_patient(patients: Iterable[str]) -> frozenset[str]:
    """These patients and, if MedSeg's are among them, the one that stands for all of MedSeg."""
    ids = frozenset(patients)
    if any(patient.startswith("medseg/") for patient in ids):
        return ids | {f"medseg/{ONE_PERSON}"}
    return ids
