"""Afshar, Zhao, Cohen and Rahimzadeh are read back exactly from archives drawn in their layout."""

import pickle
from pathlib import Path

import numpy as np
import pydicom
import pytest
from drawn_archives import (
    afshar_labels,
    afshar_patient,
    picture,
    series,
    write_dicom,
    write_tiff,
    zhao_workbook,
    zipped,
)
from jaxtyping import Num

from mgajax.curation.archives import READERS
from mgajax.curation.archives.afshar_ids import published_id
from mgajax.curation.archives.afshar_series import lexicographic_rank
from mgajax.curation.archives.archive import RawSlice, ReadOptions
from mgajax.curation.archives.archive_tables import country_of
from mgajax.curation.archives.packed import list_files
from mgajax.curation.findings import Finding, Findings
from mgajax.imaging.pictures import decode_picture
from mgajax.schema import COVID

CAP = 2


def read(
    source: str, root: Path, *, findings: Findings | None = None, **options: object
) -> dict[str, RawSlice]:
    """The slices that a reader takes, by file name; its units are pickled as for a worker."""
    findings = findings or Findings()
    chosen = ReadOptions(**options)
    units = READERS[source](list_files(root, findings=findings), options=chosen, findings=findings)
    slices = [
        slice_ for unit in units for slice_ in pickle.loads(pickle.dumps(unit)).read(findings)
    ]
    assert all(slice_.source == source for slice_ in slices)
    assert len({unit.name for unit in units}) == len(units)
    return {slice_.file_name: slice_ for slice_ in slices}


def stored_values(plane: Num[np.ndarray, "h w"]) -> np.ndarray:
    """What 12 unsigned bits keep of Hounsfield units."""
    return np.clip(plane, -1024, 3071)


@pytest.mark.parametrize("spelling", ["subjects", "Cases"])
@pytest.mark.parametrize("form", ["folders", "zip"])
def test_afshar_labels_names_and_values(tmp_path: Path, spelling: str, form: str) -> None:
    root = tmp_path / "drawn" / "COVID-CT-MD"
    volume, other = series(24), series(21)
    afshar_patient(root / f"COVID-19 {spelling}" / "P051", volume)
    afshar_patient(root / f"Cap {spelling}" / "cap006", other, ranked=True)
    afshar_labels(root, [("COVID-19", "P051", (3, 11)), ("CAP", "cap006", (0, 20))])
    if form == "zip":
        zipped(root.parent, tmp_path / "raw" / "covid-ct-md.zip")
    findings = Findings()
    slices = read("afshar", tmp_path / "raw" if form == "zip" else root.parent, findings=findings)
    # Position q is InstanceNumber q + 1; 12 is the 4th of 1, 10, 11, 12, ... and 4 the 19th of 24.
    assert list(slices) == ["P104_19.png", "P104_4.png", "cp007_1.png", "cp007_14.png"]
    slice_ = slices["P104_4.png"]
    np.testing.assert_array_equal(slice_.values, stored_values(volume[11]))
    assert (slice_.label, slice_.patient_id, slice_.slice_index, slice_.position) == (
        COVID,
        "P104",
        4,
        11,
    )
    assert (slice_.unit, slice_.is_selected_by_source, slice_.reason) == ("HU", True, "slice label")
    assert slice_.metadata["Age"] == "39"
    assert slice_.metadata["mAs"] == "98.4"
    assert slice_.metadata["Last Calibration"] == "2 days 00:00:00.000000000"
    last = slices["cp007_14.png"]
    assert last.label == CAP
    np.testing.assert_array_equal(last.values, stored_values(other[20]))
    assert ("!" in slice_.origin) == (form == "zip")
    assert not findings.damaged()


def test_the_drawn_dicom_is_jpeg_lossless(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", series(3)[1], instance=2)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"


def test_afshar_release_of_2020_keeps_its_ids(tmp_path: Path) -> None:
    afshar_patient(tmp_path / "COVID-19 Cases" / "P058", series(4))
    afshar_patient(tmp_path / "Cap Cases" / "p007", series(4))
    afshar_labels(tmp_path, [("COVID-19", "P058", (1,)), ("CAP", "p007", (2,))])
    assert list(read("afshar", tmp_path)) == ["P058_2.png", "cp007_3.png"]


@pytest.mark.parametrize(
    ("folder", "label", "published"),
    [
        ("P043", COVID, "P043"),
        ("P044", COVID, "P045"),
        ("P049", COVID, "P050"),
        ("P050", COVID, "P058"),
        ("P054", COVID, "P142"),
        ("P058", COVID, "P1058"),
        ("cap005", CAP, "cp005"),
        ("cap006", CAP, "cp007"),
        ("cap025", CAP, "cp026"),
        ("cap026", CAP, "cap1026"),
        ("normal001", 0, "N001"),
        ("normal002", 0, "normal002"),
    ],
)
def test_current_afshar_ids(folder: str, label: int, published: str) -> None:
    assert published_id(folder, label=label, release="current").text == published


def test_all_published_afshar_ids_are_distinct() -> None:
    covid = [published_id(f"P{k:03}", label=COVID, release="current").text for k in range(1, 170)]
    caps = [published_id(f"cap{k:03}", label=CAP, release="current").text for k in range(1, 61)]
    assert len(set(covid)) == 169
    assert len(set(caps)) == 60
    assert "P044" not in covid, "was withdrawn"


def test_afshar_label_releases(tmp_path: Path) -> None:
    afshar_patient(tmp_path / "COVID-19 Cases" / "P001", series(5))
    afshar_labels(tmp_path, [("COVID-19", "P001", (1,))])
    updated = "Slice-level-labels-updated-1.npy"
    afshar_labels(tmp_path, [("COVID-19", "P001", (1, 2))], name=updated)
    assert list(read("afshar", tmp_path)) == ["P001_2.png"]
    assert list(read("afshar", tmp_path, afshar_labels="updated")) == ["P001_2.png", "P001_3.png"]
    (tmp_path / "Slice-level-labels.npy").unlink()
    findings = Findings()
    assert len(read("afshar", tmp_path, findings=findings)) == 2
    assert findings.names(Finding.OTHER_LABELS)


def test_afshar_normals(tmp_path: Path) -> None:
    volume = series(30)
    afshar_patient(tmp_path / "Normal Cases" / "normal002", volume)
    slices = read("afshar", tmp_path)
    instances = range(7, 27, 2)
    assert [slice_.slice_index for slice_ in slices.values()] == [
        lexicographic_rank(k, length=30) for k in instances
    ]
    assert {slice_.label for slice_ in slices.values()} == {0}
    (tmp_path / "meta_data_normal.csv").write_text(
        "index,File name,Patient ID\n0,normal002_3.png,normal002\n1,normal002_4.png,normal002\n"
    )
    slices = read("afshar", tmp_path)
    assert {name: slice_.position for name, slice_ in slices.items()} == {
        "normal002_3.png": 10,
        "normal002_4.png": 11,
    }


def test_afshar_unlabelled_are_left_out_or_selected(tmp_path: Path) -> None:
    afshar_patient(tmp_path / "COVID-19 Cases" / "P001", series(3))
    afshar_patient(tmp_path / "COVID-19 Cases" / "P060", series(3))
    afshar_labels(tmp_path, [("COVID-19", "P001", (0,))])
    findings = Findings()
    assert list(read("afshar", tmp_path, findings=findings)) == ["P001_1.png"]
    assert len(findings.names(Finding.NOT_TAKEN)) == 1
    slices = read("afshar", tmp_path, unlabelled="select")
    assert [slice_.is_selected_by_source for slice_ in slices.values()] == [True, None, None, None]
    ruled = read("afshar", tmp_path, labels={"P1060_2.png": True, "P001_1.png": False})
    assert {name: slice_.is_selected_by_source for name, slice_ in ruled.items()} == {
        "P1060_1.png": None,
        "P1060_2.png": True,
        "P1060_3.png": None,
    }


def test_zhao_pictures_are_the_published_files(tmp_path: Path) -> None:
    folder = tmp_path / "drawn" / "CT_COVID"
    folder.mkdir(parents=True)
    kinds = {
        "2020.02.25.20021568-p24-111%7.png": picture("PNG", mode="RGBA", seed=1),
        "a-p1-73_2%2.png": picture("JPEG", seed=2),
        "PIIS01_1.png": picture("PNG", seed=3),
    }
    for name, content in kinds.items():
        (folder / name).write_bytes(content)
    root = tmp_path / "raw" / "COVID-CT"
    zipped(folder.parent, root / "Images-processed" / "CT_COVID.zip")
    rows = [
        {"File name": "2020.02.25.20021568-p24-111%7", "Patient ID": "Patient 180 ", "Age": 41},
        {"File name": "a-p1-73_2%2.png", "Patient ID": "Patient 2", "Location": "Wuhan, China "},
        {"File name": "PIIS01_1.png", "Patient ID": "Patient 2", "Severity": "same as above"},
        {"File name": "gone.png", "Patient ID": "Patient 3"},
    ]
    zhao_workbook(root / "COVID-CT-MetaInfo.xlsx", rows)
    findings = Findings()
    slices = read("zhao", tmp_path / "raw", findings=findings)
    assert {
        name.removeprefix("17_Zhao_"): slice_.published for name, slice_ in slices.items()
    } == kinds
    for name, slice_ in slices.items():
        pixels = decode_picture(kinds[name.removeprefix("17_Zhao_")], name=name).pixels
        np.testing.assert_array_equal(slice_.values, pixels)
        assert (slice_.label, slice_.unit, slice_.slice_index) == (COVID, "grey", None)
    first = slices["17_Zhao_2020.02.25.20021568-p24-111%7.png"]
    assert (first.patient_id, first.metadata["Age"]) == ("Zhao_Patient 180", "41")
    assert slices["17_Zhao_a-p1-73_2%2.png"].metadata["Country"] == "China"
    assert findings.names(Finding.LISTED_NOT_FOUND) == ("gone.png",)


def test_zhao_fork_that_renamed_percent_signs(tmp_path: Path) -> None:
    folder = tmp_path / "CT_COVID_part1"
    folder.mkdir()
    (folder / "p24-111_7.png").write_bytes(picture("PNG"))
    zhao_workbook(
        tmp_path / "COVID-CT-MetaInfo.xlsx", [{"File name": "p24-111%7", "Patient ID": "Patient 9"}]
    )
    findings = Findings()
    assert list(read("zhao", tmp_path, findings=findings)) == ["17_Zhao_p24-111%7.png"]
    assert findings.names(Finding.RENAMED)


COHEN_APRIL = "patientid,sex,age,finding,view,modality,location,folder,filename,license"
COHEN_EARLY = "Patientid, url ,sex,age,finding,view,location,filename"
COHEN_LATE = "patientid,RT_PCR_positive,finding,view,modality,folder,filename,in_icu,location"


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (COHEN_APRIL, '17,M,54,COVID-19,Axial,CT,"Goyang, Korea",images,{},CC BY'),
        (COHEN_EARLY, '17,http://x,M,54,COVID-19,CT,"Goyang, Korea",{}'),
        (COHEN_LATE, '17,Y,Pneumonia/Viral/COVID-19,Axial,CT,images,{},N,"Goyang, Korea"'),
    ],
)
def test_cohen_tables_of_three_releases(tmp_path: Path, header: str, row: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "e79-l-d.jpg").write_bytes(picture("JPEG", mode="RGB"))
    (tmp_path / "metadata.csv").write_text(f"{header}\n{row.format('e79-l-d.jpg')}\n")
    slices = read("cohen", tmp_path)
    (slice_,) = slices.values()
    assert (slice_.file_name, slice_.patient_id) == ("15_Cohen_e79-l-d.png", "17")
    assert slice_.metadata["Country"] == "South Korea"
    assert slice_.published is not None
    stored = decode_picture(slice_.published, name="")
    assert (stored.kind, stored.mode) == ("PNG", "RGB")
    np.testing.assert_array_equal(stored.pixels, slice_.values)


def test_cohen_leaves_out_what_the_set_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    rows = {
        "x-ray.png": "1,M,50,COVID-19,PA,X-ray,Rome,images,x-ray.png,",
        "coronal.png": "2,M,50,COVID-19,Coronal,CT,Rome,images,coronal.png,",
        "photo.png": "33,M,50,COVID-19,Axial,CT,Rome,images,photo.png,",
        "healthy.png": "4,M,50,No Finding,Axial,CT,Rome,images,healthy.png,",
        "axial.png": "63,M,50,COVID-19,Axial,CT,Rome,images,axial.png,",
    }
    for seed, name in enumerate(rows):
        (tmp_path / "images" / name).write_bytes(picture("PNG", seed=seed))
    volume = "119,M,50,COVID-19,Axial,CT,Rome,volumes,coronacases_org_001.nii.gz,"
    gone = "5,M,50,COVID-19,Axial,CT,Rome,images,gone.png,"
    table = "\n".join([COHEN_APRIL, *rows.values(), volume, gone])
    (tmp_path / "metadata.csv").write_text(table)
    findings = Findings()
    slices = read("cohen", tmp_path, findings=findings)
    assert list(slices) == ["15_Cohen_axial.png"]
    content = (tmp_path / "images" / "axial.png").read_bytes()
    assert slices["15_Cohen_axial.png"].published == content
    assert findings.names(Finding.REPEATED_SCAN) == ("coronacases_org_001.nii.gz",)
    assert findings.names(Finding.LISTED_NOT_FOUND) == ("images/gone.png",)
    assert len(findings.names(Finding.NOT_TAKEN)) == 3


def rahimzadeh_archive(root: Path) -> dict[str, np.ndarray]:
    """One COVID patient, and a normal whose folder is there twice, under two groups."""
    volume = series(24)
    for k, plane in enumerate(volume[:6], start=10):
        write_tiff(root / "COVID-CTset" / "137covid" / "patient1" / "SR_4" / f"IM{k:05}.tif", plane)
        write_tiff(root / "COVID-CTset" / "137covid" / "patient1" / "SR_2" / f"IM{k:05}.tif", plane)
    for group in ("normal4", "normal5"):
        folder = root / "COVID-CTset" / group / "patient245" / "SR_4"
        for k, plane in enumerate(volume, start=1):
            write_tiff(folder / f"IM{k:05}.tif", plane)
    write_tiff(
        root / "COVID-CTset" / "cdnormal4" / "patient300" / "SR_4" / "IM00001.tif", volume[0]
    )
    (root / "all.csv").write_text(
        "filename,class\n137covid_patient1_SR_4_IM00011.tif,covid\n"
        "137covid_patient1_SR_4_IM00013.tif,covid\n137covid_patient1_SR_2_IM00010.tif,covid\n"
        "normal4_patient245_SR_4_IM00001.tif,normal\n"
    )
    (root / "Patient_details.csv").write_text(
        "Patient ID,SEX,AGE,Date,COVID-19 Infection,SR_4 Folder thickness(mm)\n"
        "patient1,F,053Y,20200407,Positive,5\npatient245,M,008Y,20200312,Negative,5\n"
    )
    return {f"IM{k:05}": plane for k, plane in enumerate(volume, start=1)}


@pytest.mark.parametrize("form", ["folders", "zip"])
def test_rahimzadeh_comes_back_exactly(tmp_path: Path, form: str) -> None:
    planes = rahimzadeh_archive(tmp_path / "raw")
    root = tmp_path / "raw"
    if form == "zip":
        zipped(tmp_path / "raw", tmp_path / "zips" / "all.zip")
        root = tmp_path / "zips"
    findings = Findings()
    slices = read("rahimzadeh", root, findings=findings)
    covid = [f"6_Rahimzadeh_137covid_patient1_SR_4_IM000{k}.png" for k in (11, 13)]
    normal = [f"6_Rahimzadeh_normal4_patient245_SR_4_IM000{k}.png" for k in ("07", 12, 17)]
    assert list(slices) == covid + normal
    slice_ = slices[normal[1]]
    np.testing.assert_array_equal(slice_.values, planes["IM00012"])
    assert (slice_.label, slice_.patient_id, slice_.unit, slice_.slice_index) == (
        0,
        "patient245",
        "HU",
        12,
    )
    assert (slice_.metadata["Age"], slice_.metadata["Gender"]) == ("8", "M")
    assert slices[covid[0]].label == COVID
    assert len(findings.names(Finding.MERGED_COPY)) == 3
    assert len(findings.names(Finding.NOT_TAKEN)) == 1, "cdnormal4"
    with_copies = read("rahimzadeh", root, second_copies="keep")
    assert len(with_copies) == len(slices) + 3


def test_rahimzadeh_published_normals_and_flat_names(tmp_path: Path) -> None:
    volume = series(4)
    flat = tmp_path / "Train&Validation"
    for k, plane in enumerate(volume, start=1):
        write_tiff(flat / f"normal1_patient120_SR_4_IM{k:05}.tif", plane)
        write_tiff(flat / f"157covid_patient9_SR_4_IM{k:05}.tif", plane)
    name = "6_Rahimzadeh_normal1_patient120_SR_4_IM00004.png"
    (tmp_path / "meta_data_normal.csv").write_text(
        f"index,File name,Patient ID\n0,{name},patient120"
    )
    slices = read("rahimzadeh", tmp_path)
    assert [slice_.file_name for slice_ in slices.values() if slice_.label == 0] == [name]
    undecided = [
        slice_.is_selected_by_source for slice_ in slices.values() if slice_.label == COVID
    ]
    assert undecided == [None] * 4, "without all.csv nobody has selected them"


@pytest.mark.parametrize(
    ("location", "country"),
    [
        ("Wuhan, China ", "China"),
        ("Taiwan.", "Taiwan"),
        ("a cruise ship docked in Yokohama, Japan", "Japan"),
        ("a cruise ship in Japan", "Japan"),
        ("Central Hospital in Wuhan, Hubei, in China.", "China"),
        ("Berlin", "Berlin"),
        ("", ""),
    ],
)
def test_a_location_ends_in_its_country(location: str, country: str) -> None:
    assert country_of(location) == country
