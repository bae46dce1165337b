"""Lesions come out at the millimetres at which they were drawn, however the slices are stored."""

import csv
import itertools
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from drawn_scans import (
    AXIAL,
    LESION,
    Predict,
    drawn,
    grid,
    read_header,
    series_affine,
    sides,
    turned,
    write_series,
    write_volume,
)
from PIL import ExifTags, Image

from mgajax.inference.inputs import find_scans
from mgajax.inference.nifti_volume import open_scan
from mgajax.inference.problems import RESEARCH_USE, Problems

ALL_WAYS = list(
    itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
)


def cells(path: Path) -> dict[str, str]:
    """The only row of a table."""
    with path.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    return row


def volume_with_ball(
    path: Path, affine: np.ndarray, shape: tuple[int, ...], *, off: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """A NIfTI volume whose ball lies `off` its middle, in mm right, front and up; ball and centre."""
    where = grid(affine, shape)
    centre = where.reshape(-1, 3).mean(axis=0) + np.array(off)
    values, ball = drawn(where, centre=centre, radius=9.0)
    write_volume(path, values, affine)
    return ball, centre


@pytest.mark.parametrize(("axes", "steps"), ALL_WAYS)
def test_every_way_of_storing_is_shown_front_up_and_right_at_left(
    axes: tuple[int, ...], steps: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "volume.nii"
    affine, shape = turned(axes, steps, tilt=0.3), sides(axes)
    ball, _ = volume_with_ball(path, affine, shape, off=(20.0, 15.0, 8.0))
    scan = open_scan(path, unpacked=tmp_path, turn="none")
    planes = list(scan.planes(Problems()))
    assert len(planes) == len(scan) == 9
    assert all(plane.values.shape == (80, 96) for plane in planes)
    heights = [plane.position for plane in planes]
    assert heights == sorted(heights, reverse=True)
    centre = np.argwhere(np.stack([plane.values for plane in planes]) == LESION).mean(axis=0)
    # 8 mm up is above the middle slice, 15 mm to the front above the middle row, right at the left.
    np.testing.assert_allclose(centre, (4 - 8 / 4, 39.5 - 15 / 1.25, 47.5 - 20 / 1.5), atol=4.5)
    assert centre[0] < 4
    assert centre[1] < 36
    assert centre[2] < 40
    assert sum((plane.values == LESION).sum() for plane in planes) == ball.sum()


@pytest.mark.parametrize("packed", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("axes", "steps", "tilt"),
    [
        ((0, 1, 2), (-1, 1, 1), 0.0),
        ((0, 1, 2), (1, -1, -1), 0.25),
        ((2, 0, 1), (1, 1, -1), 0.4),
        ((1, 2, 0), (-1, -1, 1), -0.2),
    ],
)
def test_nifti_masks_lie_where_the_lesion_was_drawn(
    run: Predict, tmp_path: Path, axes, steps, tilt: float, packed: str
) -> None:
    path = tmp_path / f"volume{packed}"
    affine = turned(axes, steps, tilt=tilt)
    ball, centre = volume_with_ball(path, affine, sides(axes), off=(-14.0, 10.0, 6.0))
    result = run(path)
    assert not result.problems
    mask = nib.load(tmp_path / "out" / "volume" / "lesion.nii.gz")
    np.testing.assert_allclose(mask.affine, affine, atol=1e-6)
    assert mask.get_data_dtype() == np.uint8
    assert bytes(mask.header["descrip"]).rstrip(b"\0").decode() == RESEARCH_USE
    values = np.asarray(mask.dataobj)
    np.testing.assert_array_equal(values, ball.astype(np.uint8))
    voxels = np.argwhere(values) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    np.testing.assert_allclose(voxels.mean(axis=0), centre, atol=0.8)
    row = cells(tmp_path / "out" / "patients.csv")
    assert float(row["lesion_ml"]) == pytest.approx(ball.sum() * 1.5 * 1.25 * 4.0 / 1000, rel=1e-5)


TILTED = (1.0, 0.0, 0.0, 0.0, float(np.cos(0.3)), float(np.sin(0.3)))


@pytest.mark.parametrize(
    ("orientation", "step", "ml"),
    [
        (AXIAL, (0, 0, 4), 4.0),
        ((-1, 0, 0, 0, -1, 0), (0, 0, -4), 4.0),
        ((0, 1, 0, 1, 0, 0), (0, 0, 4), 4.0),
        (TILTED, (0, 0, 4), 4 * np.cos(0.3)),
        (TILTED, (0, -4 * np.sin(0.3), 4 * np.cos(0.3)), 4.0),
    ],
    ids=["axial", "half a turn", "transposed", "gantry tilt", "oblique"],
)
def test_dicom_segmentations_lie_where_the_lesion_was_drawn(
    run: Predict, tmp_path: Path, orientation, step, ml: float
) -> None:
    affine = series_affine(orientation, spacing=(1.25, 1.5), step=step)
    where = grid(affine, (96, 80, 9))
    centre = where.reshape(-1, 3).mean(axis=0) + np.array((12.0, -15.0, 5.0))
    values, ball = drawn(where, centre=centre, radius=9.0)
    paths = write_series(tmp_path / "series", values, affine)
    assert not run(tmp_path / "series").problems
    folder = tmp_path / "out" / "drawn_series4"
    segmentation = highdicom.seg.segread(folder / "lesion.dcm")
    assert segmentation.ContentDescription == RESEARCH_USE
    assert (
        segmentation.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lesion"
    )
    headers = {header.SOPInstanceUID: header for header in map(read_header, paths)}
    points = np.concatenate(
        [points_of(segmentation, frame) for frame in range(segmentation.NumberOfFrames)]
    )
    expected = where[ball]
    order = [np.lexsort(array.round(3).T) for array in (points, expected)]
    np.testing.assert_allclose(points[order[0]], expected[order[1]], atol=1e-3)
    np.testing.assert_allclose(points.mean(axis=0), centre, atol=0.8)
    referenced = {
        reference.ReferencedSOPInstanceUID
        for reference in segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert referenced == {
        uid for uid, header in headers.items() if ball[..., header.InstanceNumber - 1].any()
    }
    row = cells(tmp_path / "out" / "patients.csv")
    assert float(row["lesion_ml"]) == pytest.approx(ball.sum() * 1.25 * 1.5 * ml / 1000, rel=1e-5)


def points_of(segmentation: highdicom.seg.Segmentation, frame: int) -> np.ndarray:
    """Millimetres of a frame's lesion, from the segmentation's own elements alone."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    frame_groups = segmentation.PerFrameFunctionalGroupsSequence[frame]
    directions = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    position = frame_groups.PlanePositionSequence[0].ImagePositionPatient
    row, column = np.argwhere(np.atleast_3d(segmentation.pixel_array.T).T[frame]).T
    right, down = np.array(directions, float).reshape(2, 3)
    return (
        np.array(position, float)
        + column[:, None] * float(spacing[1]) * right
        + row[:, None] * float(spacing[0]) * down
    )


@pytest.mark.parametrize("turn", ["none", "flip", "rotate"])
def test_a_turn_changes_what_is_shown_and_not_where_a_mask_lies(
    run: Predict, tmp_path: Path, turn: str
) -> None:
    affine = turned((0, 1, 2), (-1, 1, 1))
    ball, _ = volume_with_ball(tmp_path / "v.nii", affine, sides((0, 1, 2)), off=(-14.0, 10.0, 6.0))
    run(tmp_path / "v.nii", turn=turn)
    mask = nib.load(tmp_path / "out" / "v" / "lesion.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj), ball.astype(np.uint8))


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_masks_of_turned_pictures_lie_in_the_files_own_grid(
    tmp_path: Path, orientation: int
) -> None:
    stored = np.full((40, 50), 90, np.uint8)
    stored[5:12, 30:41] = 255
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    problems = Problems()
    (scan,) = find_scans([tmp_path / "a.png"], unpacked=tmp_path, turn="flip", problems=problems)
    with scan.masks(tmp_path, problems) as write:
        (plane,) = scan.planes(problems)
        assert plane.values.shape == ((50, 40) if orientation > 4 else (40, 50))
        write(plane, plane.values == 255)
    mask = np.asarray(Image.open(tmp_path / "masks" / "a.png"))
    np.testing.assert_array_equal(mask, np.where(stored == 255, 255, 0))
    assert not problems.noted


def test_a_mask_goes_back_under_a_header_that_is_not_believed(run: Predict, tmp_path: Path) -> None:
    affine, shape = turned((0, 1, 2), (-1, 1, 1)), sides((0, 1, 2))
    ball, _ = volume_with_ball(tmp_path / "v.nii", affine, shape, off=(-14.0, 10.0, 6.0))
    image = nib.load(tmp_path / "v.nii")
    header = image.header.copy()
    header.set_qform(affine, code=1)
    header["srow_x"] = header["srow_y"] = header["srow_z"] = 0
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, header), tmp_path / "odd.nii")
    run(tmp_path / "odd.nii")
    mask = nib.load(tmp_path / "out" / "odd" / "lesion.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj), ball.astype(np.uint8))
    for field in ("sform_code", "qform_code", "pixdim", "srow_x", "quatern_b", "qoffset_x"):
        np.testing.assert_array_equal(mask.header[field], header[field])
    row = cells(tmp_path / "out" / "patients.csv")
    assert float(row["lesion_ml"]) == pytest.approx(ball.sum() * 1.5 * 1.25 * 4.0 / 1000, rel=1e-5)


@pytest.mark.parametrize(
    "elements", [{"PixelSpacing": [0.75, 0.75]}, {"ImagePositionPatient": None}]
)
def test_lesions_that_are_no_body_in_space_stay_pictures(
    run: Predict, tmp_path: Path, elements: dict[str, list[float] | None]
) -> None:
    affine = series_affine(AXIAL, spacing=(1.25, 1.5), step=(0, 0, 4))
    where = grid(affine, (96, 80, 9))
    values, _ = drawn(where, centre=where.reshape(-1, 3).mean(axis=0), radius=9.0)
    paths = write_series(tmp_path / "in", values, affine)
    for path in paths if None in elements.values() else paths[:4]:
        data = pydicom.dcmread(path)
        for keyword, value in elements.items():
            setattr(data, keyword, value or [0, 0, 0])
        data.save_as(path)
    result = run(tmp_path / "in")
    folder = tmp_path / "out" / "drawn_series4"
    assert not list(folder.glob("lesion.*"))
    assert len(list((folder / "lesion").iterdir())) == 9
    assert "no lesion.dcm and no lesion.nii.gz" in str(result.problems[-1])
