"""A downloaded copy of the curated set as a verified list of slices, with a report.

`read_catalogue` is the whole of it: find the parts, pair rows and pictures, know the people, open
every picture and mask, and refuse a copy that is damaged beyond a stated share.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import UInt8

from mgajax.curation.kaggle_layout import Layout, find_layout, read_rows
from mgajax.curation.matching import Identity, Match, identify, list_pictures, match_rows
from mgajax.curation.names import canonical_name, is_upside_down, mask_names
from mgajax.curation.pictures import (
    MaskEncoding,
    Picture,
    binary_mask,
    decode_mask,
    decode_picture,
    mask_encoding,
)
from mgajax.curation.report import BuildReport, Finding, Findings, count_groups
from mgajax.errors import DataError
from mgajax.progress import track
from mgajax.schema import CLASS_NAMES

Masks = Literal["use", "ignore"]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class SliceRecord:
    """One usable slice.

    Attributes:
      path, file_name: the picture.
      label: index into `CLASS_NAMES`, from the folder.
      source: one of `SOURCES`.
      patient: key of the person, see `patients.patient_key`.
      country, age, gender: '' and -1 where unknown.
      flags: notes, e.g. ("upside_down",).
      height, width: size in pixels.
      sha256: of the file's bytes, as verified.
      is_plain_png: whether the bytes can be stored as they are.
      mask_path: its annotated lesion mask, of the same size, or None.
      mask_encoding: how that mask codes lesions.
    """

    path: Path
    file_name: str
    label: int
    source: str
    patient: str
    country: str
    age: int
    gender: str
    flags: tuple[str, ...]
    height: int
    width: int
    sha256: str
    is_plain_png: bool
    mask_path: Path | None = None
    mask_encoding: MaskEncoding = "binary"


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


@dataclass(frozen=True)
class _InspectedMask:
    path: Path
    shape: tuple[int, ...]
    values: UInt8[np.ndarray, " v"]


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
        records = _attach_masks(records, layout.mask_folder, findings=findings)
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


def read_pixels(record: SliceRecord) -> bytes | UInt8[np.ndarray, "h w"]:
    """The picture of a catalogued slice: its own bytes where they are a plain PNG, else pixels.

    Raises:
      DataError: when the file changed since the catalogue was read.
    """
    content = record.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise DataError(f"{record.path}: changed while the data set was being built; build again")
    return content if record.is_plain_png else decode_picture(content, name=str(record.path)).pixels


def read_mask(record: SliceRecord) -> UInt8[np.ndarray, "h w"] | None:
    """The lesion mask of a catalogued slice, 0/255, of the picture's size; None where it has none.

    Raises:
      DataError: when the file can no longer be decoded, or changed its size.
    """
    if record.mask_path is None:
        return None
    values = decode_mask(record.mask_path.read_bytes(), name=str(record.mask_path))
    if values.shape != (record.height, record.width):
        raise DataError(
            f"{record.mask_path}: changed while the data set was being built; build again"
        )
    return binary_mask(values, encoding=record.mask_encoding, source=record.source)


def input_fingerprint(layout: Layout) -> str:
    """A quick hash of an input: contents of the tables, names and sizes of pictures and masks."""
    digest = hashlib.sha256()
    for table in layout.tables:
        digest.update(hashlib.sha256(table.read_bytes()).digest())
    folders = (*layout.class_folders, *((layout.mask_folder,) if layout.mask_folder else ()))
    for folder in folders:
        for path in sorted(folder.iterdir()):
            digest.update(f"{folder.name}/{path.name}:{path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], *, description: str
) -> list[Result]:
    """`function` of every item, in order, on as many threads as there are cores (Pillow decodes
    outside the interpreter's lock)."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(track(pool.map(function, items), description=description, total=len(items)))


def _inspect(matches: Sequence[Match], *, findings: Findings) -> list[_Inspected]:
    """Know the person, then open the picture, of every match; what fails is noted and left out."""
    known: list[tuple[Match, Identity]] = []
    for match in matches:
        identity = identify(match.file.path.name, match.row, findings=findings)
        if identity is not None:
            known.append((match, identity))
    pictures = _in_parallel(
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


def _attach_masks(
    records: Sequence[SliceRecord], folder: Path, *, findings: Findings
) -> list[SliceRecord]:
    """Give every slice the mask of its name, if it decodes and has the slice's size."""
    by_name = {
        canonical_name(path.stem): path
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    }
    found = {
        record.file_name: by_name[name]
        for record in records
        for name in reversed(mask_names(record.file_name))
        if name in by_name
    }
    for path in by_name.values():
        if path not in set(found.values()):
            findings.note(Finding.MASK_WITHOUT_SLICE, path.name)
    opened = _in_parallel(_open_mask, list(found.values()), description="verifying masks")
    masks = {name: mask for name, mask in zip(found, opened, strict=True) if mask is not None}
    for name in found.keys() - masks.keys():
        findings.note(Finding.MASK_UNDECODABLE, name)
    largest: defaultdict[str, list[int]] = defaultdict(list)
    for record in records:
        if record.file_name in masks:
            largest[record.source].append(int(masks[record.file_name].values.max()))
    encodings = {source: mask_encoding(values) for source, values in largest.items()}
    return [
        _with_mask(record, masks[record.file_name], encodings[record.source], findings=findings)
        if record.file_name in masks
        else record
        for record in records
    ]


def _open_mask(path: Path) -> _InspectedMask | None:
    try:
        values = decode_mask(path.read_bytes(), name=str(path))
    except DataError:
        return None
    return _InspectedMask(path=path, shape=values.shape, values=np.unique(values))


def _with_mask(
    record: SliceRecord, mask: _InspectedMask, encoding: MaskEncoding, *, findings: Findings
) -> SliceRecord:
    if mask.shape != (record.height, record.width):
        findings.note(Finding.MASK_SIZE, record.file_name)
        return record
    present = binary_mask(mask.values[None], encoding=encoding, source=record.source)
    if not present.any():
        findings.note(Finding.MASK_EMPTY, record.file_name)
    elif record.label == CLASS_NAMES.index("Normal"):
        findings.note(Finding.MASK_ON_NORMAL, record.file_name)
    return replace(record, mask_path=mask.path, mask_encoding=encoding)
