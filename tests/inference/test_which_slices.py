"""Which DICOM slices are one scan and in which order, and which headers cannot place a slice."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from drawn_series import TRUE_ML, edit, even, lesion_ml, read, series

from mgajax.inference.scans import Plane

UID = "1.2.826.0.1.3680043.8.498.1"


def twice(folder: Path, *, second: str = ".", **elements: Any) -> None:
    """Two reconstructions of one series UID at the same positions, the second in a folder of it."""
    for path in series(folder, even(2.5), SeriesInstanceUID=UID):
        path.rename(path.with_name(f"first_{path.name}"))
        edit(
            path.with_name(f"first_{path.name}"),
            **{key: first for key, (first, _) in elements.items()},
        )
    for path in series(folder / second, even(2.5), SeriesInstanceUID=UID):
        edit(path, **{key: other for key, (_, other) in elements.items()})


@pytest.mark.parametrize(
    ("second", "elements", "by"),
    [
        (".", {"AcquisitionNumber": (1, 2)}, "AcquisitionNumber"),
        (".", {"ConvolutionKernel": ("B30f", "B70f")}, "ConvolutionKernel"),
        (".", {"ConvolutionKernel": (["I30f", "2"], ["I70f", "2"])}, "ConvolutionKernel"),
        (
            ".",
            {"ImageType": (["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY"])},
            "ImageType",
        ),
        ("other", {}, "folder"),
    ],
)
def test_two_reconstructions_are_two_scans(
    tmp_path: Path, second: str, elements: dict[str, Any], by: str
) -> None:
    twice(tmp_path / "in", second=second, **elements)
    scans, (line,) = read(tmp_path / "in", unpacked=tmp_path)
    assert [len(planes) for planes in scans] == [41, 41]
    for planes in scans:
        assert lesion_ml(planes) == pytest.approx(TRUE_ML, rel=0.02)
    assert f"positions repeat; there are 2 reconstructions by {by} (41, 41 slices)" in line


def test_without_anything_that_tells_repeats_are_left_out(tmp_path: Path) -> None:
    twice(tmp_path / "in")
    (planes,), (line,) = read(tmp_path / "in", unpacked=tmp_path)
    assert lesion_ml(planes) == pytest.approx(TRUE_ML, rel=0.02)
    assert "and 40 more like it; it is left out" in line


def test_acquisitions_that_follow_each_other_are_one_scan(tmp_path: Path) -> None:
    for place, path in enumerate(series(tmp_path / "in", even(2.5))):
        edit(path, AcquisitionNumber=place // 4 + 1)
    (planes,), lines = read(tmp_path / "in", unpacked=tmp_path)
    assert len(planes) == 41
    assert not lines


def test_directions_that_differ_in_the_last_decimals_are_one_series(tmp_path: Path) -> None:
    paths = series(tmp_path / "in", even(2.5))
    for place, path in enumerate(paths):
        off = 0.0005 + 1e-6 * (-1) ** place
        edit(path, ImageOrientationPatient=[1.0, off, 0.0, -off, 1.0, 0.0])
    (planes,), lines = read(tmp_path / "in", unpacked=tmp_path)
    assert lesion_ml(planes) == pytest.approx(TRUE_ML, rel=0.02)
    assert not lines


Number = Callable[[int], dict[str, Any]]


@pytest.mark.parametrize(
    "number",
    [
        lambda place: {"SliceLocation": 100.0 - place},
        lambda place: {"InstanceNumber": place + 1},
        lambda place: {"SliceLocation": 5.0, "InstanceNumber": place + 1},
    ],
)
def test_slices_at_one_position_are_ordered_and_have_no_volume(
    tmp_path: Path, number: Number
) -> None:
    paths = series(tmp_path / "in", even(2.5, last=70))
    for place, path in enumerate(paths):
        edit(path, ImagePositionPatient=[0, 0, 0], InstanceNumber=1)
        edit(path, **number(place))
    (planes,), (line,) = read(tmp_path / "in", unpacked=tmp_path)
    assert [plane.path for plane in planes] == paths
    assert {plane.voxel_ml for plane in planes} == {plane.position for plane in planes} == {None}
    assert f"all {len(paths)} slices lie at one position" in line
    assert "volumes are left empty" in line


@pytest.mark.parametrize("sign", [1, -1])
def test_slices_of_equal_position_are_ordered_by_location(tmp_path: Path, sign: int) -> None:
    heights = even(2.5)
    paths = series(tmp_path / "in", heights)
    for path, height in zip(paths, heights, strict=True):
        edit(path, SliceLocation=sign * height - 300.0)
    edit(paths[20], ImagePositionPatient=pydicom.dcmread(paths[21]).ImagePositionPatient)
    (planes,), (line,) = read(tmp_path / "in", unpacked=tmp_path)
    assert [plane.path for plane in planes] == paths
    assert lesion_ml(planes) == pytest.approx(TRUE_ML, rel=0.02)
    assert "different SliceLocations" in line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ImagePositionPatient", None),
        ("ImagePositionPatient", [1.0, 2.0]),
        ("ImagePositionPatient", "1\\2\\nan"),
        ("ImagePositionPatient", "1\\2\\here"),
        ("ImageOrientationPatient", [1, 0, 0, 0, 1]),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]),
        ("ImageOrientationPatient", "1\\0\\0\\0\\inf\\0"),
        ("PixelSpacing", None),
        ("PixelSpacing", [0, 0]),
        ("PixelSpacing", [1.5]),
    ],
)
def test_a_header_that_cannot_place_its_slice_is_one_line(
    tmp_path: Path, key: str, value: object
) -> None:
    paths = series(tmp_path / "in", even(2.5, last=80))
    raw(paths[2], key, value)
    series(tmp_path / "good", even(2.5))
    scans, lines = read(tmp_path / "in", tmp_path / "good", unpacked=tmp_path)
    assert [len(planes) for planes in scans] == [8, 41]
    (line,) = [line for line in lines if line.startswith("left out")]
    shown = "" if value is None else value if isinstance(value, str) else None
    assert f"{paths[2]}: {key} " in line
    assert shown is None or f"{key} '{shown}'" in line
    assert lesion_ml(scans[1]) == pytest.approx(TRUE_ML, rel=0.02)


def raw(path: Path, key: str, value: object) -> None:
    """Write a value, also one that pydicom would refuse: digits first, then letters for them."""
    if not isinstance(value, str):
        edit(path, **{key: value})
        return
    digits = re.sub("[a-z]", "9", value)
    edit(path, **{key: digits.split("\\")})
    content = path.read_bytes()
    assert content.count(digits.encode()) == 1
    path.write_bytes(content.replace(digits.encode(), value.encode()))


def values(planes: list[Plane]) -> np.ndarray:
    return np.stack([plane.values for plane in planes])


@pytest.mark.parametrize("name", ["{}", "{}.dcm"])
@pytest.mark.parametrize("has_meta", [True, False])
def test_dicom_without_preamble_is_read(tmp_path: Path, name: str, has_meta: bool) -> None:
    paths = series(tmp_path / "in", even(5))
    ((before,), _) = read(tmp_path / "in", unpacked=tmp_path)
    for path in paths:
        data = pydicom.dcmread(path)
        if has_meta:
            bare = path.read_bytes()[132:]
        else:
            elements = pydicom.Dataset()
            elements.update(data)
            elements.save_as(path, implicit_vr=True, little_endian=True)
            bare = path.read_bytes()
        path.unlink()
        path.with_name(name.format(path.stem)).write_bytes(bare)
    (planes,), lines = read(tmp_path / "in", unpacked=tmp_path)
    assert not lines
    np.testing.assert_array_equal(values(planes), values(before))


def test_an_empty_rescale_is_one_and_zero_and_reported_once(tmp_path: Path) -> None:
    for path in series(tmp_path / "in", even(5)):
        edit(path, RescaleSlope=None, RescaleIntercept=None)
    (planes,), (line,) = read(tmp_path / "in", unpacked=tmp_path)
    assert "21 of 21 slices without RescaleSlope or RescaleIntercept" in line
    assert values(planes).min() == -1000 + 1024


HU = np.random.default_rng(0).integers(-1000, 1500, (9, 8, 4)).astype(np.float32)


def test_a_pair_of_header_and_voxels_is_one_scan(tmp_path: Path) -> None:
    image = nib.Nifti1Pair(HU.astype(np.int16), np.diag([-1.0, -1.0, 2.0, 1.0]))
    (tmp_path / "in").mkdir()
    nib.save(image, tmp_path / "in" / "v.hdr")
    (planes,), lines = read(tmp_path / "in", unpacked=tmp_path)
    assert not lines
    assert len(planes) == 4
    (tmp_path / "in" / "v.img").unlink()
    scans, (line,) = read(tmp_path / "in", unpacked=tmp_path)
    assert not scans
    assert "no v.img beside it" in line


def test_values_that_are_no_numbers_are_air_and_reported_once(tmp_path: Path) -> None:
    torn = HU.copy()
    torn[0], torn[-1, 3] = np.nan, np.inf
    nib.save(nib.Nifti1Image(torn, np.diag([-1.0, -1.0, 2.0, 1.0])), tmp_path / "v.nii")
    (planes,), (line,) = read(tmp_path / "v.nii", unpacked=tmp_path)
    assert "4 of 4 planes with values that are no numbers; these count as air" in line
    pixels = values(planes)
    assert (pixels == -1024).sum() == 4 * (8 + 1)
    assert np.isfinite(pixels).all()


def test_a_coloured_volume_is_refused_in_a_line(tmp_path: Path) -> None:
    colour = np.zeros((5, 4, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colour, np.eye(4)), tmp_path / "v.nii")
    scans, (line,) = read(tmp_path / "v.nii", unpacked=tmp_path)
    assert not scans
    assert "a colour picture (RGB), expected one number a voxel" in line
