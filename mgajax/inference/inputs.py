"""From what was given on the command line to scans.

A folder is walked through with its subfolders. By name and content a file is a picture (PNG, JPEG),
a NIfTI volume or a DICOM file; others are passed over in folders and noted where they were named.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mgajax.errors import DataError
from mgajax.imaging.geometry import Turn, View
from mgajax.imaging.nifti import SUFFIXES as NIFTI
from mgajax.inference.dicom_series import find_series
from mgajax.inference.nifti_volume import open_scan
from mgajax.inference.pictures import PictureScan
from mgajax.inference.problems import Problems
from mgajax.inference.scans import Scan

FileKind = Literal["picture", "NIfTI", "DICOM", "other"]

PICTURES = (".png", ".jpg", ".jpeg")
DICOM = (".dcm", ".ima")
LISTS = (".txt", ".lst")
PREAMBLE, MAGIC = 128, b"DICM"


@dataclass(frozen=True)
class InputFile:
    """A file to predict; `patient` is told by a list, or ''."""

    path: Path
    patient: str = ""


def find_scans(
    inputs: Sequence[Path], *, unpacked: Path, turn: Turn, problems: Problems
) -> list[Scan]:
    """The scans among files, folders and lists, each under a name of its own.

    Args:
      inputs: files; folders; `.txt` or `.lst` with a path a line, from the list's folder on, and
        after a tab the patient, if pictures of one folder are of several.
      unpacked: a folder for copies of packed volumes.
      turn: see `geometry.Turn`.
      problems: takes what cannot be predicted.
    """
    sorted_out: dict[FileKind, list[InputFile]] = {"picture": [], "NIfTI": [], "DICOM": []}
    seen: set[Path] = set()
    for given, named in _files(inputs, problems=problems):
        if (real := given.path.resolve()) in seen:
            continue
        seen.add(real)
        try:
            kind = file_kind(given.path)
        except OSError as error:
            problems.note(f"{given.path}: cannot be read ({error.strerror})")
            continue
        if kind != "other":
            sorted_out[kind].append(given)
        elif named:
            problems.note(f"{given.path}: expected PNG, JPEG, NIfTI, DICOM, a folder or a list")
    volumes: list[Scan] = []
    for given in sorted_out["NIfTI"]:
        try:
            volumes.append(open_scan(given.path, unpacked=unpacked, turn=turn))
        except DataError as error:
            problems.note(str(error))
    dicom = [given.path for given in sorted_out["DICOM"]]
    series = find_series(dicom, turn=turn, problems=problems)
    return _named_apart([*_pictures(sorted_out["picture"], turn=turn), *series, *volumes])


def file_kind(path: Path) -> FileKind:
    """What a file is, by its suffix; DICOM without one by its magic word.

    Raises:
      OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(PREAMBLE + len(MAGIC))
    name = path.name.lower()
    if name.endswith(PICTURES):
        return "picture"
    if name.endswith(NIFTI):
        return "NIfTI"
    return "DICOM" if name.endswith(DICOM) or start[PREAMBLE:] == MAGIC else "other"


def _files(inputs: Iterable[Path], *, problems: Problems) -> Iterator[tuple[InputFile, bool]]:
    """Every file, and whether it was named itself; hidden ones in folders are passed over."""
    for path in inputs:
        if path.is_dir():
            yield from ((InputFile(file), False) for file in _walk(path, problems=problems))
        elif path.suffix.lower() in LISTS:
            yield from ((given, True) for given in _listed(path, problems=problems))
        else:
            yield InputFile(path), True


def _walk(folder: Path, *, problems: Problems) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        problems.note(f"{error.filename}: cannot be read ({error.strerror})")

    for place, folders, names in os.walk(folder, onerror=refused):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (
            Path(place, name) for name in sorted(names, key=_natural) if not name.startswith(".")
        )


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers in a name in their order: slice_9 before slice_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _listed(path: Path, *, problems: Problems) -> Iterator[InputFile]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problems.note(f"{path}: no list of paths ({error})")
        return
    for line in filter(None, map(str.strip, lines)):
        place, _, patient = line.partition("\t")
        found = path.parent / place.strip()
        if found.is_dir():
            yield from (
                InputFile(file, patient.strip()) for file in _walk(found, problems=problems)
            )
        else:
            yield InputFile(found, patient.strip())


def _pictures(given: Iterable[InputFile], *, turn: Turn) -> list[PictureScan]:
    """One scan a patient of a list, or a folder."""
    groups: dict[tuple[str, Path], list[Path]] = {}
    for one in given:
        folder = Path() if one.patient else one.path.resolve().parent
        groups.setdefault((one.patient, folder), []).append(one.path)
    view = View().turned(turn)
    return [
        PictureScan(patient or folder.name, patient or folder.name, tuple(paths), view)
        for (patient, folder), paths in groups.items()
    ]


def _named_apart(scans: Iterable[PictureScan | Scan]) -> list[Scan]:
    """The scans under names that serve as folders, no two of them the same in any case."""
    taken: set[str] = set()
    renamed = []
    for scan in scans:
        plain = re.sub(r"[^\w.-]+", "_", scan.name).strip("._") or "scan"
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.casefold())
        renamed.append(replace(scan, name=name))  # type: ignore[type-var]
    return renamed
