"""The verified list of slices: what is kept, flagged, left out, counted, and refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from kaggle_fixture import (
    COLOURED,
    JPEG_CALLED_PNG,
    RENAMED_FILE,
    SECOND_COPY,
    SIXTEEN_BIT,
    SLICES,
    write_copy,
)
from PIL import Image

from mgajax.curation.catalogue import Catalogue, input_fingerprint, read_catalogue
from mgajax.curation.findings import Finding
from mgajax.curation.kaggle_layout import find_layout
from mgajax.curation.records import SliceRecord, read_mask, read_pixels
from mgajax.errors import DataError


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return write_copy(tmp_path / "copy", nesting="single")


def folder(copy: Path, name: str) -> Path:
    return copy / "curated_data" / name


def read(copy: Path, **options) -> Catalogue:
    return read_catalogue(copy, **{"max_damage_share": 0.0, **options})


def record(catalogue: Catalogue, name: str) -> SliceRecord:
    (match,) = (r for r in catalogue.records if r.file_name == name)
    return match


def names(catalogue: Catalogue, finding: Finding) -> tuple[str, ...]:
    return tuple(n for f in catalogue.report.findings if f.kind is finding for n in f.examples)


def test_a_whole_copy_has_traps_and_no_damage(copy: Path) -> None:
    catalogue = read(copy)
    report = catalogue.report
    assert (report.rows, report.files, report.slices) == (len(SLICES),) * 3
    assert report.damage_share == 0
    assert {f.kind: f.count for f in report.findings} == {
        Finding.RENAMED: 1,
        Finding.PATIENT_FROM_NAME: 1,
        Finding.SAME_PICTURE: 1,
        Finding.NOT_PNG: 1,
        Finding.COLOUR_MODE: 7 + 1,
        Finding.COLOURED: 1,
        Finding.SIXTEEN_BIT: 1,
        Finding.UPSIDE_DOWN: 4,
        Finding.MASK_EMPTY: 1,
    }
    assert names(catalogue, Finding.RENAMED) == (RENAMED_FILE,)
    assert names(catalogue, Finding.SAME_PICTURE) == (SECOND_COPY,)
    assert names(catalogue, Finding.NOT_PNG) == (JPEG_CALLED_PNG,)
    assert names(catalogue, Finding.COLOURED) == (COLOURED,)
    assert names(catalogue, Finding.SIXTEEN_BIT) == (SIXTEEN_BIT,)


def test_people_and_demographics(copy: Path) -> None:
    catalogue = read(copy)
    double = {r.file_name for r in catalogue.records if r.patient == "zhao/Zhao_Patient 195"}
    assert double == {"15_Cohen_jkms-35-e79-g001-l-d.png", "17_Zhao_kjr-p2-2.png"}
    coronacases = record(catalogue, "14_Jun_coronacases_case2_20.png")
    assert (coronacases.patient, coronacases.country) == ("jun/case2", "China")
    morozov = record(catalogue, "16_Morozov_study_0255_13.png")
    assert (morozov.age, morozov.gender, morozov.country) == (-1, "", "Russia")
    borrowed = record(catalogue, "P104_70.png")
    assert (borrowed.age, borrowed.gender) == (-1, "")
    plain = record(catalogue, "P001_69.png")
    assert (plain.patient, plain.age, plain.gender, plain.label) == ("afshar/P001", 43, "M", 1)


def test_flags(copy: Path) -> None:
    flags = {r.file_name: r.flags for r in read(copy).records if r.flags}
    assert flags.pop(SECOND_COPY) == ("second_copy",)
    assert set(flags.values()) == {("upside_down",)}
    assert len(flags) == 4


def test_pixels_are_kept_as_bytes_or_turned_to_grey(copy: Path) -> None:
    catalogue = read(copy)
    plain = record(catalogue, "P001_69.png")
    assert read_pixels(plain) == plain.path.read_bytes()
    coloured = record(catalogue, COLOURED)
    pixels = read_pixels(coloured)
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (coloured.height, coloured.width) == (31, 26)


def test_masks_of_every_coding(copy: Path) -> None:
    catalogue = read(copy)
    lesion, with_effusion = np.zeros((2, 32, 32), np.uint8)
    lesion[4:8, 4:8] = with_effusion[4:8, 4:12] = 255
    masked = [r for r in catalogue.records if r.mask_path is not None]
    assert {r.file_name for r in masked} == {
        "14_Jun_coronacases_case1_155.png",
        "13_Bjorke_1.png",
        "13_Bjorke_2.png",
        "16_Morozov_study_0255_13.png",
    }
    others = {"13_Bjorke_1.png": with_effusion, "13_Bjorke_2.png": np.zeros_like(lesion)}
    for r in masked:
        np.testing.assert_array_equal(read_mask(r), others.get(r.file_name, lesion))
    assert read_mask(record(catalogue, COLOURED)) is None
    assert not any(r.mask_path for r in read(copy, masks="ignore").records)


def test_damage_is_counted_and_left_out(copy: Path) -> None:
    covid = folder(copy, "2COVID")
    broken = covid / "P001_70.png"
    broken.write_bytes(broken.read_bytes()[:200])
    (covid / "P001_69.png").unlink()
    (covid / "P002_1.png").write_bytes((covid / "P104_70.png").read_bytes())
    shutil.copy(covid / "17_Zhao_kjr-p2-1.png", covid / "17_Zhao_nobody-p1.png")
    shutil.copy(covid / COLOURED, covid / "holiday.png")
    (covid / ".DS_Store").write_bytes(b"x")
    catalogue = read(copy, max_damage_share=0.2)
    for finding, name in [
        (Finding.UNDECODABLE, "P001_70.png"),
        (Finding.ROW_WITHOUT_FILE, "P001_69.png"),
        (Finding.NO_PATIENT, "17_Zhao_nobody-p1.png"),
        (Finding.NO_SOURCE, "holiday.png"),
        (Finding.IGNORED, "2COVID/.DS_Store"),
        (Finding.SAME_PICTURE_OTHER, "P104_70.png"),
    ]:
        assert names(catalogue, finding) == (name,), finding
    assert catalogue.report.count(Finding.FILE_WITHOUT_ROW) == 3
    slice_record = record(catalogue, "P002_1.png")
    assert slice_record.patient == "afshar/P002"
    assert slice_record.flags == ("file_without_row",)
    assert catalogue.report.slices == len(SLICES) - 2 + 1
    assert catalogue.report.damage_share == pytest.approx(5 / (len(SLICES) + 3))


def test_too_much_damage_is_refused_with_numbers(copy: Path) -> None:
    for name in ("P001_69.png", "P001_70.png"):
        (folder(copy, "2COVID") / name).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        read(copy, max_damage_share=0.01)
    message = str(caught.value)
    share = 2 / len(SLICES)
    for part in (
        "pictures that cannot be decoded; left out: 2",
        f"{share:.1%}",
        "1.0%",
        "'partial'",
    ):
        assert part in message
    assert "\n" not in message
    assert read(copy, max_damage_share=share).report.slices == len(SLICES) - 2


def test_a_file_in_the_wrong_folder_keeps_the_folders_class(copy: Path) -> None:
    (folder(copy, "2COVID") / "P001_69.png").rename(folder(copy, "3CAP") / "P001_69.png")
    catalogue = read(copy, max_damage_share=0.1)
    assert names(catalogue, Finding.CLASS_CONFLICT) == ("P001_69.png",)
    moved = record(catalogue, "P001_69.png")
    assert (moved.label, moved.flags) == (2, ("class_conflict",))


def test_of_a_name_found_twice_the_fitting_copy_is_kept(copy: Path) -> None:
    shutil.copy(folder(copy, "2COVID") / "P001_69.png", folder(copy, "1NonCOVID"))
    catalogue = read(copy, max_damage_share=0.1)
    assert names(catalogue, Finding.NAME_TWICE) == ("P001_69.png",)
    assert record(catalogue, "P001_69.png").label == 1
    assert catalogue.report.slices == len(SLICES)


def test_rows_that_disagree_leave_the_slice_out(copy: Path) -> None:
    table = copy / "meta_data_cap.csv"
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(b"".join([*lines, lines[1].replace(b",cap001,", b",cap002,")]))
    catalogue = read(copy, max_damage_share=0.1)
    assert names(catalogue, Finding.ROWS_CONFLICT) == ("cap001_11.png",)
    assert catalogue.report.slices == len(SLICES) - 1


def test_a_shifted_patient_column_is_noticed(copy: Path) -> None:
    table = copy / "meta_data_cap.csv"
    table.write_bytes(table.read_bytes().replace(b"cp002,", b"cp003,"))
    assert names(read(copy, max_damage_share=0.1), Finding.ID_CONFLICT) == ("cp002_7.png",)


def test_bad_masks_are_dropped_and_counted(copy: Path) -> None:
    masks = copy / "masks"
    Image.new("L", (16, 16)).save(masks / "Jun_coronacases_case1_155.png")
    (masks / "bjorke_1.png").write_bytes(b"no mask")
    Image.new("L", (32, 32)).save(masks / "bjorke_99.png")
    Image.new("L", (32, 32), 255).save(masks / "N001_121.png")
    catalogue = read(copy, max_damage_share=0.1)
    for finding, name in [
        (Finding.MASK_SIZE, "14_Jun_coronacases_case1_155.png"),
        (Finding.MASK_UNDECODABLE, "13_Bjorke_1.png"),
        (Finding.MASK_WITHOUT_SLICE, "bjorke_99.png"),
        (Finding.MASK_ON_NORMAL, "N001_121.png"),
    ]:
        assert names(catalogue, finding) == (name,), finding
    assert catalogue.report.slices == len(SLICES)
    assert catalogue.report.masked == 3
    with pytest.raises(DataError, match="masks of another size"):
        read(copy)


def test_a_photograph_among_the_masks_is_dropped_and_spoils_no_other(copy: Path) -> None:
    picture = folder(copy, "2COVID") / "13_Bjorke_2.png"
    shutil.copy(picture, copy / "masks" / "bjorke_2.png")
    catalogue = read(copy, max_damage_share=0.1)
    assert names(catalogue, Finding.MASK_VALUES) == ("13_Bjorke_2.png",)
    assert record(catalogue, "13_Bjorke_2.png").mask_origin == "none"
    labels = read_mask(record(catalogue, "13_Bjorke_1.png"))
    assert labels is not None
    assert (labels > 0).sum() == 32


def test_an_empty_class_folder_is_named(copy: Path) -> None:
    for path in folder(copy, "3CAP").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="3CAP: no picture of class CAP"):
        read(copy, max_damage_share=1.0)


def test_an_empty_table_of_pictures_is_named(copy: Path) -> None:
    table = copy / "meta_data_cap.csv"
    table.write_bytes(table.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(DataError, match=r"meta_data_cap\.csv: no row of class CAP"):
        read(copy, max_damage_share=1.0)


def test_a_set_without_a_class_is_read_and_says_so(copy: Path) -> None:
    for path in folder(copy, "3CAP").iterdir():
        path.unlink()
    table = copy / "meta_data_cap.csv"
    table.write_bytes(table.read_bytes().splitlines(keepends=True)[0])
    catalogue = read(copy, max_damage_share=0.5)
    assert names(catalogue, Finding.NO_CLASS) == ("CAP",)
    assert {record.label for record in catalogue.records} == {0, 1}


def test_a_file_that_changes_during_the_build_is_refused(copy: Path) -> None:
    catalogue = read(copy)
    changed = record(catalogue, "P001_69.png")
    changed.path.write_bytes((folder(copy, "2COVID") / "P001_70.png").read_bytes())
    with pytest.raises(DataError, match="changed while"):
        read_pixels(changed)


def test_the_fingerprint_depends_on_all_files_that_are_read(copy: Path) -> None:
    before = input_fingerprint(find_layout(copy))
    assert before == input_fingerprint(find_layout(copy))
    without = input_fingerprint(find_layout(copy), masks="ignore")
    (copy / "masks" / "bjorke_1.png").unlink()
    assert input_fingerprint(find_layout(copy)) != before
    assert input_fingerprint(find_layout(copy), masks="ignore") == without
    (folder(copy, "3CAP") / "cp002_7.png").unlink()
    assert input_fingerprint(find_layout(copy), masks="ignore") != without


@pytest.mark.parametrize("headers", ["as copied", "kaggle"])
def test_the_pack_of_real_slices(shared: Path, tmp_path: Path, headers: str) -> None:
    pack = shared / "realdata" / "pack_dev"
    if headers == "kaggle":
        for part in ("curated_data", "masks"):
            (tmp_path / part).symlink_to(pack / part)
        for table in (pack / "extra" / "kaggle_headers").iterdir():
            (tmp_path / table.name).symlink_to(table)
    catalogue = read(pack if headers == "as copied" else tmp_path)
    report = catalogue.report
    assert (report.rows, report.files, report.slices, report.patients) == (140, 140, 140, 76)
    assert report.masked == 18
    assert {f.kind: f.count for f in report.findings} == {
        Finding.RENAMED: 2,
        Finding.SAME_PICTURE: 1,
        Finding.NOT_PNG: 1,
        Finding.COLOUR_MODE: 39,
        Finding.COLOURED: 18,
        Finding.UPSIDE_DOWN: 14,
        Finding.MASK_WITHOUT_SLICE: 31,
    }
