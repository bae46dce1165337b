"""A set that is judged and not learned from: built, or of labelled files, all of it in one part."""

import functools
import hashlib
import json
import struct
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from mgajax.data.cache import PreparedSet
from mgajax.data.dataset import Dataset, known_masks
from mgajax.data.labelled_files import LabelledFile, LabelledFiles
from mgajax.data.patient_groups import Split
from mgajax.data.preparation import Preparation, PreparedSlice, prepare
from mgajax.data.table import SliceTable
from mgajax.errors import DataError
from mgajax.folders import natural_order
from mgajax.imaging.slice_files import FileSlice, slices_of_file
from mgajax.progress import map_ordered, track
from mgajax.schema import MASK_ORIGINS, SPLITS

PART = "test"
"""The part of its split that all of such a set is in."""

TOLD = 3
"""Files of a set without one readable slice that are told."""


@dataclass(frozen=True, eq=False)
class PreparedFiles:
    """The slices of labelled files, ready for a model.

    Attributes:
      slices: one row a slice that could be read; patients are '' where one of them is unknown,
        sources where none is known.
      left_out: a line for each file that could not be read.
      notes: what else a reader of results should know.
    """

    slices: PreparedSet
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _PreparedRow:
    """One slice of a file on its way into the table."""

    file: LabelledFile
    name: str
    patient: str
    digest: str
    slice: PreparedSlice


def prepared_files(
    files: LabelledFiles, *, settings: Preparation, needs_lungs: bool = False
) -> PreparedFiles:
    """Read and prepare labelled files, each slice once; damage in one of them spoils no other.

    Rows stand in the order of the files' names, however the files were listed.

    Prepared pixels lie in an unnamed file on disk, so that memory does not grow with the set.

    Args:
      files: see `labelled_files`.
      settings: how slices are prepared.
      needs_lungs: the model was supervised by lungs, of which nothing is known here.

    Raises:
      DataError: none of the files can be read.
    """
    read = functools.partial(_read, settings=settings)
    named = zip(files.files, files.names(), strict=True)
    jobs = sorted(named, key=lambda job: natural_order(job[1]))
    rows: list[_PreparedRow] = []
    left_out = list(files.left_out)
    with tempfile.TemporaryFile() as pixels:
        results = track(
            map_ordered(read, jobs), description="reading slices", total=len(files.files)
        )
        for result in results:
            if isinstance(result, str):
                left_out.append(result)
                continue
            for row in result:
                pixels.write(row.slice.image.tobytes())
                rows.append(_without_pixels(row))
        if not rows:
            reasons = "; ".join(left_out[:TOLD])
            raise DataError(
                f"{files.place}: none of {len(files.files)} files can be read: {reasons}"
            )
        pixels.flush()
        side = settings.image_size
        images = np.memmap(pixels, np.uint8, "r", shape=(len(rows), side, side, 1))
    table = _table(rows, place=files.place)
    known = sum(bool(row.patient) for row in rows)
    notes = list(files.notes)
    if 0 < known < len(rows):
        notes.append(f"of {known} of {len(rows)} slices the patient is known: of too few to use")
    nothing = np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), images.shape)
    slices = PreparedSet(
        table=table,
        images=images,
        masks=nothing,
        settings=settings,
        fingerprint=table.fingerprint,
        boxes=np.array([row.slice.box for row in rows], np.int32),
        usable=np.ones(len(rows), bool),
        notes=np.array([",".join(row.slice.flags) for row in rows], np.str_),
        lungs=nothing if needs_lungs else None,
    )
    return PreparedFiles(slices, tuple(left_out), tuple(notes))


def judged_dataset(
    prepared: PreparedSet,
    *,
    normal_mask: str,
    mask_origins: Sequence[str] = MASK_ORIGINS[1:],
    needs_masks: bool = False,
) -> Dataset:
    """A prepared set as a data set whose every slice is in the part `PART`.

    Args:
      prepared: the slices.
      normal_mask, mask_origins, needs_masks: see `open_dataset`. Of files no mask is known.
    """
    weights = known_masks(prepared.table, normal_mask=normal_mask, mask_origins=mask_origins)
    assignment = np.full(len(prepared.table), SPLITS.index(PART), np.int8)
    return Dataset(
        **vars(prepared),
        split=Split("all", assignment),
        mask_weights=weights,
        is_example=prepared.usable & (weights > 0) if needs_masks else prepared.usable,
    )


def _read(job: tuple[LabelledFile, str], *, settings: Preparation) -> list[_PreparedRow] | str:
    """The slices of one file, or why there are none."""
    file, name = job
    try:
        slices = list(_chosen(file))
        return [_prepare_row(file, name, file_slice, settings=settings) for file_slice in slices]
    except DataError as error:
        return str(error)


def _chosen(file: LabelledFile) -> Iterator[FileSlice]:
    """The slices of a file, or the one plane of it that is meant."""
    planes = 0
    for file_slice in slices_of_file(file.path):
        planes = file_slice.plane or 1
        if file.plane in (0, planes):
            yield file_slice
    if file.plane > planes:
        raise DataError(f"{file.path}: no plane {file.plane}; it has {planes}")


def _prepare_row(
    file: LabelledFile, name: str, file_slice: FileSlice, *, settings: Preparation
) -> _PreparedRow:
    """A slice ready for a model. A volume of a patient whom nobody names is a patient of its name."""
    shape = struct.pack(">II", *file_slice.pixels.shape)
    return _PreparedRow(
        file=file,
        name=f"{name}:{file_slice.plane}" if file_slice.plane else name,
        patient=file.patient or file_slice.patient or (name if file_slice.plane else ""),
        digest=hashlib.sha256(shape + file_slice.pixels.tobytes()).hexdigest(),
        slice=prepare(file_slice.pixels, np.zeros_like(file_slice.pixels), settings=settings),
    )


def _without_pixels(prepared: _PreparedRow) -> _PreparedRow:
    none: UInt8[np.ndarray, "0 0"] = np.zeros((0, 0), np.uint8)
    slice_alone = PreparedSlice(
        image=none, mask=none, box=prepared.slice.box, flags=prepared.slice.flags
    )
    return replace(prepared, slice=slice_alone)


def _table(rows: Sequence[_PreparedRow], *, place: Path) -> SliceTable:
    patients = [row.patient for row in rows]
    if not all(patients):
        patients = [""] * len(rows)
    content: list[Any] = sorted(
        (row.file.label, patient, row.file.source, row.digest)
        for row, patient in zip(rows, patients, strict=True)
    )
    return SliceTable(
        labels=np.array([row.file.label for row in rows], np.int32),
        patients=np.array(patients, np.str_),
        sources=np.array([row.file.source for row in rows], np.str_),
        file_names=np.array([row.name for row in rows], np.str_),
        mask_origins=np.full(len(rows), MASK_ORIGINS[0]),
        built_split=np.full(len(rows), SPLITS.index(PART), np.int8),
        fingerprint=hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        directory=place,
    )
