"""The odd files that pydicom and nibabel ship for their own tests, one by one and all in a folder."""

import re
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_rescale

from mgajax.imaging.geometry import AS_IT_IS
from mgajax.inference.dicom_series import DicomScan
from mgajax.inference.inputs import LISTS, AnyScan, find_scans
from mgajax.inference.problems import Problem, Problems
from mgajax.inference.scans import Plane

FOLDERS = [
    Path(pydicom.__file__).parent / "data" / "test_files",
    Path(nibabel.__file__).parent / "tests" / "data",
]

CAUGHT = re.compile(r"\b\w*(Error|Exception)\b.*the rest is done")
"""What a guard says of a fault that nobody foresaw."""


def shipped() -> list[Path]:
    """All but texts, which would be read as lists of files."""
    files = [path for folder in FOLDERS for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in files if path.suffix not in LISTS)


def read(path: Path, *, unpacked: Path) -> tuple[list[tuple[AnyScan, list[Plane]]], list[Problem]]:
    """Scans with their planes, and the problems."""
    problems = Problems()
    scans = find_scans([path], unpacked=unpacked, turn="none", problems=problems)
    return [(scan, list(scan.planes(problems))) for scan in scans], problems.noted


@pytest.mark.slow(
    finds="a traceback, a wrong value or silence over the odd files of other packages"
)
def test_each_file_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    slices = 0
    for path in shipped():
        scans, problems = read(path, unpacked=tmp_path)
        lines = [problem for problem in problems if problem.kind == "left out"]
        assert not [str(item) for item in problems if CAUGHT.search(str(item))]
        assert all("\n" not in str(item) and str(path) in str(item) for item in problems), path
        planes = [plane for _, scan_planes in scans for plane in scan_planes]
        assert len(lines) == (not planes), (path, problems)
        for scan, scan_planes in scans:
            if isinstance(scan, DicomScan):
                slices += len(scan_planes)
                assert all(_is_rescaled(scan, plane) for plane in scan_planes), path
    assert slices >= 3


@pytest.mark.slow(finds="one odd file of a folder that ends the call or changes another one's scan")
def test_all_in_one_folder_are_read_as_one_by_one(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for source in FOLDERS:
        (folder / source.parent.parent.name).parent.mkdir(exist_ok=True)
        (folder / source.parent.parent.name).symlink_to(source)
    scans, problems = read(folder, unpacked=tmp_path)
    assert not [str(problem) for problem in problems if CAUGHT.search(str(problem))]
    planes = sum(len(scan_planes) for _, scan_planes in scans)
    assert planes >= 10
    for scan, scan_planes in scans:
        if isinstance(scan, DicomScan):
            assert all(_is_rescaled(scan, plane) for plane in scan_planes)


def _is_rescaled(scan: DicomScan, plane: Plane) -> bool:
    """Whether a plane holds pydicom's own values of its file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(plane.path, force=True)
        expected = apply_rescale(data.pixel_array, data)
    assert plane.exif_view == AS_IT_IS
    return np.array_equal(scan.view.store(plane.values), expected)
