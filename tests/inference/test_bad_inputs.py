"""Bad input: a clear line each, the good files are still done, and the exit code says so."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from drawn_scans import (
    AXIAL,
    WINDOW,
    Predict,
    chest_picture,
    drawn,
    grid,
    read_header,
    series_affine,
    write_series,
)
from PIL import Image

from mgajax.cli import main
from mgajax.errors import ConfigError, DataError

STEP = (0, 0, -4)


def series(folder: Path, *, slices: int = 5, **options: object) -> list[Path]:
    """An axial series with a ball of lesion in its middle."""
    affine = series_affine(AXIAL, spacing=(1.5, 1.5), step=STEP)
    where = grid(affine, (64, 64, slices))
    middle = where.reshape(-1, 3).mean(axis=0)
    values, _ = drawn(where, centre=middle, radius=7.0)
    return write_series(folder, values, affine, **options)


def picture(path: Path, value: int = 90) -> Path:
    pixels = chest_picture(40, 50, tissue=value)
    pixels[10:16, 20:30] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith(("left out", "odd"))
    ]


def test_everything_at_once_is_a_line_each_and_the_rest_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "given"
    series(folder / "dicom", patient="whole")
    colour = folder / "dicom" / "colour.dcm"
    data = read_header(series(tmp_path / "spare", slices=1)[0])
    data.SamplesPerPixel, data.PhotometricInterpretation = 3, "RGB"
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.save_as(colour, enforce_file_format=True)
    cut = series(folder / "cut", patient="cut")[2]
    cut.write_bytes(cut.read_bytes()[:-3000])
    picture(folder / "slices" / "a.png")
    (folder / "slices" / "b.png").write_bytes(b"")
    (folder / "slices" / "c.png").write_bytes((folder / "slices" / "a.png").read_bytes()[:-40])
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 4, 3), np.int16), np.eye(4)), folder / "four.nii.gz")
    (folder / "cut.nii").write_bytes(bytes(100))
    (folder / "notes.md").write_text("passed over")
    out = tmp_path / "out"
    words = ["--classifier", "classifier", "--segmenter", "finder", "--attribution", "none"]
    words += ["--window", WINDOW, "--input", str(folder), "--out", str(out)]
    assert main(["predict", *words]) == 3
    messages = lines(capsys)
    for expected in (
        "colour.dcm: a colour picture (secondary capture)",
        f"{cut}: no complete DICOM slice",
        "b.png: 0 bytes that are no complete picture",
        "c.png: ",
        "four.nii.gz: dimensions 8 x 8 x 4 x 3, expected three",
        "cut.nii: no complete NIfTI volume",
    ):
        assert sum(expected in line for line in messages) == 1, expected
    assert len(messages) == 6
    rows = (out / "slices.csv").read_text().splitlines()[1:]
    counts = {
        name: sum(row.startswith(name) for row in rows) for name in ("whole", "cut", "slices")
    }
    assert counts == {"whole": 5, "cut": 4, "slices": 1}
    assert (out / "slices" / "masks" / "a.png").exists()
    assert (out / "whole_series4" / "lesion.dcm").exists()
    assert not list(out.glob(".*"))


def test_mixed_series_are_reported_and_separated(run: Predict, tmp_path: Path, capsys) -> None:
    first = series(tmp_path / "mixed", patient="one")
    for path in first:
        path.rename(path.with_name(f"one_{path.name}"))
    series(tmp_path / "mixed", patient="two", slices=3)
    result = run(tmp_path / "mixed")
    assert {(scan.patient, len(scan.slices)) for scan in result.scans} == {("one", 5), ("two", 3)}
    (line,) = lines(capsys)
    assert line == f"odd: {tmp_path / 'mixed'}: 2 series in one folder; each is one scan"


def test_missing_slices_are_counted(run: Predict, tmp_path: Path, capsys) -> None:
    paths = series(tmp_path / "torn", slices=9)
    for place in (3, 4, 7):
        paths[place].unlink()
    (scan,) = run(tmp_path / "torn").scans
    assert len(scan.slices) == 6
    (line,) = lines(capsys)
    assert "3 slices missing in 2 places, first between 92 and 80 mm (step 4 mm)" in line


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"Modality": "MR"}, "modality MR, expected CT"),
        ({"NumberOfFrames": 2}, "2 frames in one file"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
        ({"ImagePositionPatient": None}, "no ImagePositionPatient"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "not axial"),
        ({"SliceThickness": 1.0}, "slices of 1 mm lie 4 mm apart"),
    ],
)
def test_other_objects_are_reported(
    run: Predict, tmp_path: Path, capsys, elements, expected
) -> None:
    good = series(tmp_path / "good", patient="good")
    series(tmp_path / "other", slices=2, **elements)
    result = run(tmp_path / "good", tmp_path / "other")
    assert result.scans[-1].patient in ("good", "drawn")
    assert sum(len(scan.slices) for scan in result.scans if scan.patient == "good") == len(good)
    messages = lines(capsys)
    assert messages
    assert all(expected in line for line in messages)


def test_two_slices_at_one_position(run: Predict, tmp_path: Path, capsys) -> None:
    paths = series(tmp_path / "twice")
    copy = paths[1].with_name("copy.dcm")
    copy.write_bytes(paths[1].read_bytes())
    (scan,) = run(tmp_path / "twice").scans
    assert len(scan.slices) == 5
    (line,) = lines(capsys)
    assert "copy.dcm: lies where" in line


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"])
def test_compressed_pixels_are_the_same_pixels(run: Predict, tmp_path: Path, syntax: str) -> None:
    series(tmp_path / "plain")
    series(tmp_path / "packed", syntax=syntax)
    plain, packed = (
        run(tmp_path / name, out=f"out_{name}").scans[0] for name in ("plain", "packed")
    )
    for slice_, other in zip(plain.slices, packed.slices, strict=True):
        np.testing.assert_array_equal(slice_.members, other.members)
        assert slice_.lesion_pixels == other.lesion_pixels
    assert plain.lesion_pixels


def test_paths_without_rights(run: Predict, tmp_path: Path, capsys, monkeypatch) -> None:
    closed = picture(tmp_path / "closed.png")
    good = picture(tmp_path / "good" / "a.png")
    folder = tmp_path / "folder"
    folder.mkdir()
    ways = Path.open, os.scandir

    def opened(path: Path, *words: object, **options: object):
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return ways[0](path, *words, **options)

    def scanned(path):
        if str(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return ways[1](path)

    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(os, "scandir", scanned)
    result = run(closed, folder, good, tmp_path / "absent.png")
    assert len(result.scans) == 1
    assert lines(capsys) == [
        f"left out: {closed}: cannot be read (Permission denied)",
        f"left out: {folder}: cannot be read (Permission denied)",
        f"left out: {tmp_path / 'absent.png'}: cannot be read (No such file or directory)",
    ]


def test_a_list_names_files_and_patients(run: Predict, tmp_path: Path, capsys) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / "all" / f"{name}.png")
    listed = tmp_path / "all" / "list.txt"
    listed.write_text("a.png\tfirst\n\nb.png\tsecond\nc.png\tfirst\nnone.png\tfirst\nlist.txt\n")
    result = run(listed)
    assert {scan.patient: [slice_.name for slice_ in scan.slices] for scan in result.scans} == {
        "first": ["a.png", "c.png"],
        "second": ["b.png"],
    }
    messages = lines(capsys)
    assert "none.png: cannot be read" in messages[0]
    assert "list.txt: a list in a list" in messages[1]


def test_nothing_at_all_is_an_error(run: Predict, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="nothing that could be predicted"):
        run(tmp_path / "empty")
    with pytest.raises(ConfigError, match="not an empty folder"):
        run(tmp_path / "empty")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"threshold": 1.0}, "--threshold"),
        ({"batch_size": 0}, "--batch_size"),
        ({"attribution": "attention"}, "--attribution"),
    ],
)
def test_settings_that_cannot_be(run: Predict, tmp_path: Path, settings, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        run(tmp_path, **settings)


def test_runs_of_the_other_task(tmp_path: Path, capsys) -> None:
    words = ["--input", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["predict", "--classifier", "finder", *words]) == 2
    assert "--classifier finder" in capsys.readouterr().err
