"""A downloaded copy of the curated set as a verified list of slices, with a report.

`read_catalogue` is the whole of it: find the parts, pair rows and pictures, know the people, open
every picture and mask, and refuse a copy that is damaged beyond a stated share.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mgajax.curation.kaggle_layout import Layout, find_layout, read_rows
from mgajax.curation.lesion_masks import attach_masks
from mgajax.curation.matching import Identity, Match, identify, list_pictures, match_rows
from mgajax.curation.names import canonical_name, is_upside_down
from mgajax.curation.parallel import in_parallel
from mgajax.curation.pictures import Picture, decode_picture
from mgajax.curation.records import SliceRecord
from mgajax.curation.report import BuildReport, Finding, Findings, count_groups
from mgajax.errors import DataError
from mgajax.schema import CLASS_NAMES

Masks = Literal["use", "ignore"]


@dataclass(frozen=True)
class Catalogue:
    """Usable slices, ordered by class and file name, and what was found on the way."""

    records: tuple[SliceRecord, ...]
    report: BuildReport


@dataclass(frozen=True)
class _Inspected:
    """A verified picture: its record without a mask, and the hash of its pixels."""

    record: SliceRecord
    digest: str


def read_catalogue(manual_dir: Path, *, max_damage_share: float, masks: Masks = "use") -> Catalogue:
    """Read and verify the curated set under `manual_dir`.

    Args:
      manual_dir: see `kaggle_layout.find_layout`.
      max_damage_share: the share of names, in [0, 1], that may be damaged or unmatched.
      masks: whether to look for lesion masks.

    Raises:
      DataError: for missing parts, unreadable tables, an empty class, or too much damage.
    """
    layout = find_layout(manual_dir)
    findings = Findings()
    files = list_pictures(layout, findings=findings)
    for label, folder in enumerate(layout.class_folders):
        if not any(file.label == label for file in files):
            raise DataError(
                f"{folder}: no picture of class {CLASS_NAMES[label]}; unpack the download again"
            )
    rows = read_rows(layout)
    inspected = _inspect(match_rows(rows, files, findings=findings), findings=findings)
    records = _flag_copies(inspected, findings=findings)
    if layout.mask_folder is not None and masks == "use":
        records = attach_masks(records, folder=layout.mask_folder, findings=findings)
    names = {canonical_name(file.path.name) for file in files}
    names |= {canonical_name(row.file_name) for row in rows}
    report = BuildReport(
        rows=len(rows),
        files=len(files),
        slices=len(records),
        patients=len({record.patient for record in records}),
        masked=sum(record.mask_path is not None for record in records),
        by_group=count_groups(f"{CLASS_NAMES[r.label]}/{r.source}" for r in records),
        findings=tuple(findings.summarised()),
        damage_share=len(findings.damaged()) / len(names),
        max_damage_share=max_damage_share,
    )
    report.check(where=str(manual_dir))
    return Catalogue(records=tuple(records), report=report)


def input_fingerprint(layout: Layout, *, masks: Masks = "use") -> str:
    """A quick hash of an input: contents of the tables, names and sizes of pictures and masks."""
    digest = hashlib.sha256()
    for table in layout.tables:
        digest.update(hashlib.sha256(table.read_bytes()).digest())
    folders = [*layout.class_folders]
    if layout.mask_folder is not None and masks == "use":
        folders.append(layout.mask_folder)
    for folder in folders:
        for path in sorted(folder.iterdir()):
            digest.update(f"{folder.name}/{path.name}:{path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _inspect(matches: Sequence[Match], *, findings: Findings) -> list[_Inspected]:
    """Know the person, then open the picture, of every match; what fails is noted and left out."""
    known: list[tuple[Match, Identity]] = []
    for match in matches:
        identity = identify(match.file.path.name, match.row, findings=findings)
        if identity is not None:
            known.append((match, identity))
    pictures = in_parallel(
        lambda item: _open_picture(item[0].file.path), known, description="verifying pictures"
    )
    inspected = []
    for (match, identity), opened in zip(known, pictures, strict=True):
        name = match.file.path.name
        if opened is None:
            findings.note(Finding.UNDECODABLE, name)
            continue
        for finding in opened.oddities:
            findings.note(finding, name)
        flags = _flags(match, findings=findings)
        inspected.append(_inspected(match, identity, opened, flags=flags))
    return inspected


@dataclass(frozen=True)
class _OpenedPicture:
    """What is kept of a decoded picture: everything but its pixels."""

    height: int
    width: int
    sha256: str
    digest: str
    is_plain_png: bool
    oddities: tuple[Finding, ...]


def _open_picture(path: Path) -> _OpenedPicture | None:
    content = path.read_bytes()
    try:
        picture = decode_picture(content, name=str(path))
    except DataError:
        return None
    height, width = picture.pixels.shape
    return _OpenedPicture(
        height=height,
        width=width,
        sha256=hashlib.sha256(content).hexdigest(),
        digest=picture.digest(),
        is_plain_png=picture.is_plain_png,
        oddities=tuple(_oddities(picture)),
    )


def _oddities(picture: Picture) -> Iterable[Finding]:
    if picture.kind != "PNG":
        yield Finding.NOT_PNG
    if picture.is_more_than_8_bit:
        yield Finding.SIXTEEN_BIT
    elif picture.mode != "L":
        yield Finding.COLOUR_MODE
    if picture.is_coloured:
        yield Finding.COLOURED
    if picture.pixels.min() == picture.pixels.max():
        yield Finding.BLANK


def _flags(match: Match, *, findings: Findings) -> tuple[str, ...]:
    flags = []
    if is_upside_down(match.file.path.name):
        findings.note(Finding.UPSIDE_DOWN, match.file.path.name)
        flags.append(Finding.UPSIDE_DOWN.slug)
    if match.has_class_conflict:
        flags.append(Finding.CLASS_CONFLICT.slug)
    if match.row is None:
        flags.append(Finding.FILE_WITHOUT_ROW.slug)
    return tuple(flags)


def _inspected(
    match: Match, identity: Identity, opened: _OpenedPicture, *, flags: tuple[str, ...]
) -> _Inspected:
    record = SliceRecord(
        path=match.file.path,
        file_name=match.file.path.name,
        label=match.file.label,
        source=identity.source,
        patient=identity.patient,
        country=identity.country,
        age=identity.age,
        gender=identity.gender,
        flags=flags,
        height=opened.height,
        width=opened.width,
        sha256=opened.sha256,
        is_plain_png=opened.is_plain_png,
    )
    return _Inspected(record=record, digest=opened.digest)


def _flag_copies(inspected: Sequence[_Inspected], *, findings: Findings) -> list[SliceRecord]:
    """Note and flag every picture that an earlier record already holds, pixel for pixel."""
    first: dict[str, SliceRecord] = {}
    records = []
    for item in inspected:
        record = item.record
        original = first.setdefault(item.digest, record)
        if original is not record:
            same_person = original.patient == record.patient
            finding = Finding.SAME_PICTURE if same_person else Finding.SAME_PICTURE_OTHER
            findings.note(finding, record.file_name)
            record = replace(record, flags=(*record.flags, finding.slug))
        records.append(record)
    return records
