"""A set that is judged and not learned from: built, or of labelled files, all of it in one part."""

import functools
import hashlib
import json
import struct
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
class _Prepared:
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
    found: list[_Prepared] = []
    left_out = list(files.left_out)
    with tempfile.TemporaryFile() as pixels:
        results = track(
            map_ordered(read, jobs), description="reading slices", total=len(files.files)
        )
        for result in results:
            if isinstance(result, str):
                left_out.append(result)
                continue
            for one in result:
                pixels.write(one.slice.image.tobytes())
                found.append(_without_pixels(one))
        if not found:
            told = "; ".join(left_out[:TOLD])
            raise DataError(f"{files.place}: none of {len(files.files)} files can be read: {told}")
        pixels.flush()
        side = settings.image_size
        images = np.memmap(pixels, np.uint8, "r", shape=(len(found), side, side, 1))
    table = _table(found, place=files.place)
    known = sum(bool(one.patient) for one in found)
    notes = list(files.notes)
    if 0 < known < len(found):
        notes.append(f"of {known} of {len(found)} slices the patient is known: of too few to use")
    nothing = np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), images.shape)
    slices = PreparedSet(
        table=table,
        images=images,
        masks=nothing,
        settings=settings,
        fingerprint=table.fingerprint,
        boxes=np.array([one.slice.box for one in found], np.int32),
        usable=np.ones(len(found), bool),
        notes=np.array([",".join(one.slice.flags) for one in found], np.str_),
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


def _read(job: tuple[LabelledFile, str], *, settings: Preparation) -> list[_Prepared] | str:
    """The slices of one file, or why there are none."""
    file, name = job
    try:
        slices = list(_chosen(file))
        return [_prepared(file, name, one, settings=settings) for one in slices]
    except DataError as error:
        return str(error)


def _chosen(file: LabelledFile) -> Iterator[FileSlice]:
    """The slices of a file, or the one plane of it that is meant."""
    planes = 0
    for one in slices_of_file(file.path):
        planes = one.plane or 1
        if file.plane in (0, planes):
            yield one
    if file.plane > planes:
        raise DataError(f"{file.path}: no plane {file.plane}; it has {planes}")


def _prepared(file: LabelledFile, name: str, one: FileSlice, *, settings: Preparation) -> _Prepared:
    """A slice ready for a model. A volume of a patient whom nobody names is a patient of its name."""
    shape = struct.pack(">II", *one.pixels.shape)
    return _Prepared(
        file=file,
        name=f"{name}:{one.plane}" if one.plane else name,
        patient=file.patient or one.patient or (name if one.plane else ""),
        digest=hashlib.sha256(shape + one.pixels.tobytes()).hexdigest(),
        slice=prepare(one.pixels, np.zeros_like(one.pixels), settings=settings),
    )


def _without_pixels(one: _Prepared) -> _Prepared:
    none: UInt8[np.ndarray, "0 0"] = np.zeros((0, 0), np.uint8)
    kept = PreparedSlice(image=none, mask=none, box=one.slice.box, flags=one.slice.flags)
    return _Prepared(one.file, one.name, one.patient, one.digest, kept)


def _table(found: Sequence[_Prepared], *, place: Path) -> SliceTable:
    patients = [one.patient for one in found]
    if not all(patients):
        patients = [""] * len(found)
    rows = list(zip(found, patients, strict=True))
    content: list[Any] = sorted(
        (one.file.label, patient, one.file.source, one.digest) for one, patient in rows
    )
    return SliceTable(
        labels=np.array([one.file.label for one in found], np.int32),
        patients=np.array(patients, np.str_),
        sources=np.array([one.file.source for one in found], np.str_),
        file_names=np.array([one.name for one in found], np.str_),
        mask_origins=np.full(len(found), MASK_ORIGINS[0]),
        built_split=np.full(len(found), SPLITS.index(PART), np.int8),
        fingerprint=hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        directory=place,
    )
