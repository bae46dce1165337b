"""Lesion masks beside the slices: found by name, verified, and interpreted.

The companion lesion set spells names slightly differently, and sources code lesions differently;
`names.mask_names` and `mask_encoding` hold the rules.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from mgajax.curation.findings import Finding, Findings
from mgajax.curation.mask_encoding import (
    MAX_LABEL,
    MaskEncoding,
    binary_mask,
    fits_encoding,
    is_black_and_white,
    mask_encoding,
)
from mgajax.curation.names import canonical_name, mask_names
from mgajax.curation.records import SliceRecord
from mgajax.errors import DataError
from mgajax.folders import is_clutter
from mgajax.imaging.pictures import decode_mask
from mgajax.progress import map_ordered, track
from mgajax.schema import CLASS_NAMES


@dataclass(frozen=True)
class _OpenedMask:
    """Size and histogram of a decoded mask."""

    path: Path
    shape: tuple[int, ...]
    histogram: Int64[np.ndarray, "256"]

    @property
    def values(self) -> UInt8[np.ndarray, " v"]:
        """The values that occur, ascending."""
        return np.flatnonzero(self.histogram).astype(np.uint8)

    @property
    def largest(self) -> int:
        """The largest value."""
        return int(self.values[-1])


def find_masks(
    records: Sequence[SliceRecord], *, folder: Path, findings: Findings
) -> dict[str, Path]:
    """File name of a slice -> the mask of its name in `folder`; notes masks without a slice."""
    by_name = {
        canonical_name(path.stem): path
        for path in sorted(folder.iterdir())
        if path.is_file() and not is_clutter(path.name)
    }
    masks = {}
    for record in records:
        names = [name for name in mask_names(record.file_name) if name in by_name]
        if names:
            masks[record.file_name] = by_name[names[0]]
    used_paths = set(masks.values())
    for path in by_name.values():
        if path not in used_paths:
            findings.note(Finding.MASK_WITHOUT_SLICE, path.name)
    return masks


def attach_masks(
    records: Sequence[SliceRecord], *, masks: Mapping[str, Path], findings: Findings
) -> list[SliceRecord]:
    """Give every slice its annotated mask, if that decodes, is a mask, and has the slice's size.

    Notes masks that fail or are odd in `findings`.

    Args:
      records: slices without masks.
      masks: file name of a slice -> its mask.
    """
    opened = _open_all(masks, findings=findings)
    encodings = _find_encodings(records, opened)
    return [
        _attach_mask(record, opened[record.file_name], encodings[record.source], findings=findings)
        if record.file_name in opened
        else record
        for record in records
    ]


def _open_all(masks: Mapping[str, Path], *, findings: Findings) -> dict[str, _OpenedMask]:
    """The masks that decode and are no photographs, by the slice's file name."""
    opened = track(
        map_ordered(_open, masks.values()), description="verifying masks", total=len(masks)
    )
    usable_masks = {}
    for name, mask in zip(masks, opened, strict=True):
        if mask is None:
            findings.note(Finding.MASK_UNDECODABLE, name)
        elif mask.largest > MAX_LABEL and not is_black_and_white(mask.histogram):
            findings.note(Finding.MASK_VALUES, name)
        else:
            usable_masks[name] = mask
    return usable_masks


def _open(path: Path) -> _OpenedMask | None:
    try:
        values = decode_mask(path.read_bytes(), name=str(path))
    except DataError:
        return None
    histogram = np.bincount(values.ravel(), minlength=256).astype(np.int64)
    return _OpenedMask(path=path, shape=values.shape, histogram=histogram)


def _find_encodings(
    records: Sequence[SliceRecord], masks: Mapping[str, _OpenedMask]
) -> dict[str, MaskEncoding]:
    """How each source codes lesions, by all of its masks."""
    largest: defaultdict[str, list[int]] = defaultdict(list)
    for record in records:
        if record.file_name in masks:
            largest[record.source].append(masks[record.file_name].largest)
    return {source: mask_encoding(values) for source, values in largest.items()}


def _attach_mask(
    record: SliceRecord, mask: _OpenedMask, encoding: MaskEncoding, *, findings: Findings
) -> SliceRecord:
    if not fits_encoding(mask.largest, encoding=encoding, source=record.source):
        findings.note(Finding.MASK_VALUES, record.file_name)
        return record
    if mask.shape != (record.height, record.width):
        findings.note(Finding.MASK_SIZE, record.file_name)
        return record
    lesion = binary_mask(mask.values[None], encoding=encoding, source=record.source)
    if not lesion.any():
        findings.note(Finding.MASK_EMPTY, record.file_name)
    elif record.label == CLASS_NAMES.index("Normal"):
        findings.note(Finding.MASK_ON_NORMAL, record.file_name)
    return replace(record, mask_origin="annotated", mask_path=mask.path, mask_encoding=encoding)
