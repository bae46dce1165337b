"""Which scan is whose: paths as they were given name and group; one odd file never stops another."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from drawn_scans import (
    AXIAL,
    Predict,
    chest_picture,
    drawn,
    grid,
    series_affine,
    write_series,
    write_volume,
)
from PIL import Image

from mgajax.errors import DataError
from mgajax.imaging.file_kinds import FileKind, file_kind
from mgajax.inference.inputs import find_scans
from mgajax.inference.problems import RESEARCH_USE, Problems

AFFINE = series_affine(AXIAL, spacing=(1.5, 1.5), step=(0, 0, -4))
VALUES, BALL = drawn(grid(AFFINE, (48, 48, 3)), centre=(-25, -35, 96), radius=7.0)


def picture(path: Path, value: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(chest_picture(24, 30, tissue=value)).save(path)
    return path


def scans_of(*inputs: Path, unpacked: Path) -> tuple[dict[str, str], list[str]]:
    """Names with patients, and problems."""
    problems = Problems()
    unpacked.mkdir(exist_ok=True)
    scans = find_scans(inputs, unpacked=unpacked, turn="none", problems=problems)
    return {scan.name: scan.patient for scan in scans}, [str(problem) for problem in problems.noted]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_volumes_of_equal_name_are_distinguished_by_their_folders(
    run: Predict, tmp_path: Path
) -> None:
    for patient in ("s0001", "s0002"):
        write_volume(tmp_path / "in" / patient / "ct.nii.gz", VALUES, AFFINE)
    for patient in ("P1", "P2"):
        picture(tmp_path / "in" / patient / "CT" / "1.png")
    run(tmp_path / "in")
    table = {row["scan"]: row for row in rows(tmp_path / "out" / "scans.csv")}
    assert {name: row["patient"] for name, row in table.items()} == {
        "P1_CT": "P1/CT",
        "P2_CT": "P2/CT",
        "s0001_ct": "s0001/ct",
        "s0002_ct": "s0002/ct",
    }
    assert table["s0002_ct"]["source"] == str(tmp_path / "in" / "s0002" / "ct.nii.gz")
    slices = rows(tmp_path / "out" / "slices.csv")
    assert slices[0]["source"] == str(tmp_path / "in" / "P1" / "CT" / "1.png")


def test_a_patient_with_two_scans_has_one_row_a_patient(run: Predict, tmp_path: Path) -> None:
    for number in (3, 4):
        write_series(tmp_path / "in" / str(number), VALUES, AFFINE, SeriesNumber=number)
    write_series(tmp_path / "in" / "other", VALUES, AFFINE, patient="other")
    run(tmp_path / "in")
    scans = rows(tmp_path / "out" / "scans.csv")
    assert [row["scan"] for row in scans] == ["drawn_series3", "drawn_series4", "other_series4"]
    two, single = rows(tmp_path / "out" / "patients.csv")
    assert (two["patient"], two["scans"], two["slices"]) == ("drawn", "2", "6")
    assert two["scan"] == "drawn_series3; drawn_series4"
    assert (two["lesion_ml"], single["lesion_ml"]) == ("", scans[2]["lesion_ml"])
    assert two["COVID-19"] == scans[0]["COVID-19"]


def test_series_without_a_patient_are_named_by_their_folders(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_series(tmp_path / folder, VALUES, AFFINE, PatientID=None)
    scans, _ = scans_of(tmp_path / "a", tmp_path / "b", unpacked=tmp_path / "unpacked")
    assert scans == {"a_series4": "a_series4", "b_series4": "b_series4"}


def test_links_count_by_their_own_names(tmp_path: Path) -> None:
    """As git-annex, hub caches and people make them."""
    store = [picture(tmp_path / "blobs" / f"sha{n}.png", 90 + n) for n in range(3)]
    folder = tmp_path / "in"
    for patient, name, target in (
        ("p1", "1.png", store[0]),
        ("p1", "2.png", store[1]),
        ("p2", "1.png", store[2]),
        ("p3", "1.png", store[2]),
    ):
        (folder / patient).mkdir(parents=True, exist_ok=True)
        (folder / patient / name).symlink_to(target)
    elsewhere = picture(tmp_path / "elsewhere" / "p4" / "1.png").parent
    (folder / "p4").symlink_to(elsewhere)
    (folder / "p4" / "again").symlink_to(folder)
    scans, problems = scans_of(folder, folder / "p1", unpacked=tmp_path / "unpacked")
    assert scans == {name: name for name in ("p1", "p2", "p3", "p4")}
    assert not problems


def test_a_link_to_itself_is_one_line(run: Predict, tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").symlink_to(tmp_path / "in" / "b.png")
    result = run(tmp_path / "in")
    assert [scan.name for scan in result.scans] == ["in"]
    (problem,) = result.problems
    assert "b.png: cannot be read (Too many levels of symbolic links)" in problem.text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbfa.png\n", ""),
        (b"a.png\r\n", ""),
        (b"a.png\nb\0.png\n", "b\\x00.png: cannot be read (embedded null byte)"),
        (b"a.png\n" + b"x" * 5000 + b".png\n", "cannot be read (File name too long)"),
        (b"a.png\n\xb2\xe2.png\n", "cannot be read (No such file or directory)"),
        (b"a.png\nlist.txt\n", "a list in a list"),
    ],
)
def test_lists_as_they_come(run: Predict, tmp_path: Path, content: bytes, expected: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "list.txt").write_bytes(content)
    result = run(tmp_path / "list.txt")
    assert [scan.slices[0].name for scan in result.scans] == ["a.png"]
    assert len(result.problems) == bool(expected)
    assert all(expected in problem.text for problem in result.problems)


def test_names_that_are_not_utf_8(run: Predict, tmp_path: Path) -> None:
    """As unzip leaves names in GBK."""
    folder = tmp_path / os.fsdecode(b"\xb2\xa1\xc8\xcb1")
    picture(folder / os.fsdecode(b"\xb2\xe2.png"))
    (scan,) = run(folder).scans
    (row,) = rows(tmp_path / "out" / "slices.csv")
    assert row["file"] == r"\udcb2\udce2.png"
    assert (tmp_path / "out" / scan.name / "index.html").exists()
    (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore")  # pydicom's, of the long identifier
def test_names_of_results_and_of_any_length(run: Predict, tmp_path: Path) -> None:
    for name in ("patients.csv", "index.html", "Index.HTML2"):
        picture(tmp_path / "in" / name / "1.png")
    write_series(tmp_path / "in" / "dicom", VALUES, AFFINE, PatientID="7" * 300)
    scans = [scan.name for scan in run(tmp_path / "in").scans]
    assert scans[:3] == ["Index.HTML2", "index.html_2", "patients.csv_2"]
    assert scans[3].startswith("7" * 50)
    longest = rows(tmp_path / "out" / "patients.csv")[3]
    assert longest["patient"] == "7" * 300


def test_its_own_results_are_skipped(run: Predict, tmp_path: Path) -> None:
    picture(tmp_path / "in" / "p1" / "1.png")
    first = run(tmp_path / "in", out="in/results")
    result = run(tmp_path / "in", out="again")
    assert [scan.name for scan in result.scans] == [scan.name for scan in first.scans] == ["p1"]
    assert [str(problem) for problem in result.problems] == [
        f"passed over: {tmp_path / 'in' / 'results'}: the results of an earlier prediction"
    ]
    assert json.loads((tmp_path / "again" / "predict.json").read_text())["use"] == RESEARCH_USE


def test_other_files_are_counted_in_a_line(run: Predict, tmp_path: Path) -> None:
    picture(tmp_path / "in" / "1.png")
    for name in ("a.json", "b.json", "README", "Thumbs.db", "desktop.ini", ".DS_Store"):
        (tmp_path / "in" / name).write_bytes(b"{}")
    (problem,) = run(tmp_path / "in").problems
    assert problem.kind == "passed over"
    assert "3 files, no picture, NIfTI or DICOM (.json 2, no suffix 1)" in problem.text


def test_a_fault_of_one_scan_leaves_the_others(run: Predict, tmp_path: Path, monkeypatch) -> None:
    from mgajax.inference import scanning

    for name in ("a", "b"):
        picture(tmp_path / "in" / name / "1.png")
    warnings = scanning.find_oddities
    calls = iter([True, False])

    def failing(*arguments, **options):
        if next(calls):
            raise ZeroDivisionError("planted")
        return warnings(*arguments, **options)

    monkeypatch.setattr(scanning, "find_oddities", failing)
    result = run(tmp_path / "in")
    assert [scan.name for scan in result.scans] == ["b"]
    (problem,) = result.problems
    assert "in/a, scan a: ZeroDivisionError (planted)" in problem.text
    assert not (tmp_path / "out" / "a").exists()


def encoded(values: np.ndarray, form: str, **options: Any) -> Any:
    return lambda path: Image.fromarray(values).save(path, format=form, **options)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
def test_pictures_are_recognised_by_content(tmp_path: Path, form: str) -> None:
    for name in ("a", "a.img", "a.txt.png"):
        encoded(np.full((9, 9), 7, np.uint8), form)(tmp_path / name)
        assert file_kind(tmp_path / name) is FileKind.PICTURE


def test_volumes_and_series_are_recognised_by_content(tmp_path: Path) -> None:
    for image in (nib.Nifti1Image(VALUES, AFFINE), nib.Nifti2Image(VALUES, AFFINE)):
        nib.save(image, tmp_path / "a.nii.gz")
        (tmp_path / "a.nii.gz").rename(tmp_path / "a.bin")
        assert file_kind(tmp_path / "a.bin") is FileKind.NIFTI
    (path, *_) = write_series(tmp_path, VALUES, AFFINE)
    bare = tmp_path / "bare"
    bare.write_bytes(path.read_bytes()[132:])
    assert file_kind(bare) is file_kind(path) is FileKind.DICOM
    for name, content in (("a", b""), ("b", b"plain words, and more of them"), ("c", bytes(600))):
        (tmp_path / name).write_bytes(content)
        assert file_kind(tmp_path / name) is FileKind.OTHER
    (tmp_path / "empty.png").write_bytes(b"")
    assert file_kind(tmp_path / "empty.png") is FileKind.PICTURE


def test_nothing_left_is_an_error_that_names_the_page(run: Predict, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="nothing that could be predicted"):
        run(tmp_path / "a.png")
    assert (tmp_path / "out" / "patients.csv").exists()
