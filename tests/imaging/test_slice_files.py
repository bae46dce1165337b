"""Any file as slices: upright, in eight bits, and each kind by its content."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from drawn_scans import AXIAL, series_affine, turned, write_series, write_volume
from drawn_volumes import chest, chest_slice

from mgajax.errors import DataError
from mgajax.imaging.pictures import encode_png
from mgajax.imaging.slice_files import slices_of_file

UPSIDE_DOWN = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def stretched(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return np.rint((values - low) / (high - low) * 255).astype(np.uint8)


def test_a_picture_is_one_slice(tmp_path: Path) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    path = tmp_path / "a.jpg"  # whatever it is called
    path.write_bytes(encode_png(pixels))
    (only,) = slices_of_file(path)
    np.testing.assert_array_equal(only.pixels, pixels)
    assert (only.plane, only.patient) == (0, "")


@pytest.mark.parametrize("orientation", [AXIAL, UPSIDE_DOWN])
def test_a_dicom_slice_is_turned_upright_and_has_its_patient(tmp_path: Path, orientation) -> None:
    upright = chest_slice(openness=1.0, padding=-1024)[0]
    stored = upright if orientation == AXIAL else upright[::-1]
    affine = series_affine(orientation, spacing=(1.0, 1.0), step=(0, 0, -5))
    (path,) = write_series(tmp_path, stored[..., None], affine, patient="P7")
    (only,) = slices_of_file(path)
    np.testing.assert_array_equal(only.pixels, stretched(upright))
    assert only.patient == "P7"


def test_planes_of_a_volume_are_numbered_as_they_are_stored(tmp_path: Path) -> None:
    volume = chest(depth=5).transpose(1, 0, 2)
    affine = turned((0, 1, 2), (-1, -1, 1))
    path = write_volume(tmp_path / "v.nii.gz", volume, affine)
    slices = list(slices_of_file(path))
    assert [slice_.plane for slice_ in slices] == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(slices[2].pixels, stretched(chest(depth=5)[..., 2]))


def test_files_that_are_no_slices_are_one_line_each(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("words")
    with pytest.raises(DataError, match=r"a\.txt: expected a picture, DICOM or NIfTI"):
        list(slices_of_file(text))
    with pytest.raises(DataError, match=r"gone\.png: cannot be read"):
        list(slices_of_file(tmp_path / "gone.png"))
    cut = tmp_path / "cut.png"
    cut.write_bytes(encode_png(np.zeros((64, 64), np.uint8))[:40])
    with pytest.raises(DataError, match=r"cut\.png: 40 bytes that are no complete picture"):
        list(slices_of_file(cut))


def test_a_slice_that_is_not_axial_is_refused(tmp_path: Path) -> None:
    affine = series_affine((1.0, 0.0, 0.0, 0.0, 0.0, -1.0), spacing=(1.0, 1.0), step=(0, 5, 0))
    (path,) = write_series(tmp_path, chest_slice(openness=1.0)[0][..., None], affine)
    assert pydicom.dcmread(path).PatientID == "drawn"
    with pytest.raises(DataError, match="not axial"):
        list(slices_of_file(path))
