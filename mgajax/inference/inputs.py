"""From the inputs of the command line to scans.

A folder is walked with its subfolders, linked ones too. A file's content decides what it is. Names and
groups follow the given paths, not the targets of links.
"""

import codecs
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mgajax.errors import quantity
from mgajax.folders import distinct_names, safe_name, walk
from mgajax.imaging.file_kinds import FileKind, file_kind
from mgajax.imaging.geometry import Turn, View
from mgajax.inference.dicom_series import DicomScan, find_series
from mgajax.inference.nifti_volume import NiftiScan, drop_label_maps, open_scan
from mgajax.inference.picture_scan import PictureScan
from mgajax.inference.problems import RESEARCH_USE, Problems
from mgajax.inference.results import RESULT_FILES, SETTINGS_FILE

LISTS = (".txt", ".lst")

LONGEST_SHOWN = 200
"""So many characters are shown of a line of a list that is no path."""

AnyScan = PictureScan | DicomScan | NiftiScan


@dataclass(frozen=True)
class InputFile:
    """A file to predict.

    Attributes:
      path: as given, or below the given folder.
      patient: from a list, or ''.
      is_named: whether the file itself was named, on the command line or in a list.
    """

    path: Path
    patient: str
    is_named: bool = False


def find_scans(
    inputs: Sequence[Path], *, unpacked: Path, turn: Turn, problems: Problems
) -> list[AnyScan]:
    """The scans among files, folders and lists, each under a name of its own.

    Args:
      inputs: files; folders; `.txt` or `.lst` with a path a line, relative to the list, and after a
        tab the patient, if pictures of one folder are of several.
      unpacked: a folder for unpacked copies of volumes.
      turn: see `geometry.Turn`.
      problems: notes what cannot be predicted.
    """
    files = _sort_by_kind(_unique(_walk_inputs(inputs, problems=problems)), problems=problems)
    volumes: list[NiftiScan] = []
    for file in files[FileKind.NIFTI]:
        with problems.guard(str(file.path)):
            scan = open_scan(file.path, unpacked=unpacked, turn=turn)
            volumes.append(replace(scan, patient=file.patient))
    volumes = drop_label_maps(volumes, problems=problems)
    patients = {file.path: file.patient for file in files[FileKind.DICOM]}
    series = [
        replace(scan, patient=patients[scan.slices[0].path] or scan.patient)
        for scan in find_series(list(patients), turn=turn, problems=problems)
    ]
    return _name_scans([*_group_pictures(files[FileKind.PICTURE], turn=turn), *series, *volumes])


def _sort_by_kind(
    files: Iterable[InputFile], *, problems: Problems
) -> dict[FileKind, list[InputFile]]:
    """Files by kind. Notes each named file that cannot be predicted, and a count of the others."""
    by_kind: dict[FileKind, list[InputFile]] = {kind: [] for kind in FileKind}
    for file in files:
        try:
            kind = file_kind(file.path)
        except (OSError, ValueError) as error:
            problems.note_unreadable(file.path, error)
            continue
        by_kind[kind].append(file)
    for file in by_kind[FileKind.OTHER]:
        if file.is_named:
            problems.note(
                f"{file.path}: expected a picture, NIfTI, DICOM, a folder or a list (.txt)"
            )
    other_files = [file.path for file in by_kind[FileKind.OTHER] if not file.is_named]
    _count_others([path for path in other_files if not _is_paired(path)], problems=problems)
    return by_kind


def _count_others(paths: Sequence[Path], *, problems: Problems) -> None:
    """Note the files of given folders that are no picture and no volume, in one line."""
    suffixes = Counter(path.suffix.lower() or "no suffix" for path in paths)
    if suffixes:
        counts = ", ".join(f"{suffix} {count}" for suffix, count in suffixes.most_common())
        problems.note(
            f"{quantity(len(paths), 'file')}, no picture, NIfTI or DICOM ({counts}), first {paths[0]}",
            kind="passed over",
        )


def _is_paired(path: Path) -> bool:
    """Whether a file is the voxels of a NIfTI pair, whose header is the `.hdr` beside it."""
    stem = re.sub(r"\.img(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    return stem != path.name and path.with_name(f"{stem}.hdr").exists()


def _unique(files: Iterable[InputFile]) -> Iterator[InputFile]:
    """The files, those given twice only once; two links to one file are two files."""
    paths: set[str] = set()
    for file in files:
        path = os.path.abspath(file.path)
        if path not in paths:
            paths.add(path)
            yield file


def _walk_inputs(inputs: Iterable[Path], *, problems: Problems) -> Iterator[InputFile]:
    """Every named file, and every file of a named folder."""
    for path in inputs:
        yield from _walk_input(path, patient="", problems=problems)


def _walk_input(path: Path, *, patient: str, problems: Problems) -> Iterator[InputFile]:
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:  # a name that no file system takes
        problems.note_unreadable(str(path)[:LONGEST_SHOWN], error)
        return
    if is_folder:
        files = walk(
            path,
            refused=lambda error: problems.note_unreadable(error.filename, error),
            skip=lambda below: _is_result(below, problems),
        )
        yield from (InputFile(file, patient) for file in files)
    elif path.suffix.lower() in LISTS and not patient:
        yield from _read_list(path, problems=problems)
    else:
        yield InputFile(path, patient, is_named=True)


def _is_result(folder: Path, problems: Problems) -> bool:
    """Whether a folder holds the results of an earlier prediction; notes it if so."""
    try:
        settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(settings, dict) or settings.get("use") != RESEARCH_USE:
        return False
    problems.note(f"{folder}: the results of an earlier prediction", kind="passed over")
    return True


def _read_list(path: Path, *, problems: Problems) -> Iterator[InputFile]:
    """The files of a list: a path a line, relative to the list, and after a tab the patient."""
    try:
        content = path.read_bytes()
    except OSError as error:
        problems.note_unreadable(path, error)
        return
    content = content.removeprefix(codecs.BOM_UTF8)
    for line in filter(None, map(bytes.strip, content.splitlines())):
        text, _, patient = line.partition(b"\t")
        file = path.parent / os.fsdecode(text.strip())
        if file.suffix.lower() in LISTS:
            problems.note(f"{file}: a list in a list; name its files themselves")
            continue
        name = patient.strip().decode("utf-8", errors="backslashreplace")
        yield from _walk_input(file, patient=name, problems=problems)


def _group_pictures(files: Iterable[InputFile], *, turn: Turn) -> list[PictureScan]:
    """One scan for each patient of a list, or for each folder."""
    groups: dict[tuple[str, Path], list[Path]] = {}
    for file in files:
        folder = Path() if file.patient else Path(os.path.abspath(file.path)).parent
        groups.setdefault((file.patient, folder), []).append(file.path)
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


def _name_scans(scans: Sequence[AnyScan]) -> list[AnyScan]:
    """The scans with unique names, upper and lower case being the same, that can be folder names.

    Scans of the same name get the names of their folders in addition. A scan without a patient's name
    is a patient of the scan's name.
    """
    labels = distinct_names([_path_for_name(scan) for scan in scans])
    names_in_use = {name.casefold() for name in RESULT_FILES}
    named: list[AnyScan] = []
    for scan, label in zip(scans, labels, strict=True):
        stem = safe_name(label)
        name, number = stem, 1
        while name.casefold() in names_in_use:
            number += 1
            name = f"{stem}_{number}"
        names_in_use.add(name.casefold())
        named.append(replace(scan, name=name, patient=scan.patient or label))
    return named


def _path_for_name(scan: AnyScan) -> Path:
    """The path of a scan if it were a folder of its own name beside its source."""
    source = Path(os.path.abspath(scan.source))
    if isinstance(scan, PictureScan):
        return source.parent / scan.name if not scan.patient else source / scan.name
    return (source.parent if isinstance(scan, NiftiScan) else source) / scan.name
