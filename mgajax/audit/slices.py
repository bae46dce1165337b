"""What is audited: the slices of a built data set, or of a downloaded copy, with their columns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int8, Int32

from mgajax.curation.findings import Findings
from mgajax.curation.kaggle_layout import (
    KaggleLayout,
    find_layout,
    read_rows,
)
from mgajax.curation.matching import Match, PictureFile, identify, list_pictures, match_rows
from mgajax.curation.names import canonical_name
from mgajax.curation.statistics import is_curated
from mgajax.data.columns import SliceColumns
from mgajax.data.patient_groups import patient_keys
from mgajax.data.split_csv import read_split_csv
from mgajax.data.table import iter_encoded, read_table
from mgajax.errors import DataError
from mgajax.schema import SPLITS

UNKNOWN = -1
"""The split of a slice in none."""

PictureBytes = Iterator[tuple[str, bytes]]
"""File names and bytes of the pictures, in the order of the columns."""


@dataclass(frozen=True, eq=False)
class AuditSlices(SliceColumns):
    """One row a slice.

    Attributes:
      directory: what was given.
      kind: "built data set" or "downloaded copy".
      splits: int8 [n], codes of `mgajax.schema.SPLITS`; -1 for none.
      has_split: whether any split is known.
      contents: the pictures' files, read anew at each call; of all rows, also after `only`.
      listed_patients: str [n], as a split.csv names them; `patients` where it does not.
      mask_folder: lesion masks beside a downloaded copy.
      findings: what was found on the way.

    The others are those of `SliceColumns`.
    """

    directory: Path
    kind: str
    splits: Int8[np.ndarray, "n"]
    has_split: bool
    contents: Callable[[], PictureBytes]
    listed_patients: np.ndarray
    mask_folder: Path | None = None
    findings: Findings = field(default_factory=Findings)

    def people(self) -> Int32[np.ndarray, "n"]:
        """A number for each slice's person; ids are compared as the splits compare them."""
        return np.unique(patient_keys(self.patients), return_inverse=True)[1].astype(np.int32)


def open_slices(directory: Path, *, split: Path | None = None) -> AuditSlices:
    """The slices under `directory`.

    Args:
      directory: a built data set, or a folder in the layout of the curated set's download.
      split: a split.csv that says which split each slice is in; the built split by default.

    Raises:
      DataError: neither of the two is there, or it cannot be read; see `read_split_csv`.
    """
    if not directory.is_dir():
        raise DataError(
            f"{directory}: no such folder; expected a built data set or a folder with curated_data/"
        )
    slices = _open_download(directory) if is_curated(directory) else _open_built(directory)
    return slices if split is None else _with_split(slices, split)


def _open_built(directory: Path) -> AuditSlices:
    table = read_table(directory)

    def contents() -> PictureBytes:
        for row, image, _ in iter_encoded(table.directory):
            yield str(table.file_names[row]), image

    return AuditSlices(
        directory=table.directory,
        kind="built data set",
        file_names=table.file_names,
        labels=table.labels,
        patients=table.patients,
        sources=table.sources,
        splits=table.built_split,
        has_split=True,
        contents=contents,
        listed_patients=table.patients,
    )


def _open_download(directory: Path) -> AuditSlices:
    layout = find_layout(directory)
    findings = Findings()
    identified = []
    for match in _match_pictures(layout, findings=findings):
        identity = identify(match.file.path.name, match.row, findings=findings)
        if identity is not None:
            identified.append((match.file, identity))
    if not identified:
        raise DataError(
            f"{directory}: no picture of a known person; give the folder that was unpacked"
        )
    patients = np.array([identity.patient for _, identity in identified], np.str_)
    paths = [file.path for file, _ in identified]
    return AuditSlices(
        directory=directory,
        kind="downloaded copy",
        file_names=np.array([path.name for path in paths], np.str_),
        labels=np.array([file.label for file, _ in identified], np.int32),
        patients=patients,
        sources=np.array([identity.source for _, identity in identified], np.str_),
        splits=np.full(len(identified), UNKNOWN, np.int8),
        has_split=False,
        contents=lambda: ((path.name, path.read_bytes()) for path in paths),
        listed_patients=patients,
        mask_folder=layout.mask_folder,
        findings=findings,
    )


def _match_pictures(layout: KaggleLayout, *, findings: Findings) -> list[Match]:
    """Pictures with their rows; of a name found twice, the second copy has the first one's row."""
    files = list_pictures(layout, findings=findings)
    matches = match_rows(read_rows(layout), files, findings=findings)
    matched_files = {match.file for match in matches}
    by_name = {canonical_name(match.file.path.name): match for match in matches}
    return [
        *matches,
        *(
            _match_second_copy(file, by_name)
            for file in files
            if _is_second_copy(file, matched_files, by_name)
        ),
    ]


def _is_second_copy(
    file: PictureFile, matched: set[PictureFile], by_name: dict[str, Match]
) -> bool:
    return file not in matched and canonical_name(file.path.name) in by_name


def _match_second_copy(file: PictureFile, by_name: dict[str, Match]) -> Match:
    return Match(file=file, row=by_name[canonical_name(file.path.name)].row)


def _with_split(slices: AuditSlices, path: Path) -> AuditSlices:
    """The slices with the splits, and the people, that a split.csv gives them."""
    names, first = np.unique(slices.file_names, return_index=True)
    listed = read_split_csv(path, table=slices.select(first))
    row = np.searchsorted(names, slices.file_names)
    return replace(
        slices,
        splits=listed.split.assignment[row],
        has_split=True,
        listed_patients=listed.patients[row],
    )


def split_name(code: int) -> str:
    """The split's name; "" for none."""
    return SPLITS[code] if code >= 0 else ""
