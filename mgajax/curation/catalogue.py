"""A downloaded copy of the curated set as a verified list of slices, with a report.

`read_catalogue` finds the parts, pairs rows and pictures, identifies the people, opens every picture
and mask, and refuses a copy that is damaged beyond a given share.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mgajax.curation.findings import (
    BuildReport,
    Finding,
    Findings,
    count_groups,
    joined_summaries,
)
from mgajax.curation.inspection import Candidate, inspect
from mgajax.curation.kaggle_layout import KaggleLayout, KaggleRow, find_layout, read_rows
from mgajax.curation.lesion_masks import attach_masks, find_masks
from mgajax.curation.matching import Match, PictureFile, identify, list_pictures, match_rows
from mgajax.curation.names import canonical_name
from mgajax.curation.predicted_masks import (
    digest_masks,
    predicted_folder,
    read_origin,
    verify_masks,
)
from mgajax.curation.records import SliceRecord
from mgajax.errors import DataError
from mgajax.folders import is_clutter
from mgajax.schema import CLASS_NAMES

CLASSES = range(len(CLASS_NAMES))


@dataclass(frozen=True)
class Catalogue:
    """Usable slices, ordered by class and file name, and the report on their input."""

    records: tuple[SliceRecord, ...]
    report: BuildReport


def read_catalogue(
    manual_dir: Path,
    *,
    max_damage_share: float,
    masks: str = "use",
    labels: Sequence[int] = CLASSES,
) -> Catalogue:
    """Read and verify the curated set under `manual_dir`.

    Args:
      manual_dir: see `kaggle_layout.find_layout`.
      max_damage_share: the share of names, in [0, 1], that may be damaged or unmatched.
      masks: "use" or "ignore" the masks beside the slices; or a folder of predicted masks, for the
        slices without an annotated one.
      labels: the classes whose slices are read.

    Raises:
      DataError: for missing parts, unreadable tables, a class with a table or pictures alone, or too
        much damage.
    """
    layout = find_layout(manual_dir)
    findings = Findings()
    files = [file for file in list_pictures(layout, findings=findings) if file.label in labels]
    rows = [row for row in read_rows(layout) if row.label in labels]
    _check_classes(rows, files, layout=layout, findings=findings)
    candidates = _find_candidates(match_rows(rows, files, findings=findings), findings=findings)
    records = inspect(candidates, findings=findings)
    records = _add_masks(records, layout=layout, masks=masks, findings=findings)
    names = {canonical_name(file.path.name) for file in files}
    names |= {canonical_name(row.file_name) for row in rows}
    report = summarise(
        records,
        findings,
        rows=len(rows),
        files=len(files),
        names=len(names),
        max_damage_share=max_damage_share,
        masks=masks,
    )
    report.check(where=str(manual_dir))
    return Catalogue(records=tuple(records), report=report)


def join_people(catalogue: Catalogue, *, first_ids: Mapping[str, str]) -> Catalogue:
    """The catalogue with people of several ids under one of them.

    Args:
      catalogue: the slices.
      first_ids: second id -> the id that counts, see `patient_ids.second_ids`.
    """
    records = tuple(
        replace(record, patient=first_ids.get(record.patient, record.patient))
        for record in catalogue.records
    )
    patients = len({record.patient for record in records})
    return Catalogue(records=records, report=replace(catalogue.report, patients=patients))


def join_catalogues(first: Catalogue, second: Catalogue) -> Catalogue:
    """The slices of two inputs, each checked by itself, as of one; the first's stand first."""
    reports = first.report, second.report
    records = (*first.records, *second.records)
    by_group: Counter[str] = Counter()
    for report in reports:
        by_group.update(report.by_group)
    report = BuildReport(
        rows=sum(report.rows for report in reports),
        files=sum(report.files for report in reports),
        slices=len(records),
        patients=len({record.patient for record in records}),
        masked=sum(report.masked for report in reports),
        predicted=sum(report.predicted for report in reports),
        by_group=dict(sorted(by_group.items())),
        findings=joined_summaries(report.findings for report in reports),
        damage_share=max(report.damage_share for report in reports),
        max_damage_share=second.report.max_damage_share,
        masks_made_by={**first.report.masks_made_by, **second.report.masks_made_by},
    )
    return Catalogue(records=records, report=report)


def _check_classes(
    rows: Sequence[KaggleRow],
    files: Sequence[PictureFile],
    *,
    layout: KaggleLayout,
    findings: Findings,
) -> None:
    """Refuse a class with only a table or only pictures; note a class without either."""
    for label, (folder, table) in enumerate(zip(layout.class_folders, layout.tables, strict=True)):
        name = CLASS_NAMES[label]
        has_rows = any(row.label == label for row in rows)
        has_pictures = any(file.label == label for file in files)
        if has_rows and not has_pictures:
            raise DataError(f"{folder}: no picture of class {name}; unpack the download again")
        if has_pictures and not has_rows:
            raise DataError(f"{table}: no row of class {name}; download the table again")
        if not has_rows:
            findings.note(Finding.NO_CLASS, name)


def summarise(
    records: Sequence[SliceRecord],
    findings: Findings,
    *,
    rows: int,
    files: int,
    names: int,
    max_damage_share: float,
    masks: str = "use",
) -> BuildReport:
    """The report on an input.

    Args:
      records: the slices that can be used.
      findings: all of them.
      rows, files: table rows and pictures that were read.
      names: distinct names among rows and files, of which damage is a share.
      max_damage_share, masks: see `read_catalogue`.
    """
    folder = predicted_folder(masks)
    return BuildReport(
        rows=rows,
        files=files,
        slices=len(records),
        patients=len({record.patient for record in records}),
        masked=sum(record.mask_origin == "annotated" for record in records),
        predicted=sum(record.mask_origin == "predicted" for record in records),
        by_group=count_groups(f"{CLASS_NAMES[r.label]}/{r.source}" for r in records),
        findings=tuple(findings.summarise()),
        damage_share=len(findings.damaged()) / max(names, 1),
        max_damage_share=max_damage_share,
        masks_made_by=read_origin(folder) if folder else {},
    )


def input_fingerprint(layout: KaggleLayout, *, masks: str = "use") -> str:
    """A quick hash of an input: contents of tables and predicted masks, names and sizes of the
    pictures and of the masks beside them.
    """
    folders = [*layout.class_folders]
    if layout.mask_folder is not None and masks != "ignore":
        folders.append(layout.mask_folder)
    predicted = predicted_folder(masks)
    extra = digest_masks(predicted) if predicted else ""
    return files_fingerprint(layout.tables, folders=folders, extra=extra)


def files_fingerprint(tables: Iterable[Path], *, folders: Iterable[Path], extra: str = "") -> str:
    """A hash of the contents of `tables`, the names and sizes in `folders`, and the text `extra`."""
    digest = hashlib.sha256()
    for table in tables:
        digest.update(hashlib.sha256(table.read_bytes()).digest())
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if is_clutter(path.name):
                continue
            digest.update(f"{folder.name}/{path.name}:{path.stat().st_size}\n".encode())
    digest.update(extra.encode())
    return digest.hexdigest()


def _find_candidates(matches: Sequence[Match], *, findings: Findings) -> list[Candidate]:
    """The matches whose person is known; notes the others."""
    candidates = []
    for match in matches:
        identity = identify(match.file.path.name, match.row, findings=findings)
        if identity is not None:
            flags = [Finding.CLASS_CONFLICT.slug] if match.has_class_conflict else []
            flags += [Finding.FILE_WITHOUT_ROW.slug] if match.row is None else []
            candidates.append(
                Candidate(match.file.path, match.file.label, identity, flags=tuple(flags))
            )
    return candidates


def _add_masks(
    records: list[SliceRecord], *, layout: KaggleLayout, masks: str, findings: Findings
) -> list[SliceRecord]:
    """Give slices their annotated masks, then predicted ones to the slices without."""
    if layout.mask_folder is not None and masks != "ignore":
        annotated = find_masks(records, folder=layout.mask_folder, findings=findings)
        records = attach_masks(records, masks=annotated, findings=findings)
    folder = predicted_folder(masks)
    if folder is None:
        return records
    shapes = {r.file_name: (r.height, r.width) for r in records if r.mask_origin == "none"}
    predicted = verify_masks(shapes, folder=folder, findings=findings)
    return [
        replace(record, mask_origin="predicted", mask_path=predicted[record.file_name])
        if record.file_name in predicted
        else record
        for record in records
    ]
