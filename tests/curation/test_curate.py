"""A whole curation of drawn archives: files written, resuming, errors."""

import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from drawn_archives import (
    afshar_labels,
    afshar_patient,
    picture,
    series,
    write_dicom,
    zhao_workbook,
    zipped,
)
from drawn_nifti import morozov_archive
from drawn_volumes import chest

from mgajax.curation.archives.archive import ReadOptions
from mgajax.curation.catalogue import read_catalogue
from mgajax.curation.curate import CurationReport, CurationSettings, curate
from mgajax.curation.selection import Ruling
from mgajax.errors import ConfigError, DataError
from mgajax.imaging.pictures import decode_picture
from mgajax.imaging.windows import Window
from mgajax.schema import CLASS_NAMES

CAP = 2


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """COVID-CT-MD (two classes), MosMedData and a zipped COVID-CT."""
    root = tmp_path / "raw"
    md = root / "COVID-CT-MD"
    afshar_patient(md / "COVID-19 subjects" / "P001", series(6))
    afshar_patient(md / "Cap subjects" / "cap006", series(5))
    afshar_labels(md, [("COVID-19", "P001", (2, 4)), ("CAP", "cap006", (1,))])
    morozov_archive(root / "MosMedData")
    pictures = tmp_path / "drawn" / "CT_COVID"
    pictures.mkdir(parents=True)
    (pictures / "a%1.png").write_bytes(picture("PNG", mode="RGBA"))
    zipped(pictures.parent, root / "COVID-CT" / "CT_COVID.zip")
    row = {"File name": "a%1.png", "Patient ID": "Patient 3", "Age": 50, "Gender": "F"}
    zhao_workbook(root / "COVID-CT" / "COVID-CT-MetaInfo.xlsx", [row])
    return root


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def contents(out: Path) -> Mapping[str, bytes]:
    """Everything written but the summary, which counts what earlier runs had finished."""
    files = (path for path in out.rglob("*") if path.is_file() and path.name != "summary.json")
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def groups(report: CurationReport) -> dict[str, int]:
    return dict(report.by_group)


def test_the_published_layout_is_written_and_read(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = curate(raw, out=out)
    assert groups(report) == {
        "CAP/afshar": 1,
        "COVID-19/afshar": 2,
        "COVID-19/morozov": 3,
        "COVID-19/zhao": 1,
        "Normal/morozov": 40,
    }
    assert (report.masked, report.patients, report.skipped) == (3, 6, 0)
    catalogue = read_catalogue(out, max_damage_share=0.0)
    assert len(catalogue.records) == report.slices == 47
    assert catalogue.report.masked == 3
    records = {record.file_name: record for record in catalogue.records}
    assert records["cp007_2.png"].label == CAP
    assert records["P001_3.png"].age == 39
    assert records["17_Zhao_a%1.png"].patient == "zhao/Zhao_Patient 3"
    assert json.loads((out / "summary.json").read_text())["slices"] == 47


def test_catalogue_says_how_each_slice_was_made(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    curate(raw, out=out, settings=CurationSettings(window=Window(-600.0, 1500.0)))
    rows = {row["file_name"]: row for row in table(out / "catalogue.csv")}
    stored = pyarrow.parquet.read_table(out / "catalogue.parquet").to_pylist()
    assert [row["file_name"] for row in stored] == list(rows)
    row = rows["P001_5.png"]
    assert row["origin"] == "COVID-CT-MD/COVID-19 subjects/P001/IM0005.dcm"
    assert (row["slice_index"], row["position"], row["selection"]) == ("5", "4", "slice label")
    assert (row["rendering"], row["low"], row["high"]) == ("-600/1500", "-1350", "150")
    assert row["patient"] == "afshar/P001"
    assert json.loads(row["metadata"])["KVP"] == "110"
    for record in stored:
        content = (out / record["picture"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == record["sha256"]
        assert not record["mask"] or (out / record["mask"]).is_file()
        assert record["class_name"] in CLASS_NAMES
    zhao = rows["17_Zhao_a%1.png"]
    assert (zhao["rendering"], zhao["slice_index"]) == ("as published", "")
    assert zhao["origin"] == "COVID-CT/CT_COVID.zip!CT_COVID/a%1.png"
    lesioned = rows["16_Morozov_study_0255_13.png"]
    assert 0 < float(lesioned["lesion_share"]) < 1


def test_processes_write_what_one_process_writes(raw: Path, tmp_path: Path) -> None:
    curate(raw, out=tmp_path / "one")
    curate(raw, out=tmp_path / "many", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_a_finished_curation_is_not_repeated(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = curate(raw, out=out)
    before = contents(out)
    stamps = {path: path.stat().st_mtime_ns for path in (out / "curated_data").rglob("*.png")}
    again = curate(raw, out=out)
    assert again.skipped == again.units == first.units
    assert contents(out) == before
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def test_an_interrupted_curation_resumes(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curate(raw, out=tmp_path / "whole")
    out = tmp_path / "out"
    written = 0

    def interrupting(content: bytes, path: Path, **options: Any) -> None:
        nonlocal written
        written += 1
        if written == 20:
            raise KeyboardInterrupt
        real(content, path, **options)

    from mgajax.curation import curate as module

    real = module.write_bytes
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_bytes", interrupting)
        with pytest.raises(KeyboardInterrupt):
            curate(raw, out=out)
    assert not (out / "catalogue.csv").exists()
    report = curate(raw, out=out)
    assert 0 < report.skipped < report.units
    assert contents(out) == contents(tmp_path / "whole")


def test_lost_or_changed_files_are_made_again(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    curate(raw, out=out)
    (out / "curated_data" / "2COVID" / "P001_3.png").unlink()
    assert curate(raw, out=out).skipped == 5
    assert (out / "curated_data" / "2COVID" / "P001_3.png").is_file()
    afshar_labels(raw / "COVID-CT-MD", [("COVID-19", "P001", (2,)), ("CAP", "cap006", (1,))])
    report = curate(raw, out=out)
    assert report.skipped == report.units - 1
    assert groups(report)["COVID-19/afshar"] == 1
    assert not (out / "curated_data" / "2COVID" / "P001_5.png").exists()


def test_a_replaced_file_is_read_again(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    curate(raw, out=out)
    path = raw / "COVID-CT-MD" / "COVID-19 subjects" / "P001" / "IM0003.dcm"
    write_dicom(path, series(6)[0], instance=3)
    zipped(tmp_path / "drawn", raw / "COVID-CT" / "CT_COVID.zip")
    report = curate(raw, out=out)
    assert report.skipped == report.units - 1, "the zip is new, and what it holds is not"
    rows = {row["file_name"]: row for row in table(out / "catalogue.csv")}
    stored = (out / rows["P001_3.png"]["picture"]).read_bytes()
    assert hashlib.sha256(stored).hexdigest() == rows["P001_3.png"]["sha256"]


def test_damage_is_skipped_counted_and_repaired(raw: Path, tmp_path: Path) -> None:
    path = raw / "COVID-CT-MD" / "COVID-19 subjects" / "P001" / "IM0003.dcm"
    whole = path.read_bytes()
    path.write_bytes(whole[:600])
    out = tmp_path / "out"
    report = curate(raw, out=out)
    assert groups(report)["COVID-19/afshar"] == 1
    summary = json.loads((out / "summary.json").read_text())
    assert summary["damaged"] == summary["findings"]["damaged_source_file"]["count"] == 1
    path.write_bytes(whole)
    mended = curate(raw, out=out)
    assert (mended.damaged, groups(mended)["COVID-19/afshar"]) == (0, 2)
    assert mended.skipped == mended.units - 1


def test_a_lost_volume_is_reported(raw: Path, tmp_path: Path) -> None:
    for path in (raw / "COVID-CT-MD" / "Cap subjects" / "cap006").iterdir():
        path.write_bytes(b"")
    report = curate(raw, out=tmp_path / "out", sources=["afshar"])
    assert "CAP/afshar" not in report.by_group
    assert report.findings["damaged_source_file"]["count"] == 6, "five files, and the series"


def test_other_settings_are_refused(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    curate(raw, out=out, sources=["zhao"])
    with pytest.raises(ConfigError, match=r"made with window 'published', not '-600/1500'"):
        curate(raw, out=out, settings=CurationSettings(window=Window(-600.0, 1500.0)))
    more = curate(raw, out=out, sources=["afshar"])
    assert more.slices == 4, "another source is no other setting"


def test_sources_and_raw_folder_are_checked(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"source 'afsar': did you mean 'afshar'"):
        curate(raw, out=tmp_path / "out", sources=["afsar"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="nothing of zhao"):
        curate(tmp_path / "empty", out=tmp_path / "out")
    (tmp_path / "empty" / "CT_COVID.zip").write_bytes(b"PK, cut off")
    with pytest.raises(DataError, match=r"1 zip cannot be read, .*CT_COVID.zip: a damaged zip"):
        curate(tmp_path / "empty", out=tmp_path / "out", sources=["zhao"])


def test_a_volume_without_a_slice_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "COVID-19 subjects" / "P060"
    for at in range(1, 4):
        write_dicom(folder / f"IM{at:04}.dcm", np.full((64, 64), 40, np.int32), instance=at)
    settings = CurationSettings(options=ReadOptions(unlabelled="select"))
    report = curate(tmp_path / "raw", out=tmp_path / "out", settings=settings)
    assert report.slices == 0
    (line,) = report.findings["no_slice_taken"]["examples"]
    assert "3 slices read, none is selected by its source or shows enough lung" in line


def test_linked_folders_are_read_and_clutter_is_not(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "COVID-CT-MD").symlink_to(raw / "COVID-CT-MD")
    (tmp_path / "links" / "again").symlink_to(tmp_path / "links")
    (tmp_path / "links" / "Thumbs.db").write_bytes(b"")
    linked = curate(tmp_path / "links", out=tmp_path / "linked", sources=["afshar"])
    plain = curate(raw, out=tmp_path / "plain", sources=["afshar"])
    assert (linked.slices, linked.by_group) == (plain.slices, plain.by_group)


def test_a_radiologists_word_wins(raw: Path, tmp_path: Path) -> None:
    rulings = {
        "P001_3.png": Ruling(label=1, keep=False),
        "P001_1.png": Ruling(label=0, keep=True),
    }
    report = curate(
        raw, out=tmp_path / "out", sources=["afshar"], settings=CurationSettings(rulings=rulings)
    )
    assert groups(report) == {"CAP/afshar": 1, "COVID-19/afshar": 1, "Normal/afshar": 1}
    rows = {row["file_name"]: row for row in table(tmp_path / "out" / "catalogue.csv")}
    assert rows["P001_1.png"]["selection"] == "radiologist"
    assert (tmp_path / "out" / "curated_data" / "1NonCOVID" / "P001_1.png").is_file()


def test_unlabelled_volumes_are_selected_by_their_lungs(tmp_path: Path) -> None:
    volume = np.clip(np.moveaxis(chest(depth=21), 2, 0), -1024, 3000).astype(np.int32)
    folder = tmp_path / "raw" / "COVID-19 subjects" / "P060"
    for at, plane in enumerate(volume, start=1):
        write_dicom(folder / f"IM{at:04}.dcm", plane, instance=at)
    settings = CurationSettings(options=ReadOptions(unlabelled="select"))
    report = curate(tmp_path / "raw", out=tmp_path / "out", settings=settings)
    rows = table(tmp_path / "out" / "catalogue.csv")
    positions = sorted(int(row["position"]) for row in rows)
    assert 0 < report.slices < 21
    assert positions[0] > 0, "the first slice shows no lung"
    assert positions[-1] < 20
    assert {row["selection"] for row in rows} == {"lung"}


def test_upright_turns_and_records(raw: Path, tmp_path: Path) -> None:
    from drawn_nifti import medseg_archive

    medseg_archive(raw / "MedSeg")
    for orientation in ("published", "upright"):
        settings = CurationSettings(orientation=orientation)
        curate(raw, out=tmp_path / orientation, sources=["medseg", "afshar"], settings=settings)
    rows = table(tmp_path / "upright" / "catalogue.csv")
    flipped = {row["source"]: row["is_flipped"] for row in rows}
    assert flipped == {"medseg": "true", "afshar": "false"}
    for row in rows:
        for name in filter(None, (row["picture"], row["mask"])):
            before = decode_picture((tmp_path / "published" / name).read_bytes(), name=name).pixels
            after = decode_picture((tmp_path / "upright" / name).read_bytes(), name=name).pixels
            step = -1 if row["source"] == "medseg" else 1
            np.testing.assert_array_equal(after[::step], before)
