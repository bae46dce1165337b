"""Selection by lung area, likeness and a radiologist's word, on drawn chests in Hounsfield units."""

from pathlib import Path

import numpy as np
import pytest
from drawn_volumes import chest, chest_slice

from mgajax.curation.archives.afshar_series import read_series
from mgajax.curation.archives.packed import list_files
from mgajax.curation.findings import Findings
from mgajax.curation.selection import (
    MOST_ALIKE,
    Ruling,
    lung_area,
    middle_run,
    read_rulings,
    select,
    thin,
)
from mgajax.errors import DataError
from mgajax.imaging.dicom import read_hounsfield
from mgajax.imaging.lungs import LungRule


def test_keeps_the_middle_and_leaves_out_apex_and_base() -> None:
    volume = chest(depth=21)
    got = select(volume, most_alike=1.1)
    chosen = np.flatnonzero(got.keep)
    assert got.keep[10]
    assert not got.keep[[0, 1, 19, 20]].any()
    assert (np.diff(chosen) == 1).all(), "one run of slices"
    assert set(got.reasons) == {"lung", "too little lung"}
    assert got.lung_shares[10] == pytest.approx(got.lung_shares.max(), abs=1e-3)
    assert got.lung_shares[10] > 0.3


def test_share_of_lung_is_that_of_the_drawing() -> None:
    plane, truth = chest_slice(openness=1.0)
    lung, body = lung_area(plane, rule=LungRule())
    assert lung == truth["lung"], "neither trachea nor table nor the air around counts"
    assert body == truth["body"]


@pytest.mark.parametrize("padding", [-1024, -2048, -3024])
def test_padding_around_the_field_of_view_is_no_lung(padding: int) -> None:
    plane, _ = chest_slice(openness=1.0, padding=padding)
    reference, _ = chest_slice(openness=1.0)
    assert lung_area(plane, rule=LungRule()) == lung_area(reference, rule=LungRule())


def test_trachea_and_bowel_gas_are_no_lung() -> None:
    plane, _ = chest_slice(openness=0.0)
    assert (plane < -900).any()
    assert lung_area(plane, rule=LungRule())[0] == 0
    assert lung_area(plane, rule=LungRule(smallest_part=0.0))[0] > 0


def test_picture_of_air_has_neither_lung_nor_body() -> None:
    assert lung_area(np.full((64, 64), -1000, np.int16), rule=LungRule()) == (0, 0)


def test_ground_glass_counts_as_lung_and_consolidation_does_not() -> None:
    healthy, _ = chest_slice(openness=1.0)
    glass, _ = chest_slice(openness=1.0, lung_value=-480)
    solid, _ = chest_slice(openness=1.0, lung_value=20)
    areas = [lung_area(plane, rule=LungRule())[0] for plane in (healthy, glass, solid)]
    assert areas[0] == areas[1] > areas[2] == 0


def test_lung_masks_replace_the_threshold() -> None:
    grey = [np.full((32, 32), 90, np.uint8) for _ in range(3)]
    lungs = [np.zeros((32, 32), np.uint8) for _ in range(3)]
    lungs[1][8:24, 8:24] = 255
    got = select(grey, lungs=lungs)
    assert got.keep.tolist() == [False, True, False]
    assert got.lung_shares[1] == 0.25


def test_neighbours_that_look_the_same_are_thinned() -> None:
    volume = chest(depth=21)
    middle = volume[:, :, 10:11]
    still = np.concatenate([volume[:, :, 8:9], middle, middle, middle, volume[:, :, 16:17]], axis=2)
    got = select(still, most_alike=0.9999)
    assert got.keep.tolist() == [True, True, False, False, True]
    assert got.reasons[2:4] == ("near-identical", "near-identical")
    assert select(still, most_alike=1.1).keep.all()


def repeats(first: np.ndarray, second: np.ndarray, *, most_alike: float = MOST_ALIKE) -> bool:
    """Whether the second of two neighbours goes."""
    stays = np.array([True, False])
    stays_on = thin([first, second], required=stays, candidate=~stays, most_alike=most_alike)
    return not stays_on[1]


def test_noise_does_not_hide_that_neighbours_repeat_each_other() -> None:
    plane, _ = chest_slice(openness=1.0)
    noise = np.random.default_rng(0).normal(0, 40, (2, *plane.shape))
    first, second = (plane + grain for grain in noise)
    other, _ = chest_slice(openness=0.7)
    assert repeats(first, second)
    assert not repeats(first, other)


def test_odd_pictures_as_neighbours() -> None:
    flat = np.full((40, 30), 7, np.int16)
    ramp = np.tile(np.arange(30, dtype=np.int16), (40, 1))
    assert repeats(flat, flat + 5, most_alike=1.0)
    assert not repeats(flat, ramp, most_alike=1e-9)
    assert not repeats(ramp, ramp[:20], most_alike=1e-9)
    assert not repeats(ramp, -ramp, most_alike=-0.999)


def test_annotated_slices_stay_whatever_they_show() -> None:
    volume = chest(depth=11)
    volume[:, :, 6] = volume[:, :, 5]
    annotated = np.zeros(11, bool)
    annotated[[0, 6]] = True
    got = select(volume, annotated=annotated, most_alike=0.9999)
    assert got.keep[[0, 6]].all()
    assert got.reasons[0] == got.reasons[6] == "annotated"
    assert not got.keep[5], "repeats the annotated slice after it"
    assert got.reasons[5] == "near-identical"


def test_radiologist_wins_over_annotation_and_rules() -> None:
    volume = chest(depth=11)
    annotated = np.ones(11, bool)
    ruled = [True, *[None] * 4, False, *[None] * 5]
    got = select(volume, annotated=annotated, ruled=ruled)
    assert got.keep[0]
    assert not got.keep[5]
    assert got.reasons[0] == got.reasons[5] == "radiologist"
    assert got.keep.sum() == 10


@pytest.mark.parametrize(
    ("n", "expected"), [(41, range(10, 30)), (20, range(20)), (7, range(7)), (53, range(16, 36))]
)
def test_middle_run(n: int, expected: range) -> None:
    assert middle_run(n, length=20) == expected


def test_arguments_of_other_lengths_are_refused() -> None:
    with pytest.raises(DataError, match=r"ruled: 2 values for 11 slices"):
        select(chest(depth=11), ruled=[None, None])
    with pytest.raises(DataError, match="without slices"):
        select([])


def test_reads_a_radiologists_list(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(
        b"\xef\xbb\xbffile_name,Label,keep\r\nP001_1.png,COVID-19,no\r\na%0.png,0,\r\ncap1_2.png,cap,TRUE\r\n"
    )
    assert read_rulings(path) == {
        "P001_1.png": Ruling(1, False),
        "a%0.png": Ruling(0, True),
        "cap1_2.png": Ruling(2, True),
    }
    path.write_text("file_name,label\nx.png,NonCOVID\n")
    assert read_rulings(path) == {"x.png": Ruling(0, True)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\nx.png,0\n", r"labels.csv: no column file_name; found name, label"),
        (
            "file_name,label\nx.png,covd\n",
            r"labels.csv, line 2: label 'covd'; did you mean 'covid'",
        ),
        ("file_name,label,keep\nx.png,1,maybe\n", r"line 2: keep 'maybe'; .*valid: yes"),
        (
            "file_name,label\nx.png,1\nx.png,0\n",
            r"line 3: x.png is decided differently in an earlier line",
        ),
    ],
)
def test_bad_lists_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_rulings(path)


def test_real_chest_is_cut_at_apex_and_base(shared: Path) -> None:
    raw = shared / "realdata" / "pack_dev" / "raw" / "COVID-CT-MD" / "COVID-19 subjects"
    findings = Findings()
    files = [file for file in list_files(raw, findings=findings) if file.place.parts[0] == "P001"]
    series = read_series(files, findings=findings)
    headers = sorted(series.headers, key=lambda header: header.instance)
    planes = [read_hounsfield(h.file.read(), name=h.file.origin) for h in headers]
    got = select(planes)
    chosen = [header.instance for header, keep in zip(headers, got.keep, strict=True) if keep]
    assert chosen == list(range(33, 122, 8)), (
        "every eighth image is there; 1 is the neck, 145 below"
    )
    assert 0.4 < got.lung_shares.max() < 0.5
    assert got.reasons[0] == "too little lung", "the trachea alone"
