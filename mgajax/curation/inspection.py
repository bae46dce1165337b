"""Opens and verifies the pictures of a data set, and makes a record of each."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mgajax.curation.findings import Finding, Findings
from mgajax.curation.matching import Identity
from mgajax.curation.names import is_upside_down
from mgajax.curation.records import SliceRecord
from mgajax.errors import DataError
from mgajax.imaging.pictures import Picture, decode_picture
from mgajax.progress import map_ordered, track


@dataclass(frozen=True)
class Candidate:
    """A picture on disk whose class and person are known; `flags` are earlier notes."""

    path: Path
    label: int
    identity: Identity
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class _OpenedPicture:
    """The properties of a decoded picture, without its pixels."""

    height: int
    width: int
    sha256: str
    digest: str
    is_plain_png: bool
    oddities: tuple[Finding, ...]


def inspect(candidates: Sequence[Candidate], *, findings: Findings) -> list[SliceRecord]:
    """A record, without a mask, of every picture that decodes, in order.

    Pictures that fail are noted and left out; odd ones and second copies are noted and kept.
    """
    decoded = map_ordered(lambda candidate: _open(candidate.path), candidates)
    pictures = track(decoded, description="verifying pictures", total=len(candidates))
    originals: dict[str, SliceRecord] = {}
    records = []
    for candidate, opened in zip(candidates, pictures, strict=True):
        if opened is None:
            findings.note(Finding.UNDECODABLE, candidate.path.name)
            continue
        for finding in opened.oddities:
            findings.note(finding, candidate.path.name)
        record = _make_record(candidate, opened, findings=findings)
        original = originals.setdefault(opened.digest, record)
        if original is not record:
            record = _flag_copy(record, original, findings=findings)
        records.append(record)
    return records


def _open(path: Path) -> _OpenedPicture | None:
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
        oddities=tuple(_find_oddities(picture)),
    )


def _find_oddities(picture: Picture) -> Iterable[Finding]:
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


def _make_record(
    candidate: Candidate, opened: _OpenedPicture, *, findings: Findings
) -> SliceRecord:
    name, identity = candidate.path.name, candidate.identity
    flags = candidate.flags
    if is_upside_down(name):
        findings.note(Finding.UPSIDE_DOWN, name)
        flags = (Finding.UPSIDE_DOWN.slug, *flags)
    return SliceRecord(
        path=candidate.path,
        file_name=name,
        label=candidate.label,
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


def _flag_copy(record: SliceRecord, original: SliceRecord, *, findings: Findings) -> SliceRecord:
    """`record`, noted and flagged as holding the pixels of `original`."""
    same_person = original.patient == record.patient
    finding = Finding.SAME_PICTURE if same_person else Finding.SAME_PICTURE_OTHER
    findings.note(finding, record.file_name)
    return replace(record, flags=(*record.flags, finding.slug))
