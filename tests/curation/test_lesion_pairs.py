"""The lesion set as verified pairs: who they are of, which masks are masks, what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from pairs_fixture import EFFUSION, LESION, PAIRS, SIDE, write_pairs
from PIL import Image

from mgajax.curation.catalogue import Catalogue
from mgajax.curation.findings import Finding
from mgajax.curation.lesion_pairs import find_pairs, pairs_fingerprint, read_pairs
from mgajax.curation.records import SliceRecord, read_mask
from mgajax.errors import DataError

UPSIDE_DOWN = 6


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "copy")


def read(copy: Path, *, max_damage_share: float = 0.0) -> Catalogue:
    return read_pairs(copy, max_damage_share=max_damage_share)


def record(catalogue: Catalogue, name: str) -> SliceRecord:
    (match,) = (r for r in catalogue.records if r.file_name == name)
    return match


def found(catalogue: Catalogue) -> dict[Finding, tuple[str, ...]]:
    return {f.kind: f.examples for f in catalogue.report.findings}


def test_a_whole_copy_is_paired_and_has_no_damage(copy: Path) -> None:
    catalogue = read(copy)
    report = catalogue.report
    assert (report.rows, report.files, report.slices, report.masked) == (len(PAIRS),) * 4
    assert (report.patients, report.damage_share) == (4 + 3 + 2, 0)
    assert {f.kind: f.count for f in report.findings} == {
        Finding.PATIENT_FROM_NAME: 1,
        Finding.UPSIDE_DOWN: UPSIDE_DOWN,
    }
    assert [r.file_name for r in catalogue.records] == sorted(pair.name for pair in PAIRS)
    assert {(r.label, r.mask_origin) for r in catalogue.records} == {(1, "annotated")}


def test_people_come_from_the_names_and_medsegs_from_the_table(copy: Path) -> None:
    catalogue = read(copy)
    people = {r.file_name: r.patient for r in catalogue.records}
    assert people["bjorke_1.png"] == people["bjorke_2.png"] == "medseg/SIRM_Case_16"
    assert people["bjorke_3.png"] == "medseg/SIRM_Case_18"
    assert people["Jun_coronacases_case2_7.png"] == "jun/case2"
    assert people["Jun_radiopaedia_10_85902_3_case12_107.png"] == "jun/74879"
    assert people["Jun_radiopaedia_7_85703_0_case20_4.png"] == "jun/74724"
    assert people["Morozov_study_0255_13.png"] == "morozov/study_id_255"
    assert record(catalogue, "bjorke_1.png").flags == ("upside_down",)
    jun = record(catalogue, "Jun_coronacases_case1_100.png")
    assert (jun.age, jun.gender, jun.country, jun.flags) == (54, "M", "Italy", ())
    assert record(catalogue, "Morozov_study_0255_13.png").age == -1


@pytest.mark.parametrize("table", ["none", "without one of MedSeg"])
def test_medseg_is_one_person_unless_the_table_lists_all_of_it(
    copy: Path, tmp_path: Path, table: str
) -> None:
    path = copy / "meta_data_covid.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.unlink()
    if table != "none":
        path.write_bytes(b"".join(line for line in lines if b"13_Bjorke_3" not in line))
    catalogue = read(copy)
    people = {r.file_name: r.patient for r in catalogue.records}
    assert {who for name, who in people.items() if "bjorke" in name} == {"medseg/all"}
    assert len(set(people.values())) == 4 + 3 + 1
    assert catalogue.report.count(Finding.PEOPLE_POOLED) == 3
    if table == "none":
        assert found(catalogue)[Finding.NO_TABLE] == ("meta_data_covid.csv",)
        assert catalogue.report.rows == 0
        assert record(catalogue, "bjorke_1.png").country == ""
    else:
        assert found(catalogue)[Finding.FRAME_WITHOUT_ROW] == ("bjorke_3.png",)
        assert record(catalogue, "bjorke_1.png").country == "Italy"


def test_masks_of_every_coding_become_lesion_or_not(copy: Path) -> None:
    for frame in read(copy).records:
        expected = np.zeros((SIDE, SIDE), np.uint8)
        expected[LESION] = 255
        expected[EFFUSION] = 255 if frame.source == "medseg" else 0
        np.testing.assert_array_equal(read_mask(frame), expected, err_msg=frame.file_name)


def photograph() -> Image.Image:
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    return Image.fromarray((4 * (x + y)).astype(np.uint8))


def damage(copy: Path) -> dict[Finding, tuple[str, ...]]:
    """Plant one of each; returns what should be found."""
    masks, frames = copy / "masks", copy / "frames"
    (masks / "Jun_coronacases_case1_100.png").unlink()
    (frames / "Jun_coronacases_case1_101.png").unlink()
    Image.new("L", (16, 16), 255).save(masks / "Jun_coronacases_case1_102.png")
    photograph().save(masks / "Jun_coronacases_case1_103.png")
    (masks / "Jun_coronacases_case2_7.png").write_bytes(b"no mask")
    broken = frames / "Morozov_study_0255_13.png"
    broken.write_bytes(broken.read_bytes()[:90])
    Image.new("L", (SIDE, SIDE)).save(masks / "Morozov_study_0255_14.png")
    shutil.copy(masks / "bjorke_1.png", masks / "bjorke_1.tif")
    shutil.copy(frames / "bjorke_1.png", frames / "holiday.png")
    shutil.copy(masks / "bjorke_1.png", masks / "holiday.png")
    Image.fromarray(np.full((SIDE, SIDE), 7, np.uint8)).save(masks / "bjorke_3.png")
    (frames / ".DS_Store").write_bytes(b"x")
    return {
        Finding.UNDECODABLE: ("Morozov_study_0255_13.png",),
        Finding.NO_SOURCE: ("holiday.png",),
        Finding.PAIR_TWICE: ("bjorke_1",),
        Finding.MASK_UNDECODABLE: ("Jun_coronacases_case2_7.png",),
        Finding.MASK_SIZE: ("Jun_coronacases_case1_102.png",),
        Finding.MASK_VALUES: ("Jun_coronacases_case1_103.png", "bjorke_3.png"),
        Finding.FRAME_WITHOUT_MASK: ("Jun_coronacases_case1_100.png",),
        Finding.MASK_WITHOUT_FRAME: ("Jun_coronacases_case1_101.png",),
        Finding.MASK_EMPTY: ("Morozov_study_0255_14.png",),
        Finding.IGNORED: ("frames/.DS_Store",),
        Finding.ROW_WITHOUT_FRAME: ("14_Jun_coronacases_case1_101.png",),
        Finding.FRAME_WITHOUT_ROW: ("holiday.png",),
    }


def test_every_damage_is_named_and_the_rest_is_sound(copy: Path) -> None:
    planted = damage(copy)
    catalogue = read(copy, max_damage_share=1.0)
    assert planted.items() <= found(catalogue).items()
    names = {r.file_name for r in catalogue.records}
    assert names == {pair.name for pair in PAIRS} - {
        f"Jun_coronacases_case1_{k}.png" for k in (100, 101, 102, 103)
    } - {"Jun_coronacases_case2_7.png", "Morozov_study_0255_13.png", "bjorke_3.png"}
    mask = read_mask(record(catalogue, "Morozov_study_0255_14.png"))
    assert mask is not None
    assert not mask.any()
    assert catalogue.report.damage_share == pytest.approx(9 / (len(PAIRS) + 1))


def test_damage_above_the_limit_is_refused_with_numbers(copy: Path) -> None:
    damage(copy)
    with pytest.raises(DataError) as caught:
        read(copy, max_damage_share=0.01)
    message = str(caught.value)
    for part in (
        "frames without a mask; left out: 1 (e.g. Jun_coronacases_case1_100.png)",
        "values that no mask has (a photograph?); dropped: 2",
        f"{9 / (len(PAIRS) + 1):.1%}",
        "'partial'",
    ):
        assert part in message
    assert "\n" not in message


def test_a_mask_of_labels_among_black_and_white_ones_is_not_taken_for_empty(copy: Path) -> None:
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[LESION] = 3
    Image.fromarray(labels).save(copy / "masks" / "Jun_coronacases_case1_100.png")
    catalogue = read(copy, max_damage_share=0.1)
    assert found(catalogue)[Finding.MASK_VALUES] == ("Jun_coronacases_case1_100.png",)
    assert Finding.MASK_EMPTY not in found(catalogue)


def test_numbered_names_in_any_case_and_a_table_above_are_understood(
    copy: Path, tmp_path: Path
) -> None:
    for folder in ("frames", "masks"):
        (copy / folder / "bjorke_1.png").rename(copy / folder / "13_Bjorke_1.png")
    (copy / "meta_data_covid.csv").rename(tmp_path / "meta_data_covid.csv")
    catalogue = read(copy)
    renamed = record(catalogue, "13_Bjorke_1.png")
    assert renamed.patient == "medseg/SIRM_Case_16"
    assert renamed.flags == ("upside_down",)
    assert renamed.mask_path == copy / "masks" / "13_Bjorke_1.png"
    assert catalogue.report.slices == len(PAIRS)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder frames/; pass the folder that holds"):
        read(tmp_path)
    (tmp_path / "frames").mkdir()
    with pytest.raises(DataError, match="no folder masks/"):
        read(tmp_path)
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match="frames: no picture"):
        read(tmp_path)


def test_the_fingerprint_sees_frames_masks_and_table(copy: Path) -> None:
    fingerprints = {pairs_fingerprint(find_pairs(copy))}
    for path in ("frames/bjorke_1.png", "masks/bjorke_2.png", "meta_data_covid.csv"):
        (copy / path).unlink()
        fingerprints.add(pairs_fingerprint(find_pairs(copy)))
    assert len(fingerprints) == 4


def test_the_pack_of_real_pairs(shared: Path) -> None:
    report = read(shared / "realdata" / "pack_dev").report
    assert (report.rows, report.files, report.slices, report.masked) == (21, 49, 49, 49)
    assert report.by_group == {
        "COVID-19/jun": 5,
        "COVID-19/medseg": 37,
        "COVID-19/morozov": 7,
    }
    assert report.patients == 2 + 1 + 4
    assert {f.kind: f.count for f in report.findings} == {
        Finding.FRAME_WITHOUT_ROW: 31,
        Finding.ROW_WITHOUT_FRAME: 3,
        Finding.PEOPLE_POOLED: 37,
        Finding.UPSIDE_DOWN: 42,
    }


def test_the_enhanced_real_frames_are_a_lesion_set_too(shared: Path) -> None:
    report = read(shared / "realdata" / "pack_dev" / "extra" / "jun_clahe256").report
    assert (report.files, report.slices, report.by_group) == (56, 56, {"COVID-19/jun": 56})
    assert report.damage_share == 0
