"""Morozov: MosMedData COVID19_1110, NIfTI studies graded CT-0 (no findings) to CT-4.

    dataset_registry.xlsx                       study_id, category, study_file, mask_file
    studies/CT-0/study_0001.nii.gz ...          masks/study_0255_mask.nii.gz ...

The published set holds twenty consecutive slices of each CT-0 study (Normal), and of the fifty
CT-1 studies with a lesion mask every slice on which the mask marks a lesion (COVID-19). Other
studies have no slice labels, and are read on request. Age and sex are not in the archive.
"""

import functools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mgajax.curation.archives.archive import RawSlice, ReadOptions, Unit
from mgajax.curation.archives.archive_tables import (
    ArchiveRow,
    published_rows,
    read_csv,
    read_xlsx,
    single_table,
)
from mgajax.curation.archives.packed import SourceFile, find_named
from mgajax.curation.archives.volumes import binary_plane, open_mask, open_volume
from mgajax.curation.findings import Finding, Findings
from mgajax.curation.selection import middle_run
from mgajax.schema import COVID

NORMAL, COVID_GRADES = "CT-0", ("CT-1", "CT-2", "CT-3", "CT-4")
NORMAL_SLICES = 20
"""Consecutive slices of each CT-0 study. Only the published table knows where the run begins (slice 7
to 24); without it the middle of the volume is taken."""

LESION_LABELS = (1,)
COLUMNS = ("study_id", "category", "study_file", "mask_file")

_STUDY = re.compile(r"study_(\d{4})(_mask)?\.nii(\.gz)?", re.IGNORECASE)
_PUBLISHED = re.compile(r"16_Morozov_(study_\d{4})_(\d+)\.png", re.IGNORECASE)

StudyRule = Literal["lesion mask", "published run", "middle run", "selection"]


@dataclass(frozen=True)
class _StudyPlan:
    """One study, and what decides which slices are taken."""

    name: str
    label: int
    category: str
    study: SourceFile
    mask: SourceFile | None
    rule: StudyRule
    published: frozenset[int]


def find(files: Sequence[SourceFile], *, options: ReadOptions, findings: Findings) -> list[Unit]:
    """A unit a study; see `archive.Find`.

    Raises:
      DataError: the registry is unreadable or lacks a column.
    """
    studies, masks = _find_studies(files)
    if not studies and not masks:
        return []
    registry = _read_registry(files)
    published = _read_published_slices(files)
    units = []
    for name in sorted(studies.keys() | masks.keys() | registry.keys()):
        row, study, mask = registry.get(name), studies.get(name), masks.get(name)
        _note_missing(name, row, study, mask, findings=findings)
        if study is None:
            continue
        category = _find_category(study, row, findings=findings, has_registry=bool(registry))
        rule = _choose_rule(category, mask, published.get(name))
        prefix = f"16_Morozov_{name}_"
        if not category or (
            rule == "selection"
            and options.unlabelled == "leave_out"
            and not options.has_label(prefix)
        ):
            findings.note(Finding.NOT_TAKEN, study.origin)
            continue
        plan = _StudyPlan(
            name=name,
            label=0 if category == NORMAL else COVID,
            category=category,
            study=study,
            mask=mask,
            rule=rule,
            published=published.get(name, frozenset()),
        )
        units.append(Unit("morozov", name, functools.partial(_read_slices, plan, options)))
    return units


def _find_studies(
    files: Sequence[SourceFile],
) -> tuple[dict[str, SourceFile], dict[str, SourceFile]]:
    """CT volumes and mask volumes by study ("study_0255"); the first of two copies."""
    studies: tuple[dict[str, SourceFile], dict[str, SourceFile]] = ({}, {})
    for file in files:
        match = _STUDY.fullmatch(file.name)
        if match:
            studies[bool(match.group(2))].setdefault(f"study_{match.group(1)}", file)
    return studies


def _read_registry(files: Sequence[SourceFile]) -> dict[str, ArchiveRow]:
    """Study -> its row of the registry; {} where there is none. Its paths begin with a slash."""
    table = single_table(find_named(files, "dataset_registry.xlsx"), name="registry")
    if table is not None:
        rows = read_xlsx(table, needs=COLUMNS)
    else:
        table = single_table(find_named(files, "dataset_registry.csv"), name="registry")
        rows = [] if table is None else read_csv(table, needs=COLUMNS)
    return {f"study_{int(row['study_id']):04d}": row for row in rows if row["study_id"].isdigit()}


def _read_published_slices(files: Sequence[SourceFile]) -> dict[str, frozenset[int]]:
    """Study without findings -> the slices of it that the published table lists."""
    listed_slices: dict[str, set[int]] = {}
    for name in published_rows(files, table="meta_data_normal.csv"):
        match = _PUBLISHED.fullmatch(name)
        if match:
            listed_slices.setdefault(match.group(1).lower(), set()).add(int(match.group(2)))
    return {name: frozenset(slices) for name, slices in listed_slices.items()}


def _note_missing(
    name: str,
    row: ArchiveRow | None,
    study: SourceFile | None,
    mask: SourceFile | None,
    *,
    findings: Findings,
) -> None:
    """Note a mask without its volume, and wanted files of the registry that are missing."""
    if study is None and mask is not None:
        findings.note(Finding.MASK_WITHOUT_VOLUME, mask.origin)
    entry = row or {}
    wants_study = entry.get("category") == NORMAL or entry.get("mask_file")
    if study is None and mask is None and wants_study:
        findings.note(Finding.LISTED_NOT_FOUND, entry["study_file"].lstrip("/"))
    if mask is None and entry.get("mask_file"):
        findings.note(Finding.LISTED_NOT_FOUND, entry["mask_file"].lstrip("/"))


def _find_category(
    study: SourceFile, row: ArchiveRow | None, *, findings: Findings, has_registry: bool
) -> str:
    """The grade of a study by its folder, else by the registry; '' where neither has it."""
    folders = [part.upper() for part in study.place.parts[:-1]]
    by_folder = next((grade for grade in (NORMAL, *COVID_GRADES) if grade in folders), "")
    by_table = "" if row is None else row["category"].upper()
    if has_registry and row is None:
        findings.note(Finding.NO_TABLE_ROW, study.origin)
    if by_folder and by_table and by_folder != by_table:
        findings.note(Finding.CLASS_CONFLICT, study.origin)
    category = by_folder or by_table
    if category not in (NORMAL, *COVID_GRADES):
        findings.note(Finding.NO_LABEL_ROW, study.origin)
        return ""
    return category


def _choose_rule(
    category: str, mask: SourceFile | None, published: Collection[int] | None
) -> StudyRule:
    if category == NORMAL:
        return "published run" if published else "middle run"
    return "selection" if mask is None else "lesion mask"


def _read_slices(plan: _StudyPlan, options: ReadOptions, findings: Findings) -> Iterator[RawSlice]:
    """The wanted slices of one study, by number."""
    volume = open_volume(plan.study)
    mask = None if plan.mask is None else open_mask(plan.mask, of=volume)
    run = {k + 1 for k in middle_run(volume.depth, length=NORMAL_SLICES)}
    numbers = plan.published if plan.rule == "published run" else run
    missing = sorted(k for k in plan.published if k > volume.depth)
    for k in missing:
        findings.note(Finding.LISTED_NOT_FOUND, f"16_Morozov_{plan.name}_{k}.png")
    for k in range(1, volume.depth + 1):
        lesions = None
        if mask is not None:
            lesions = binary_plane(mask, k, labels=LESION_LABELS, known=LESION_LABELS)
        is_wanted: bool | None = None
        if plan.rule == "lesion mask":
            is_wanted = lesions is not None and bool(lesions.any())
        elif plan.rule != "selection":
            is_wanted = k in numbers
        name = f"16_Morozov_{plan.name}_{k}.png"
        verdict = options.verdict(name, is_wanted, plan.rule)
        if verdict.is_taken is False:
            continue
        yield RawSlice(
            source="morozov",
            label=plan.label,
            file_name=name,
            patient_id=f"study_id_{int(plan.name.removeprefix('study_'))}",
            origin=plan.study.origin,
            slice_index=k,
            position=k,
            values=volume.plane(k),
            unit="HU",
            mask=lesions,
            is_selected_by_source=verdict.is_taken,
            reason=verdict.reason,
            metadata=_metadata(plan, k),
        )


def _metadata(plan: _StudyPlan, k: int) -> Mapping[str, str]:
    columns = {
        "Country": "Russia",
        "Institution": "Municipal Hospitals in Moscow",
        "Slice": str(k),
        "category": plan.category,
        "study_file": f"/studies/{plan.category}/{plan.study.name}",
    }
    if plan.mask is not None:
        columns["mask_file"] = f"/masks/{plan.mask.name}"
    return columns
