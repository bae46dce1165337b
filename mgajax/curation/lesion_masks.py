"""Lesion masks beside the slices: found by name, verified, understood.

The companion lesion set spells names slightly differently, and sources code lesions differently;
`names.mask_names` and `pictures.mask_encoding` hold the rules.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from mgajax.curation.names import canonical_name, mask_names
from mgajax.curation.parallel import in_parallel
from mgajax.curation.pictures import MaskEncoding, binary_mask, decode_mask, mask_encoding
from mgajax.curation.records import SliceRecord
from mgajax.curation.report import Finding, Findings
from mgajax.errors import DataError
from mgajax.schema import CLASS_NAMES


@dataclass(frozen=True)
class _OpenedMask:
    """What is kept of a decoded mask: its size, and which values occur in it."""

    path: Path
    shape: tuple[int, ...]
    values: UInt8[np.ndarray, " v"]


def attach_masks(
    records: Sequence[SliceRecord], *, folder: Path, findings: Findings
) -> list[SliceRecord]:
    """Give every slice the mask of its name in `folder`, if it decodes and has the slice's size.

    Masks that fail, fit no slice, or are odd are noted in `findings`.
    """
    found = _find(records, folder=folder, findings=findings)
    opened = in_parallel(_open, list(found.values()), description="verifying masks")
    masks: dict[str, _OpenedMask] = {}
    for name, mask in zip(found, opened, strict=True):
        if mask is None:
            findings.note(Finding.MASK_UNDECODABLE, name)
        else:
            masks[name] = mask
    encodings = _encodings(records, masks)
    return [
        _with_mask(record, masks[record.file_name], encodings[record.source], findings=findings)
        if record.file_name in masks
        else record
        for record in records
    ]


def _find(records: Sequence[SliceRecord], *, folder: Path, findings: Findings) -> dict[str, Path]:
    """File name of a slice -> its mask."""
    by_name = {
        canonical_name(path.stem): path
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    }
    found = {}
    for record in records:
        names = [name for name in mask_names(record.file_name) if name in by_name]
        if names:
            found[record.file_name] = by_name[names[0]]
    used = set(found.values())
    for path in by_name.values():
        if path not in used:
            findings.note(Finding.MASK_WITHOUT_SLICE, path.name)
    return found


def _open(path: Path) -> _OpenedMask | None:
    try:
        values = decode_mask(path.read_bytes(), name=str(path))
    except DataError:
        return None
    return _OpenedMask(path=path, shape=values.shape, values=np.unique(values))


def _encodings(
    records: Sequence[SliceRecord], masks: Mapping[str, _OpenedMask]
) -> dict[str, MaskEncoding]:
    """How each source codes lesions, judged over all of its masks."""
    largest: defaultdict[str, list[int]] = defaultdict(list)
    for record in records:
        if record.file_name in masks:
            largest[record.source].append(int(masks[record.file_name].values[-1]))
    return {source: mask_encoding(values) for source, values in largest.items()}


def _with_mask(
    record: SliceRecord, mask: _OpenedMask, encoding: MaskEncoding, *, findings: Findings
) -> SliceRecord:
    if mask.shape != (record.height, record.width):
        findings.note(Finding.MASK_SIZE, record.file_name)
        return record
    lesion = binary_mask(mask.values[None], encoding=encoding, source=record.source)
    if not lesion.any():
        findings.note(Finding.MASK_EMPTY, record.file_name)
    elif record.label == CLASS_NAMES.index("Normal"):
        findings.note(Finding.MASK_ON_NORMAL, record.file_name)
    return replace(record, mask_path=mask.path, mask_encoding=encoding)
