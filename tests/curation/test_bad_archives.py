"""Damaged, incomplete and hostile archives: one clear report each, and the rest is read."""

import contextlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from drawn_archives import (
    ZHAO_COLUMNS,
    afshar_labels,
    afshar_patient,
    picture,
    series,
    write_dicom,
    write_tiff,
    write_zip,
    zhao_workbook,
)
from test_archive_readers import read

from mgajax.curation.archives import READERS
from mgajax.curation.archives.archive import ReadOptions
from mgajax.curation.archives.packed import list_files, zip_members
from mgajax.curation.curate import curate
from mgajax.curation.findings import Finding, Findings
from mgajax.errors import DataError, MgajaxError


def cut(path: Path, *, keep: float) -> None:
    """Leave only the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])


def labelled_series(root: Path, *, positions: tuple[int, ...], n: int = 8) -> list[np.ndarray]:
    volume = series(n)
    afshar_patient(root / "COVID-19 Cases" / "P001", volume)
    afshar_labels(root, [("COVID-19", "P001", positions)])
    return list(volume)


@pytest.mark.parametrize("keep", [0.9, 0.05, 0.0])
def test_truncated_dicom_is_reported_and_skipped(tmp_path: Path, keep: float) -> None:
    """Its neighbours keep their own labels, whether or not its header can still be read."""
    volume = labelled_series(tmp_path, positions=(2, 5))
    cut(tmp_path / "COVID-19 Cases" / "P001" / "IM0003.dcm", keep=keep)
    findings = Findings()
    slices = read("afshar", tmp_path, findings=findings)
    assert list(slices) == ["P001_6.png"]
    np.testing.assert_array_equal(slices["P001_6.png"].values, volume[5])
    (report,) = findings.names(Finding.DAMAGED_SOURCE)
    assert report.startswith("COVID-19 Cases/P001/IM0003.dcm: ")
    assert "download it again" in report
    assert Finding.DAMAGED_SOURCE.is_damage


def test_labels_are_not_guessed_in_a_gappy_series(tmp_path: Path) -> None:
    labelled_series(tmp_path, positions=(2,))
    folder = tmp_path / "COVID-19 Cases" / "P001"
    (folder / "IM0002.dcm").unlink()
    cut(folder / "IM0004.dcm", keep=0)
    with pytest.raises(DataError, match="slice labels cannot be placed"):
        read("afshar", tmp_path)


def test_two_series_in_one_folder(tmp_path: Path) -> None:
    labelled_series(tmp_path, positions=(2,))
    folder = tmp_path / "COVID-19 Cases" / "P001"
    write_dicom(folder / "IM0099.dcm", series(3)[0], instance=2, SliceLocation=-300.0)
    with pytest.raises(DataError, match=r"P001: InstanceNumber does not rise"):
        read("afshar", tmp_path)


def test_missing_label_row(tmp_path: Path) -> None:
    labelled_series(tmp_path, positions=(2,))
    afshar_patient(tmp_path / "COVID-19 Cases" / "P002", series(3))
    findings = Findings()
    assert list(read("afshar", tmp_path, findings=findings)) == ["P001_3.png"]
    (name,) = findings.names(Finding.NO_LABEL_ROW)
    assert "P002" in name


def test_labels_of_another_release_are_refused(tmp_path: Path) -> None:
    labelled_series(tmp_path, positions=(2,))
    np.save(tmp_path / "Slice-level-labels.npy", np.zeros((2, 200), np.int64))
    with pytest.raises(DataError, match=r"2 rows of labels, but Index\.csv lists 1 patient"):
        read("afshar", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "no readable array"), (np.full((1, 9), 7), "expected 0 and 1")]
)
def test_damaged_label_array(tmp_path: Path, content: object, message: str) -> None:
    labelled_series(tmp_path, positions=(2,))
    path = tmp_path / "Slice-level-labels.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    with pytest.raises(DataError, match=message):
        read("afshar", tmp_path)


@pytest.mark.parametrize(
    "member", ["../outside.png", "/etc/outside.png", "a/../../outside.png", "C:\\outside.png",
               "a\\..\\..\\outside.png"],
)  # fmt: skip
def test_zip_with_a_path_outside_is_refused(tmp_path: Path, member: str) -> None:
    raw = tmp_path / "raw"
    bad = write_zip(raw / "CT_COVID.zip", {"CT_COVID/a.png": picture("PNG"), member: b"x"})
    good = write_zip(raw / "other.zip", {"CT_COVID/b.png": picture("PNG")})
    with pytest.raises(DataError, match="refused, its member"):
        zip_members(bad)
    findings = Findings()
    assert [file.path for file in list_files(raw, findings=findings)] == [good]
    (report,) = findings.names(Finding.REFUSED_ARCHIVE)
    assert "outside.png" in report
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["CT_COVID.zip", "other.zip", "raw"]


def test_damaged_zip(tmp_path: Path) -> None:
    zip_path = write_zip(tmp_path / "CT_COVID.zip", {"CT_COVID/a.png": picture("PNG")})
    cut(zip_path, keep=0.5)
    findings = Findings()
    assert list_files(tmp_path, findings=findings) == []
    assert "a damaged zip" in findings.names(Finding.REFUSED_ARCHIVE)[0]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_member_of_a_zip(tmp_path: Path, compression: int) -> None:
    """A damaged stream inside a zip costs one picture."""
    pictures = {f"CT_COVID/{name}.png": picture("PNG", seed=k) for k, name in enumerate("ab")}
    path = write_zip(tmp_path / "CT_COVID.zip", pictures, compression=compression)
    content = bytearray(path.read_bytes())
    content[60:200] = bytes(140)
    path.write_bytes(content)
    rows = [{"File name": name, "Patient ID": "Patient 1"} for name in "ab"]
    zhao_workbook(tmp_path / "COVID-CT-MetaInfo.xlsx", rows)
    findings = Findings()
    assert list(read("zhao", tmp_path, findings=findings)) == ["17_Zhao_b.png"]
    assert "damaged in its zip" in findings.names(Finding.DAMAGED_SOURCE)[0]


@pytest.mark.parametrize("missing", ["File name", "Patient ID"])
def test_xlsx_with_a_missing_column(tmp_path: Path, missing: str) -> None:
    (tmp_path / "CT_COVID").mkdir()
    (tmp_path / "CT_COVID" / "a.png").write_bytes(picture("PNG"))
    columns = [name for name in ZHAO_COLUMNS if name != missing]
    zhao_workbook(tmp_path / "COVID-CT-MetaInfo.xlsx", [], columns=columns)
    key = missing.lower().replace(" ", "_")
    with pytest.raises(DataError, match=rf"COVID-CT-MetaInfo\.xlsx: no column {key}; found "):
        read("zhao", tmp_path)


def test_xlsx_that_is_none_or_missing(tmp_path: Path) -> None:
    (tmp_path / "CT_COVID").mkdir()
    (tmp_path / "CT_COVID" / "a.png").write_bytes(picture("PNG"))
    with pytest.raises(DataError, match="xlsx is missing"):
        read("zhao", tmp_path)
    (tmp_path / "COVID-CT-MetaInfo.xlsx").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="no readable XLSX"):
        read("zhao", tmp_path)


def test_two_different_workbooks(tmp_path: Path) -> None:
    (tmp_path / "CT_COVID").mkdir()
    (tmp_path / "CT_COVID" / "a.png").write_bytes(picture("PNG"))
    for name in "xy":
        row = {"File name": "a.png", "Patient ID": f"Patient {name}"}
        zhao_workbook(tmp_path / name / "COVID-CT-MetaInfo.xlsx", [row])
    with pytest.raises(DataError, match="differ; keep the one of your release"):
        read("zhao", tmp_path)


@pytest.mark.parametrize("damage", ["cut", "header", "colour", "html"])
def test_damaged_tiff(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "137covid" / "patient1" / "SR_4"
    paths = [write_tiff(folder / f"IM0000{k}.tif", plane) for k, plane in enumerate(series(2))]
    if damage == "colour":
        tifffile.imwrite(paths[0], np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    elif damage == "html":
        paths[0].write_bytes(b"<html>too many downloads</html>")
    else:
        cut(paths[0], keep=0.5 if damage == "cut" else 0.005)
    (tmp_path / "all.csv").write_text(
        "filename,class\n"
        + "".join(f"137covid_patient1_SR_4_IM0000{k}.tif,covid\n" for k in (0, 1))
    )
    findings = Findings()
    slices = read("rahimzadeh", tmp_path, findings=findings)
    assert list(slices) == ["6_Rahimzadeh_137covid_patient1_SR_4_IM00001.png"]
    (report,) = findings.names(Finding.DAMAGED_SOURCE)
    assert report.startswith("137covid/patient1/SR_4/IM00000.tif: ")


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """It vanished, or its disk fails, after the files were listed."""
    folder = tmp_path / "137covid" / "patient1" / "SR_4"
    path = write_tiff(folder / "IM00000.tif", series(1)[0])
    findings = Findings()
    (unit,) = READERS["rahimzadeh"](
        list_files(tmp_path, findings=findings), options=ReadOptions(), findings=findings
    )
    path.unlink()
    assert list(unit.read(findings)) == []
    (report,) = findings.names(Finding.DAMAGED_SOURCE)
    assert (
        report == "137covid/patient1/SR_4/IM00000.tif: cannot be read (No such file or directory)"
    )


def test_cohen_table_without_its_names(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("patientid,view\n1,Axial\n")
    with pytest.raises(DataError, match=r"metadata\.csv: no column filename"):
        read("cohen", tmp_path)


def test_raw_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        list_files(tmp_path / "nowhere", findings=Findings())


@pytest.mark.parametrize("seed", range(3))
def test_random_damage_is_always_reported(tmp_path: Path, seed: int) -> None:
    """Whatever bytes change in whatever file, a curation ends well or with an error of ours."""
    rng = np.random.default_rng(seed)
    raw = tmp_path / "raw"
    labelled_series(raw / "COVID-CT-MD", positions=(1, 2), n=4)
    write_tiff(raw / "COVID-CTset" / "137covid" / "patient1" / "SR_4" / "IM00001.tif", series(1)[0])
    (raw / "COVID-CTset" / "all.csv").write_text(
        "filename,class\n137covid_patient1_SR_4_IM00001.tif,covid\n"
    )
    write_zip(raw / "COVID-CT" / "x.zip", {"CT_COVID/a.png": picture("PNG")})
    zhao_workbook(
        raw / "COVID-CT" / "COVID-CT-MetaInfo.xlsx", [{"File name": "a", "Patient ID": "Patient 1"}]
    )
    files = [path for path in sorted(raw.rglob("*")) if path.is_file()]
    for trial in range(12):
        path = files[rng.integers(len(files))]
        whole = path.read_bytes()
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)] if trial % 3 == 0 else whole)
        for at in rng.integers(0, len(damaged), 10):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(MgajaxError):
            curate(raw, out=tmp_path / str(trial))
        path.write_bytes(whole)
    assert curate(raw, out=tmp_path / "whole").slices == 4
