"""From what was given on the command line to scans.

A folder is walked through with its subfolders, linked ones too. What a file is, its content tells.
The path as it was given names and groups; where a link leads does not matter.
"""

import codecs
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mgajax.folders import distinct_names, safe_name, walk
from mgajax.imaging.file_kinds import FileKind, file_kind
from mgajax.imaging.geometry import Turn, View
from mgajax.inference.dicom_series import DicomScan, find_series
from mgajax.inference.label_maps import without_label_maps
from mgajax.inference.nifti_volume import NiftiScan, open_scan
from mgajax.inference.pictures import PictureScan
from mgajax.inference.problems import RESEARCH_USE, Problems
from mgajax.inference.results import RESULT_FILES, SETTINGS_FILE

LISTS = (".txt", ".lst")

LONGEST_TOLD = 200
"""Characters that are told of a line of a list which is no path at all."""

AnyScan = PictureScan | DicomScan | NiftiScan


@dataclass(frozen=True)
class InputFile:
    """A file to predict.

    Attributes:
      path: as it was given, or below the folder that was given.
      patient: as a list tells it, or ''.
      is_named: whether it was named itself, on the command line or in a list.
    """

    path: Path
    patient: str = ""
    is_named: bool = False


def find_scans(
    inputs: Sequence[Path], *, unpacked: Path, turn: Turn, problems: Problems
) -> list[AnyScan]:
    """The scans among files, folders and lists, each under a name of its own.

    Args:
      inputs: files; folders; `.txt` or `.lst` with a path a line, from the list's folder on, and
        after a tab the patient, if pictures of one folder are of several.
      unpacked: a folder for copies of packed volumes.
      turn: see `geometry.Turn`.
      problems: takes what cannot be predicted.
    """
    files = _sorted_by_kind(_each_once(_files(inputs, problems=problems)), problems=problems)
    volumes: list[NiftiScan] = []
    for given in files[FileKind.NIFTI]:
        with problems.guarded(str(given.path)):
            scan = open_scan(given.path, unpacked=unpacked, turn=turn)
            volumes.append(replace(scan, patient=given.patient))
    volumes = without_label_maps(volumes, problems=problems)
    told = {given.path: given.patient for given in files[FileKind.DICOM]}
    series = [
        replace(scan, patient=told[scan.slices[0].path] or scan.patient)
        for scan in find_series(list(told), turn=turn, problems=problems)
    ]
    return _named_apart([*_pictures(files[FileKind.PICTURE], turn=turn), *series, *volumes])


def _sorted_by_kind(
    files: Iterable[InputFile], *, problems: Problems
) -> dict[FileKind, list[InputFile]]:
    """What can be predicted, by kind; of the rest, one line a file that was named, and a count."""
    by_kind: dict[FileKind, list[InputFile]] = {kind: [] for kind in FileKind}
    for given in files:
        try:
            kind = file_kind(given.path)
        except (OSError, ValueError) as error:
            problems.unreadable(given.path, error)
            continue
        by_kind[kind].append(given)
    for given in by_kind[FileKind.OTHER]:
        if given.is_named:
            problems.note(
                f"{given.path}: expected a picture, NIfTI, DICOM, a folder or a list (.txt)"
            )
    others = [given.path for given in by_kind[FileKind.OTHER] if not given.is_named]
    _count_others([path for path in others if not _is_paired(path)], problems=problems)
    return by_kind


def _count_others(paths: Sequence[Path], *, problems: Problems) -> None:
    """One line for all that is no picture and no volume, and lies in a folder that was given."""
    suffixes = Counter(path.suffix.lower() or "no suffix" for path in paths)
    if suffixes:
        told = ", ".join(f"{suffix} {count}" for suffix, count in suffixes.most_common())
        problems.note(
            f"{len(paths)} files that are no picture, NIfTI or DICOM ({told}), first {paths[0]}",
            kind="passed over",
        )


def _is_paired(path: Path) -> bool:
    """Whether a file is the voxels of a NIfTI pair, whose header is the `.hdr` beside it."""
    stem = re.sub(r"\.img(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    return stem != path.name and path.with_name(f"{stem}.hdr").exists()


def _each_once(files: Iterable[InputFile]) -> Iterator[InputFile]:
    """Files whose path was given twice count once; two links to one file are two."""
    seen: set[str] = set()
    for given in files:
        place = os.path.abspath(given.path)
        if place not in seen:
            seen.add(place)
            yield given


def _files(inputs: Iterable[Path], *, problems: Problems) -> Iterator[InputFile]:
    """Every file that was named, or lies in a folder that was."""
    for path in inputs:
        yield from _files_of(path, patient="", problems=problems)


def _files_of(path: Path, *, patient: str, problems: Problems) -> Iterator[InputFile]:
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:  # a name that no file system takes
        problems.unreadable(str(path)[:LONGEST_TOLD], error)
        return
    if is_folder:
        files = walk(
            path,
            refused=lambda error: problems.unreadable(error.filename, error),
            skip=lambda below: _is_result(below, problems),
        )
        yield from (InputFile(file, patient) for file in files)
    elif path.suffix.lower() in LISTS and not patient:
        yield from _listed(path, problems=problems)
    else:
        yield InputFile(path, patient, is_named=True)


def _is_result(folder: Path, problems: Problems) -> bool:
    """Whether a folder holds what an earlier prediction wrote; that is told."""
    try:
        written = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(written, dict) or written.get("use") != RESEARCH_USE:
        return False
    problems.note(f"{folder}: the results of an earlier prediction", kind="passed over")
    return True


def _listed(path: Path, *, problems: Problems) -> Iterator[InputFile]:
    """The files of a list: a path a line, relative to the list, and after a tab the patient."""
    try:
        content = path.read_bytes()
    except OSError as error:
        problems.unreadable(path, error)
        return
    content = content.removeprefix(codecs.BOM_UTF8)
    for line in filter(None, map(bytes.strip, content.splitlines())):
        place, _, patient = line.partition(b"\t")
        given = path.parent / os.fsdecode(place.strip())
        if given.suffix.lower() in LISTS:
            problems.note(f"{given}: a list in a list; name its files themselves")
            continue
        told = patient.strip().decode("utf-8", errors="backslashreplace")
        yield from _files_of(given, patient=told, problems=problems)


def _pictures(given: Iterable[InputFile], *, turn: Turn) -> list[PictureScan]:
    """One scan a patient of a list, or a folder as it was given."""
    groups: dict[tuple[str, Path], list[Path]] = {}
    for one in given:
        folder = Path() if one.patient else Path(os.path.abspath(one.path)).parent
        groups.setdefault((one.patient, folder), []).append(one.path)
    view = View().turned(turn)
    return [
        PictureScan(
            name=patient or folder.name,
            patient=patient,
            source=paths[0].parent,
            paths=tuple(paths),
            view=view,
        )
        for (patient, folder), paths in groups.items()
    ]


def _named_apart(scans: Sequence[AnyScan]) -> list[AnyScan]:
    """The scans under names that serve as folders, no two of them the same in any case.

    Scans of one name are told apart by the folders that they lie in. A scan of a patient whom nobody
    names is a patient of that name.
    """
    names = distinct_names([_place(scan) for scan in scans])
    taken = {name.casefold() for name in RESULT_FILES}
    apart: list[AnyScan] = []
    for scan, telling in zip(scans, names, strict=True):
        plain = safe_name(telling)
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.casefold())
        apart.append(replace(scan, name=name, patient=scan.patient or telling))
    return apart


def _place(scan: AnyScan) -> Path:
    """Where a scan would lie if the folder that it was given in were named after it."""
    source = Path(os.path.abspath(scan.source))
    if isinstance(scan, PictureScan):
        return source.parent / scan.name if not scan.patient else source / scan.name
    return (source.parent if isinstance(scan, NiftiScan) else source) / scan.name
