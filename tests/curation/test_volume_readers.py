"""Morozov, Jun and MedSeg are read back exactly from archives drawn in their own layout."""

import gzip
import pickle
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import openpyxl
import pytest
from drawn_nifti import (
    jun_archive,
    lesions,
    medseg_archive,
    morozov_archive,
    stored,
    transposed,
    write_nifti,
    write_xlsx,
)
from drawn_volumes import chest
from PIL import Image

from mgajax.curation.archives import READERS, jun
from mgajax.curation.archives.archive import RawSlice, ReadOptions
from mgajax.curation.archives.packed import SourceFile, list_files
from mgajax.curation.archives.volumes import binary_plane, open_mask, open_volume
from mgajax.curation.curate import CurationSettings, curate
from mgajax.curation.findings import Finding, Findings
from mgajax.errors import DataError
from mgajax.schema import COVID


def read(
    source: str, root: Path, *, findings: Findings | None = None, **options: object
) -> dict[str, RawSlice]:
    """All slices that a reader yields, by file name; its units are pickled as for a worker."""
    findings = findings or Findings()
    chosen = ReadOptions(**options)
    units = READERS[source](list_files(root, findings=findings), options=chosen, findings=findings)
    slices = [
        slice_ for unit in units for slice_ in pickle.loads(pickle.dumps(unit)).read(findings)
    ]
    assert all(slice_.source == source for slice_ in slices)
    assert len({unit.name for unit in units}) == len(units)
    return {slice_.file_name: slice_ for slice_ in slices}


def file(path: Path) -> SourceFile:
    (match,) = [f for f in list_files(path.parent, findings=Findings()) if f.name == path.name]
    return match


# Morozov


@pytest.mark.parametrize("registry", ["xlsx", "csv", "none"])
def test_morozov_comes_back_exactly(tmp_path: Path, registry: str) -> None:
    volumes = morozov_archive(tmp_path, registry=registry)
    findings = Findings()
    slices = read("morozov", tmp_path, findings=findings)
    normals = [f"16_Morozov_study_{s}_{k}.png" for s in ("0001", "0002") for k in range(3, 23)]
    lesioned = [f"16_Morozov_study_0255_{k}.png" for k in (9, 13, 14)]
    assert list(slices) == normals + lesioned
    for name, slice_ in slices.items():
        study, k = name.removesuffix(".png").removeprefix("16_Morozov_").rsplit("_", 1)
        np.testing.assert_array_equal(slice_.values, volumes[study][:, :, int(k) - 1])
        assert slice_.values.dtype == np.int16
        assert (slice_.slice_index, slice_.position, slice_.unit) == (int(k), int(k), "HU")
        assert slice_.is_selected_by_source
        assert slice_.metadata["Country"] == "Russia"
    slice_ = slices["16_Morozov_study_0255_13.png"]
    assert (slice_.label, slice_.patient_id) == (COVID, "study_id_255")
    np.testing.assert_array_equal(slice_.mask, 255 * volumes["mask"][:, :, 12])
    assert slice_.metadata["mask_file"] == "/masks/study_0255_mask.nii.gz"
    normal = slices["16_Morozov_study_0001_3.png"]
    assert (normal.label, normal.patient_id, normal.mask) == (0, "study_id_1", None)
    assert normal.metadata["study_file"] == "/studies/CT-0/study_0001.nii.gz"
    assert len(findings.names(Finding.NOT_TAKEN)) == 2, "CT-1 without mask, CT-2"
    assert not findings.damaged()


def test_morozov_takes_the_published_run_where_its_table_is_given(tmp_path: Path) -> None:
    morozov_archive(tmp_path)
    rows = [f"16_Morozov_study_0001_{k}.png,study_id_1" for k in range(2, 22)]
    table = "\n".join(["File name,Patient ID", *rows, "N001_1.png,N001", ""])
    (tmp_path / "meta_data_normal.csv").write_text(table)
    slices = read("morozov", tmp_path)
    numbers = {
        study: [slice_.slice_index for name, slice_ in slices.items() if study in name]
        for study in ("0001", "0002")
    }
    assert numbers["0001"] == list(range(2, 22))
    assert numbers["0002"] == list(range(3, 23))
    assert slices["16_Morozov_study_0001_2.png"].reason == "published run"
    assert slices["16_Morozov_study_0002_3.png"].reason == "middle run"


def test_morozov_unlabelled_studies_are_read_on_request(tmp_path: Path) -> None:
    morozov_archive(tmp_path)
    slices = read("morozov", tmp_path, unlabelled="select")
    unlabelled = [slice_ for slice_ in slices.values() if slice_.is_selected_by_source is None]
    assert {slice_.patient_id for slice_ in unlabelled} == {"study_id_256", "study_id_939"}
    assert len(unlabelled) == 48
    assert all(slice_.label == COVID and slice_.mask is None for slice_ in unlabelled)


def test_a_radiologists_labels_win(tmp_path: Path) -> None:
    morozov_archive(tmp_path)
    labels = {
        "16_Morozov_study_0255_13.png": False,
        "16_Morozov_study_0255_1.png": True,
        "16_Morozov_study_0256_7.png": True,
    }
    slices = read("morozov", tmp_path, labels=labels)
    assert "16_Morozov_study_0255_13.png" not in slices
    for name in list(labels)[1:]:
        assert slices[name].is_selected_by_source
        assert slices[name].reason == "radiologist"


def test_morozov_masks_without_volumes_are_reported(tmp_path: Path) -> None:
    morozov_archive(tmp_path)
    (tmp_path / "studies/CT-1/study_0255.nii.gz").unlink()
    (tmp_path / "studies/CT-0/study_0002.nii.gz").unlink()
    findings = Findings()
    slices = read("morozov", tmp_path, findings=findings)
    assert {slice_.patient_id for slice_ in slices.values()} == {"study_id_1"}
    assert findings.names(Finding.MASK_WITHOUT_VOLUME) == ("masks/study_0255_mask.nii.gz",)
    assert findings.names(Finding.LISTED_NOT_FOUND) == ("studies/CT-0/study_0002.nii.gz",)


def test_morozov_registry_and_folders_may_disagree(tmp_path: Path) -> None:
    morozov_archive(tmp_path)
    source = tmp_path / "studies/CT-0/study_0001.nii.gz"
    other = tmp_path / "studies/CT-3/study_0001.nii.gz"
    other.parent.mkdir()
    source.rename(other)
    write_nifti(tmp_path / "loose/study_1110.nii.gz", stored(chest(depth=3, side=32)))
    findings = Findings()
    slices = read("morozov", tmp_path, findings=findings)
    assert "16_Morozov_study_0001_3.png" not in slices
    assert findings.names(Finding.CLASS_CONFLICT) == ("studies/CT-3/study_0001.nii.gz",)
    assert findings.names(Finding.NO_LABEL_ROW) == ("loose/study_1110.nii.gz",)
    assert findings.names(Finding.NO_TABLE_ROW) == ("loose/study_1110.nii.gz",)


def test_morozov_registry_without_a_column_is_refused(tmp_path: Path) -> None:
    morozov_archive(tmp_path, registry="none")
    rows = [("study_id", "grade", "study_file", "mask_file"), (1, "CT-0", "/x", None)]
    write_xlsx(tmp_path / "dataset_registry.xlsx", rows)
    with pytest.raises(
        DataError, match=r"dataset_registry.xlsx: no column category; found study_id"
    ):
        read("morozov", tmp_path)


# Jun


@pytest.mark.parametrize("style", ["zenodo", "kaggle", "zips"])
def test_jun_comes_back_exactly(tmp_path: Path, style: str) -> None:
    drawn = jun_archive(tmp_path, style="kaggle" if style == "kaggle" else "zenodo")
    if style == "zips":
        pack_flat(tmp_path)
    slices = read("jun", tmp_path)
    assert list(slices) == [
        "14_Jun_coronacases_case3_2.png",
        "14_Jun_coronacases_case3_4.png",
        "14_Jun_radiopaedia_14_85914_0_case13_2.png",
        "14_Jun_radiopaedia_14_85914_0_case13_4.png",
    ]
    for name, slice_ in slices.items():
        stem, k = name.removesuffix(".png").removeprefix("14_Jun_").rsplit("_", 1)
        turn = np.flipud if "radiopaedia" in name else np.asarray
        for field, key in (("values", ""), ("mask", " infection"), ("lungs", " lungs")):
            upright = drawn[stem + key][:, :, int(k) - 1]
            expected = upright if field == "values" else 255 * upright
            np.testing.assert_array_equal(
                turn(getattr(slice_, field)), expected, err_msg=name + field
            )
        assert slice_.label == COVID
        assert slice_.reason == "lesion mask"
    hounsfield, grey = slices["14_Jun_coronacases_case3_2.png"], list(slices.values())[-1]
    assert (hounsfield.unit, hounsfield.upright_turn, hounsfield.patient_id) == (
        "HU",
        "none",
        "case3",
    )
    assert (grey.unit, grey.upright_turn, grey.patient_id) == ("grey", "flip_vertical", "74887")
    assert grey.values.shape == (20, 32)
    assert grey.values.dtype == np.uint8


def pack_flat(root: Path) -> None:
    """Each folder as a zip of bare files, as Zenodo serves them."""
    for folder in [path for path in root.iterdir() if path.is_dir()]:
        with zipfile.ZipFile(root / f"{folder.name}.zip", "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, path.name)
                path.unlink()
        folder.rmdir()


def test_jun_combined_mask_replaces_the_others(tmp_path: Path) -> None:
    drawn = jun_archive(tmp_path)
    for folder in ("Infection_Mask", "Lung_Mask"):
        for path in (tmp_path / folder).iterdir():
            path.unlink()
    slice_ = read("jun", tmp_path)["14_Jun_coronacases_case3_4.png"]
    np.testing.assert_array_equal(slice_.mask, 255 * drawn["coronacases_case3 infection"][:, :, 3])
    np.testing.assert_array_equal(slice_.lungs, 255 * drawn["coronacases_case3 lungs"][:, :, 3])
    other = read("jun", tmp_path, jun_infection=(2, 3))
    assert other["14_Jun_coronacases_case3_4.png"].mask.sum() > slice_.mask.sum()


def test_jun_without_any_infection_mask_is_left_out_or_selected(tmp_path: Path) -> None:
    jun_archive(tmp_path)
    for folder in ("Infection_Mask", "Lung_and_Infection_Mask"):
        (tmp_path / folder / "coronacases_003.nii.gz").unlink()
    findings = Findings()
    assert all("radiopaedia" in name for name in read("jun", tmp_path, findings=findings))
    assert "coronacases_003" in findings.names(Finding.NO_LABEL_ROW)[0]
    slices = read("jun", tmp_path, unlabelled="select")
    unmasked = [slice_ for name, slice_ in slices.items() if "coronacases" in name]
    assert len(unmasked) == 6
    assert all(slice_.is_selected_by_source is None and slice_.mask is None for slice_ in unmasked)
    assert all(slice_.lungs is not None for slice_ in unmasked)


def test_lung_masks_decide_where_grey_levels_cannot(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    jun_archive(raw)
    for folder in ("Infection_Mask", "Lung_and_Infection_Mask"):
        (raw / folder / "radiopaedia_14_85914_0.nii.gz").unlink()
    settings = CurationSettings(options=ReadOptions(unlabelled="select"), most_alike=1.1)
    curate(raw, out=tmp_path / "out", settings=settings)
    names = {path.name for path in (tmp_path / "out/curated_data/2COVID").iterdir()}
    assert {name for name in names if "case13" in name} == {
        f"14_Jun_radiopaedia_14_85914_0_case13_{k}.png" for k in range(1, 6)
    }


def test_a_damaged_volume_is_reported_and_the_others_stay(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    morozov_archive(raw)
    broken = raw / "studies/CT-0/study_0001.nii.gz"
    broken.write_bytes(broken.read_bytes()[:900])
    report = curate(raw, out=tmp_path / "out")
    assert report.by_group == {"COVID-19/morozov": 3, "Normal/morozov": 20}
    assert report.damaged == 1
    (example,) = report.findings["damaged_source_file"]["examples"]
    assert example.startswith("studies/CT-0/study_0001.nii.gz: no complete NIfTI volume (")
    assert example.endswith("download it again")


def test_scans_in_another_archives_folder_are_not_juns(tmp_path: Path) -> None:
    scan = transposed(chest(depth=3, side=32))
    write_nifti(tmp_path / "covid-chestxray-dataset/volumes/coronacases_org_001.nii.gz", scan)
    findings = Findings()
    assert read("jun", tmp_path, findings=findings) == {}
    assert not findings.damaged()


def test_case_numbers_are_those_of_the_published_names() -> None:
    stems = [jun.published_stem(f"radiopaedia_{case}.nii.gz") for case in jun.RADIOPAEDIA]
    assert [int(stem.rsplit("case", 1)[1]) for stem in stems if stem] == list(range(11, 21))
    assert jun.published_stem("coronacases_010.nii.gz") == "14_Jun_coronacases_case10"
    assert jun.published_stem("coronacases_011.nii.gz") is None
    assert jun.published_stem("radiopaedia_99_1_0.nii.gz") is None


# MedSeg


@pytest.mark.parametrize(
    ("effusion", "lesion_labels"), [("lesion", (1, 2, 3)), ("background", (1, 2))]
)
def test_medseg_comes_back_exactly(
    tmp_path: Path, effusion: str, lesion_labels: tuple[int, ...]
) -> None:
    upright, labels = medseg_archive(tmp_path)
    findings = Findings()
    slices = read("medseg", tmp_path, findings=findings, effusion=effusion)
    assert list(slices) == [f"13_Bjorke_{k}.png" for k in range(1, 6)]
    for k, slice_ in enumerate(slices.values()):
        np.testing.assert_array_equal(np.flipud(slice_.values), upright[:, :, k])
        expected = np.where(np.isin(labels[:, :, k], lesion_labels), 255, 0)
        np.testing.assert_array_equal(np.flipud(slice_.mask), expected)
        assert (slice_.upright_turn, slice_.position, slice_.patient_id) == (
            "flip_vertical",
            None,
            "all",
        )
    assert findings.names(Finding.PEOPLE_POOLED) == ("tr_im.nii.gz",)
    assert findings.names(Finding.NOT_TAKEN) == ("val_im.nii.gz",)
    assert not findings.damaged()


def test_medseg_people_come_from_the_published_table(tmp_path: Path) -> None:
    medseg_archive(tmp_path)
    rows = [f"13_Bjorke_{k}.png,SIRM_Case_{k // 2},{40 + k},-" for k in range(1, 5)]
    table = "\n".join(["File name,Patient ID,Age,Gender", *rows, ""])
    (tmp_path / "meta_data_covid.csv").write_text(table, encoding="cp1252")
    findings = Findings()
    slices = read("medseg", tmp_path, findings=findings)
    people = [slice_.patient_id for slice_ in slices.values()]
    assert people == ["SIRM_Case_0", "SIRM_Case_1", "SIRM_Case_1", "SIRM_Case_2", "all"]
    assert slices["13_Bjorke_2.png"].metadata["Age"] == "42"
    assert "Gender" not in slices["13_Bjorke_2.png"].metadata
    assert findings.names(Finding.NO_TABLE_ROW) == ("13_Bjorke_5.png",)


def test_medseg_unknown_label_is_refused(tmp_path: Path) -> None:
    _, labels = medseg_archive(tmp_path)
    labels[0, 0, 2] = 7
    write_nifti(tmp_path / "tr_mask.nii.gz", transposed(labels), scaling=(1.0, 0.0))
    with pytest.raises(
        DataError, match=r"tr_mask.nii.gz: value 7 in plane 3; expected 0 and 1, 2, 3"
    ):
        read("medseg", tmp_path)


# NIfTI itself


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_header_quirks(tmp_path: Path, name: str, order: str) -> None:
    upright = chest(depth=3, side=24, width=32)
    path = write_nifti(tmp_path / name, stored(upright), order=order)
    header = nib.load(path).header
    assert np.isnan(header["scl_slope"])
    assert np.isnan(header["scl_inter"])
    assert nib.aff2axcodes(nib.load(path).affine) == ("L", "A", "S")
    volume = open_volume(file(path))
    assert (volume.depth, volume.shape, volume.unit) == (3, (24, 32), "HU")
    np.testing.assert_array_equal(volume.plane(2), upright[:, :, 1])
    assert volume.plane(2).dtype == np.dtype("int16")


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    upright = chest(depth=2, side=16)
    path = write_nifti(tmp_path / "v.nii", stored(upright + 1024), scaling=(2.0, -1024.0))
    expected = 2.0 * (upright[:, :, 0].astype(np.float64) + 1024) - 1024
    np.testing.assert_array_equal(open_volume(file(path)).plane(1), expected)


def test_a_trailing_dimension_of_one_is_no_dimension(tmp_path: Path) -> None:
    upright = chest(depth=3, side=16)
    path = write_nifti(tmp_path / "v.nii.gz", stored(upright)[..., None])
    volume = open_volume(file(path))
    assert volume.depth == 3
    np.testing.assert_array_equal(volume.plane(3), upright[:, :, 2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("four dimensions", r"v.nii.gz: dimensions 16 x 16 x 3 x 2, expected three"),
        ("two dimensions", r"v.nii.gz: dimensions 16 x 16, expected three"),
        ("truncated gzip", r"v.nii.gz: no complete NIfTI volume \("),
        ("short data", r"v.nii.gz: ends after [\d,]+ of [\d,]+ bytes"),
        ("text", r"v.nii.gz: no complete NIfTI volume \("),
        ("empty", r"v.nii.gz: no complete NIfTI volume \("),
        ("slope without intercept", r"v.nii.gz: no complete NIfTI volume \(.*intercept"),
    ],
)
def test_damaged_volumes_are_refused_in_one_line(tmp_path: Path, damage: str, message: str) -> None:
    voxels = stored(chest(depth=3, side=16))
    path = tmp_path / "v.nii.gz"
    if damage == "four dimensions":
        write_nifti(path, np.stack([voxels, voxels], axis=3))
    elif damage == "two dimensions":
        write_nifti(path, voxels[:, :, 0])
    elif damage == "slope without intercept":
        write_nifti(path, voxels, scaling=(2.0, float("nan")))
    else:
        write_nifti(path, voxels)
        whole = path.read_bytes()
        short = gzip.compress(gzip.decompress(whole)[:-7])
        content = {
            "truncated gzip": whole[:-50],
            "short data": short,
            "text": b"<html>",
            "empty": b"",
        }
        path.write_bytes(content[damage])
    with pytest.raises(DataError, match=message) as caught:
        open_volume(file(path))
    assert "\n" not in str(caught.value)


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    voxels = stored(chest(depth=2, side=16)).astype(np.float32)
    voxels[0, 0, 1] = np.nan
    volume = open_volume(file(write_nifti(tmp_path / "v.nii", voxels)))
    volume.plane(1)
    with pytest.raises(DataError, match=r"v.nii: plane 2 holds values that are no finite numbers"):
        volume.plane(2)


def test_a_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    volume = open_volume(file(write_nifti(tmp_path / "v.nii", stored(chest(depth=3, side=16)))))
    other = write_nifti(tmp_path / "m.nii", stored(lesions((16, 16, 4), planes=(1,))))
    with pytest.raises(DataError, match=r"m.nii: 16 x 16 x 4, but v.nii is 16 x 16 x 3; take both"):
        open_mask(file(other), of=volume)


# Real masks


def test_real_mosmed_masks_are_those_of_the_pack(shared: Path) -> None:
    pack = shared / "realdata" / "pack_dev"
    expected = sorted((pack / "masks").glob("Morozov_*.png"))
    assert len(expected) == 7
    for path in expected:
        study, k = path.stem.removeprefix("Morozov_").rsplit("_", 1)
        volume = pack / "raw" / "MosMedData" / "masks" / f"{study}_mask.nii.gz"
        lesion = binary_plane(open_volume(file(volume)), int(k), labels=(1,), known=(1,))
        np.testing.assert_array_equal(lesion, np.asarray(Image.open(path)))


def test_real_mosmed_registry_and_masks_without_volumes(shared: Path) -> None:
    raw = shared / "realdata" / "pack_dev" / "raw" / "MosMedData"
    findings = Findings()
    assert read("morozov", raw, findings=findings) == {}
    assert len(findings.names(Finding.MASK_WITHOUT_VOLUME)) == 21
    book = openpyxl.load_workbook(raw / "dataset_registry.xlsx", read_only=True)
    rows = list(book.worksheets[0].iter_rows(min_row=2, values_only=True))
    normals = [row[2].lstrip("/") for row in rows if row[1] == "CT-0"]
    assert len(normals) > 10
    assert set(normals) <= set(findings.names(Finding.LISTED_NOT_FOUND))
    book.close()
