"""What shows no chest counts for nothing; lesions count inside the thorax; a line says what that is."""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from drawn_scans import (
    AIR,
    AXIAL,
    LESION,
    TISSUE,
    Predict,
    chest_picture,
    drawn,
    grid,
    lungs,
    series_affine,
    write_series,
    write_volume,
)
from PIL import Image

from mgajax.imaging.windows import find_window
from mgajax.inference.inputs import find_scans
from mgajax.inference.problems import Problems
from mgajax.inference.thorax import keep_inside, thorax_box

SPACING = (1.25, 1.5)


def affine(slices: int) -> np.ndarray:
    """Head first, 4 mm apart, the first slice highest."""
    return series_affine(AXIAL, spacing=SPACING, step=(0.0, 0.0, 4.0)) @ np.diag([1, 1, -1, 1])


def healthy(slices: int, *, chests: slice) -> np.ndarray:
    """A person `[96, 80, n]` with lungs in `chests` alone: above it shoulders, below it a belly.

    The shoulders hold bone and the belly gas, both with what the stand-in network takes for lesion.
    """
    y, x = np.mgrid[-1:1:96j, -1:1:80j]
    body = y**2 / 0.75**2 + x**2 / 0.95**2 < 1
    planes = np.where(body, TISSUE, AIR)[..., None].repeat(slices, axis=2)
    chest = (((np.abs(x) - 0.5) / 0.3) ** 2 + (y / 0.5) ** 2 < 1)[..., None]
    planes[..., chests] = np.where(chest, AIR, planes[..., chests])
    humerus = (np.abs(x) - 0.75) ** 2 + y**2 < 0.1**2
    planes[..., : chests.start][humerus] = LESION
    gas, wall = (((x - 0.15) / 0.2) ** 2 + ((y + 0.3) / 0.15) ** 2 < r for r in (1.0, 2.0))
    planes[..., chests.stop :][wall] = LESION
    planes[..., chests.stop :][gas] = AIR
    return planes.astype(np.int16)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("slices", "chests"), [(12, slice(4, 8)), (10, slice(2, 9))])
def test_a_healthy_person_has_no_lesion_in_bowel_and_shoulders(
    run: Predict, tmp_path: Path, slices: int, chests: slice
) -> None:
    write_series(
        tmp_path / "whole", healthy(slices, chests=chests), affine(slices), patient="healthy"
    )
    (scan,) = run(tmp_path / "whole").scans
    numbers = range(chests.start + 1, chests.stop + 1)
    assert [slice_.number for slice_ in scan.chests] == list(numbers)
    (row,) = rows(tmp_path / "out" / "scans.csv")
    assert (row["slices"], row["chest_slices"]) == (str(slices), str(len(numbers)))
    assert float(row["lesion_ml"]) == float(row["lesion_share_of_lung"]) == 0.0
    assert row["predicted"]
    assert not (tmp_path / "out" / "healthy_series4" / "lesion.dcm").exists()
    for slice_ in rows(tmp_path / "out" / "slices.csv"):
        assert (
            bool(slice_["predicted"])
            == bool(slice_["lesion_ml"])
            == (int(slice_["slice"]) in numbers)
        )


@pytest.mark.parametrize("window", ["published", "lung"])
def test_the_fat_of_a_belly_is_no_lung(run: Predict, tmp_path: Path, window: str) -> None:
    """Lung and muscle as in a picture whose contrast is stretched between the two."""
    y, x = np.mgrid[-1:1:96j, -1:1:80j]
    outline, muscle = (y**2 / ry**2 + x**2 / rx**2 < 1 for ry, rx in ((0.75, 0.95), (0.6, 0.2)))
    plane = np.where(outline, np.where(muscle, 60, -110), -150)
    values = np.where(outline, plane, -320)[..., None].repeat(5, axis=2)
    write_series(tmp_path / "belly", values.astype(np.int16), affine(5))
    (scan,) = run(tmp_path / "belly", window=find_window(window)).scans
    assert not scan.chests


def test_an_abdomen_has_no_class_and_no_lesion(run: Predict, tmp_path: Path) -> None:
    path = tmp_path / "abdomen.nii.gz"
    write_volume(path, healthy(10, chests=slice(2, 2))[..., ::-1], np.diag([1.5, 1.5, 4, 1]))
    result = run(path)
    (problem,) = result.problems
    assert str(problem) == (
        "odd: abdomen: no class: 0 of 10 slices with a chest; its lesion and lung are not measured"
    )
    (row,) = rows(tmp_path / "out" / "patients.csv")
    for key in ("predicted", "COVID-19", "lesion_ml", "lung_ml", "lesion_share_of_lung"):
        assert row[key] == "", key
    mask = nib.load(tmp_path / "out" / "abdomen" / "lesion.nii.gz")
    assert not np.asarray(mask.dataobj).any()
    for page in (result.page, result.page.parent / "abdomen" / "index.html"):
        assert "no class: 0 of 10 slices with a chest" in page.read_text("utf-8")


def test_few_chest_slices_are_measured_and_not_classified(run: Predict, tmp_path: Path) -> None:
    values = healthy(11, chests=slice(1, 3))
    values[46:50, 38:42, 1] = LESION
    write_series(tmp_path / "few", values, affine(11), patient="few")
    result = run(tmp_path / "few")
    assert "no class: 2 of 11 slices with a chest, fewer than 20%" in result.problems[0].text
    (row,) = rows(tmp_path / "out" / "patients.csv")
    assert (row["predicted"], row["chest_slices"]) == ("", "2")
    assert float(row["lesion_ml"]) == pytest.approx(16 * 1.25 * 1.5 * 4 / 1000)


def test_masks_of_pictures_count_as_the_tables_do(run: Predict, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    chest = chest_picture(64, 96)
    chest[30:36, 44:52] = 255  # between the lungs
    chest[1:4, 1:5] = 255  # outside of the body
    y, x = np.mgrid[-1:1:64j, -1:1:96j]
    belly = np.where(y**2 + x**2 < 0.9, 90, 10).astype(np.uint8)
    belly[30:36, 44:52] = 255
    for name, pixels in (("chest", chest), ("belly", belly), ("chest2", chest)):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    run(folder)
    masks = {
        path.stem: np.asarray(Image.open(path)) > 0
        for path in (tmp_path / "out" / "in" / "masks").iterdir()
    }
    expected = np.zeros((64, 96), bool)
    expected[30:36, 44:52] = True
    np.testing.assert_array_equal(masks["chest"], expected)
    np.testing.assert_array_equal(masks["chest2"], expected)
    assert not masks["belly"].any()
    pixels = {row["file"]: row["lesion_pixels"] for row in rows(tmp_path / "out" / "slices.csv")}
    assert pixels == {"belly.png": "", "chest.png": "48", "chest2.png": "48"}
    overlay = [np.asarray(Image.open(tmp_path / f"out/in/lesion/{n:04}.png")) for n in (1, 2)]
    assert not overlay[0].any()
    np.testing.assert_array_equal(overlay[1] > 0, expected)


def test_consolidated_lung_next_to_aerated_lung_stays_inside() -> None:
    body = np.zeros((100, 100), bool)
    body[10:90, 10:90] = True
    lung, lesion = np.zeros_like(body), np.zeros_like(body)
    lung[30:60, 20:40] = lung[30:60, 60:80] = True
    region = thorax_box(lung, body=body)
    assert region[26:64, 16:84].all()
    assert region.sum() == 38 * 68
    lesion[52:74, 22:38] = True  # from within the box to 10 pixels behind it
    lesion[86:92, 30:70] = True  # the back's skin
    lesion[10:29, 45:55] = True  # most of it before the breastbone
    inside = keep_inside(lesion, region)
    assert inside[52:74, 22:38].all()
    assert inside.sum() == 22 * 16
    assert not thorax_box(np.zeros_like(body), body=body).any()


def test_lung_is_empty_where_none_was_found(run: Predict, tmp_path: Path) -> None:
    """The picture's border cuts both lungs: they are seen, and not measured."""
    where = grid(affine(5), (96, 80, 5))
    values, ball = drawn(where, centre=where.reshape(-1, 3).mean(axis=0), radius=8.0)
    write_series(tmp_path / "cut", values[:, 18:62], affine(5), patient="cut")
    run(tmp_path / "cut")
    (row,) = rows(tmp_path / "out" / "patients.csv")
    assert row["chest_slices"] == "5"
    assert float(row["lesion_ml"]) == pytest.approx(ball.sum() * 1.25 * 1.5 * 4 / 1000, rel=1e-5)
    assert (row["lung_ml"], row["lesion_share_of_lung"]) == ("", "")


def test_hounsfield_units_without_sign_are_reported(run: Predict, tmp_path: Path) -> None:
    place = np.diag([1.5, 1.25, 4.0, 1.0])
    where = grid(place, (96, 80, 5))
    values, ball = drawn(where, centre=where.reshape(-1, 3).mean(axis=0), radius=8.0)
    write_volume(tmp_path / "shifted.nii", (values + 1024).clip(min=0), place)
    write_volume(tmp_path / "plain.nii", values, place)
    result = run(tmp_path / "shifted.nii", tmp_path / "plain.nii", window=None)
    (problem,) = result.problems
    assert str(problem).startswith("odd: shifted: values look like HU + 1024")
    table = {row["scan"]: row for row in rows(tmp_path / "out" / "scans.csv")}
    assert table["shifted"]["lesion_ml"] == table["plain"]["lesion_ml"]
    assert (table["shifted"]["lung_ml"], table["plain"]["lung_ml"]) != ("", "")
    assert table["shifted"]["lung_ml"] == ""
    assert lungs(where).any()
    assert ball.any()


def test_label_maps_next_to_their_volume_are_no_patients(tmp_path: Path) -> None:
    place, folder = np.diag([1.5, 1.25, 4.0, 1.0]), tmp_path / "in"
    where = grid(place, (48, 40, 5))
    values, ball = drawn(where, centre=where.reshape(-1, 3).mean(axis=0), radius=8.0)
    write_volume(folder / "s1" / "ct.nii.gz", values, place)
    write_volume(folder / "s1" / "ct_seg.nii.gz", ball.astype(np.uint8), place)
    write_volume(folder / "s1" / "segmentations" / "lung.nii", lungs(where) * 2.0, place)
    write_volume(folder / "s2" / "mask.nii", ball.astype(np.uint8), place)
    write_volume(folder / "s2" / "ct.nii", values[..., :4], place)
    problems = Problems()
    (tmp_path / "unpacked").mkdir()
    scans = find_scans([folder], unpacked=tmp_path / "unpacked", turn="none", problems=problems)
    assert {scan.source.relative_to(folder).as_posix() for scan in scans} == {
        "s1/ct.nii.gz",
        "s2/ct.nii",
        "s2/mask.nii",  # of another shape than the volume beside it
    }
    assert [str(problem) for problem in problems.noted] == [
        f"passed over: {folder / 's1' / name}: labels of ct.nii.gz, no patient"
        for name in ("ct_seg.nii.gz", "segmentations/lung.nii")
    ]


def test_a_scan_is_upside_down_by_the_majority_of_its_pictures(
    run: Predict, tmp_path: Path
) -> None:
    upright = chest_picture(64, 96)
    upright[50:59, 43:54] = 140  # the spine
    saturated = np.where(upright > 50, np.uint8(255), upright)
    for folder, kinds in (("turned", "ddus"), ("upright", "duus"), ("white", "s")):
        (tmp_path / folder).mkdir()
        for place, kind in enumerate(kinds):
            pixels = {"u": upright, "d": upright[::-1], "s": saturated}[kind]
            Image.fromarray(pixels).save(tmp_path / folder / f"{place}.png")
    result = run(tmp_path / "turned", tmp_path / "upright", tmp_path / "white", window=None)
    called = {s.name: ["upside down" in item.oddities for item in s.slices] for s in result.scans}
    assert called == {"turned": [True] * 4, "upright": [False] * 4, "white": [False]}
    assert [str(item) for item in result.problems] == [
        "odd: turned: upside down in 2 of 3 slices that could be judged; try --turn flip (or rotate)"
    ]


def test_geometry_is_believed_and_not_asked(run: Predict, tmp_path: Path) -> None:
    """A volume of a patient in prone position: the spine is above."""
    place = np.diag([1.5, 1.25, 4.0, 1.0])
    where = grid(place, (96, 80, 3))
    values, _ = drawn(where, centre=(0, 0, -99), radius=1.0)
    front = where[..., 1] - where[..., 1].mean()
    values[(front > 40) & (np.abs(where[..., 0] - where[..., 0].mean()) < 10)] = 500
    write_volume(tmp_path / "prone.nii", values, place)
    assert not run(tmp_path / "prone.nii").problems
