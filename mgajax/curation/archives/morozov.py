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
from mgajax.curation.archives.nifti import labelled, open_mask, open_volume
from mgajax.curation.archives.packed import SourceFile, named
from mgajax.curation.archives.published import published_rows
from mgajax.curation.archives.tables import Row, only, read_csv, read_xlsx
from mgajax.curation.report import Finding, Findings
from mgajax.curation.selection import middle_run
from mgajax.schema import COVID

NORMAL, COVID_GRADES = "CT-0", ("CT-1", "CT-2", "CT-3", "CT-4")
NORMAL_SLICES = 20
"""Consecutive slices of each CT-0 study. Where the run begins is known from the published table
alone (slice 7 to 24); without it the middle of the volume is taken."""

LESION_LABELS = (1,)
NEEDED = ("study_id", "category", "study_file", "mask_file")

_STUDY = re.compile(r"study_(\d{4})(_mask)?\.nii(\.gz)?", re.IGNORECASE)
_PUBLISHED = re.compile(r"16_Morozov_(study_\d{4})_(\d+)\.png", re.IGNORECASE)

Rule = Literal["lesion mask", "published run", "middle run", "selection"]


@dataclass(frozen=True)
class _StudyPlan:
    """One study, and what decides on its slices."""

    name: str
    label: int
    category: str
    study: SourceFile
    mask: SourceFile | None
    rule: Rule
    published: frozenset[int]


def find(files: Sequence[SourceFile], *, options: ReadOptions, findings: Findings) -> list[Unit]:
    """A unit a study; see `archive.Find`.

    Raises:
      DataError: the registry is unreadable or lacks a column.
    """
    studies, masks = _studies(files)
    if not studies and not masks:
        return []
    registry = _registry(files)
    published = _published_slices(files)
    units = []
    for name in sorted(studies.keys() | masks.keys() | registry.keys()):
        row, study, mask = registry.get(name), studies.get(name), masks.get(name)
        _note_missing(name, row, study, mask, findings=findings)
        if study is None:
            continue
        category = _category(study, row, findings=findings, has_registry=bool(registry))
        rule = _rule(category, mask, published.get(name))
        prefix = f"16_Morozov_{name}_"
        if not category or (
            rule == "selection"
            and options.unlabelled == "leave_out"
            and not options.speaks_of(prefix)
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
        units.append(Unit("morozov", name, functools.partial(_read, plan, options)))
    return units


def _studies(
    files: Sequence[SourceFile],
) -> tuple[dict[str, SourceFile], dict[str, SourceFile]]:
    """CT volumes and mask volumes by study ("study_0255"); the first of two copies."""
    found: tuple[dict[str, SourceFile], dict[str, SourceFile]] = ({}, {})
    for file in files:
        match = _STUDY.fullmatch(file.name)
        if match:
            found[bool(match.group(2))].setdefault(f"study_{match.group(1)}", file)
    return found


def _registry(files: Sequence[SourceFile]) -> dict[str, Row]:
    """Study -> its row of the registry; {} where there is none. Its paths begin with a slash."""
    table = only(named(files, "dataset_registry.xlsx"), what="registry")
    if table is not None:
        rows = read_xlsx(table, needs=NEEDED)
    else:
        table = only(named(files, "dataset_registry.csv"), what="registry")
        rows = [] if table is None else read_csv(table, needs=NEEDED)
    return {f"study_{int(row['study_id']):04d}": row for row in rows if row["study_id"].isdigit()}


def _published_slices(files: Sequence[SourceFile]) -> dict[str, frozenset[int]]:
    """Study without findings -> the slices of it that the published table lists."""
    found: dict[str, set[int]] = {}
    for name in published_rows(files, table="meta_data_normal.csv"):
        match = _PUBLISHED.fullmatch(name)
        if match:
            found.setdefault(match.group(1).lower(), set()).add(int(match.group(2)))
    return {name: frozenset(slices) for name, slices in found.items()}


def _note_missing(
    name: str,
    row: Row | None,
    study: SourceFile | None,
    mask: SourceFile | None,
    *,
    findings: Findings,
) -> None:
    """Note a mask without its volume, and wanted files that the registry lists and nobody has."""
    if study is None and mask is not None:
        findings.note(Finding.MASK_WITHOUT_VOLUME, mask.origin)
    listed = row or {}
    wants_study = listed.get("category") == NORMAL or listed.get("mask_file")
    if study is None and mask is None and wants_study:
        findings.note(Finding.LISTED_NOT_FOUND, listed["study_file"].lstrip("/"))
    if mask is None and listed.get("mask_file"):
        findings.note(Finding.LISTED_NOT_FOUND, listed["mask_file"].lstrip("/"))


def _category(study: SourceFile, row: Row | None, *, findings: Findings, has_registry: bool) -> str:
    """The grade of a study by its folder, else by the registry; '' where neither knows it."""
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


def _rule(category: str, mask: SourceFile | None, published: Collection[int] | None) -> Rule:
    if category == NORMAL:
        return "published run" if published else "middle run"
    return "selection" if mask is None else "lesion mask"


def _read(plan: _StudyPlan, options: ReadOptions, findings: Findings) -> Iterator[RawSlice]:
    """The wanted slices of one study, by number."""
    volume = open_volume(plan.study)
    mask = None if plan.mask is None else open_mask(plan.mask, of=volume)
    run = {k + 1 for k in middle_run(volume.depth, length=NORMAL_SLICES)}
    chosen = plan.published if plan.rule == "published run" else run
    lost = sorted(k for k in plan.published if k > volume.depth)
    for k in lost:
        findings.note(Finding.LISTED_NOT_FOUND, f"16_Morozov_{plan.name}_{k}.png")
    for k in range(1, volume.depth + 1):
        lesions = None
        if mask is not None:
            lesions = labelled(mask, k, labels=LESION_LABELS, known=LESION_LABELS)
        is_wanted: bool | None = None
        if plan.rule == "lesion mask":
            is_wanted = lesions is not None and bool(lesions.any())
        elif plan.rule != "selection":
            is_wanted = k in chosen
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
    found = {
        "Country": "Russia",
        "Institution": "Municipal Hospitals in Moscow",
        "Slice": str(k),
        "category": plan.category,
        "study_file": f"/studies/{plan.category}/{plan.study.name}",
    }
    if plan.mask is not None:
        found["mask_file"] = f"/masks/{plan.mask.name}"
    return found
