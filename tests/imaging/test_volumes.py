"""NIfTI volumes from bytes and from a path, and the rule of their unit."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mgajax.imaging import nifti
from mgajax.imaging.nifti import Volume, open_volume

VOXELS = np.random.default_rng(3).integers(0, 256, (6, 5, 4))


def content(voxels: np.ndarray, *, scaling: tuple[float, float] | None = None) -> bytes:
    image = nib.Nifti1Image(voxels, np.diag([2.0, 1.5, 3.0, 1.0]), dtype=voxels.dtype)
    written = bytearray(image.to_bytes())
    if scaling is not None:
        written[112:120] = np.array(scaling, "<f4").tobytes()
    return bytes(written)


@pytest.mark.parametrize("packed", [False, True])
def test_bytes_and_paths_give_the_same_volume(tmp_path: Path, packed: bool) -> None:
    whole = content((VOXELS * 7 - 1000).astype(np.int16))
    whole = gzip.compress(whole) if packed else whole
    path = tmp_path / "volume.nii.gz"
    path.write_bytes(whole)
    (tmp_path / "unpacked").mkdir()
    volumes = [
        open_volume(whole, name="v"),
        open_volume(path, name="v"),
        open_volume(path, name="v", unpacked=tmp_path / "unpacked"),
    ]
    for volume in volumes:
        assert (volume.shape, volume.unit) == ((6, 5, 4), "HU")
        assert volume.geometry.voxel_ml == pytest.approx(0.009)
        for axis, count in enumerate(volume.shape):
            for index in range(count):
                expected = (VOXELS * 7 - 1000).take(index, axis=axis)
                np.testing.assert_array_equal(volume.plane(index, axis=axis), expected)


@pytest.mark.parametrize(("name", "packed"), [("v.nii", False), ("v.nii.gz", True)])
def test_only_packed_files_are_copied(tmp_path: Path, name: str, packed: bool) -> None:
    whole = content(VOXELS.astype(np.int16))
    (tmp_path / name).write_bytes(gzip.compress(whole) if packed else whole)
    (tmp_path / "unpacked").mkdir()
    open_volume(tmp_path / name, name="v", unpacked=tmp_path / "unpacked")
    assert len(list((tmp_path / "unpacked").iterdir())) == packed


@pytest.mark.parametrize(
    ("voxels", "scaling", "unit", "planes"),
    [
        (VOXELS.astype(np.uint8), None, "grey", 0),
        (VOXELS.astype(np.uint8), (float("nan"), float("nan")), "grey", 0),
        (VOXELS.astype(np.uint8), (10.0, -1000.0), "HU", 1),
        (VOXELS.astype(np.int16), None, "grey", 4),
        ((VOXELS - 500).astype(np.int16), None, "HU", 1),
        (np.where(np.arange(4) == 2, 256, VOXELS).astype(np.int16), None, "HU", 3),
    ],
)
def test_the_unit_follows_from_the_type_or_the_first_clear_plane(
    monkeypatch: pytest.MonkeyPatch, voxels, scaling, unit: str, planes: int
) -> None:
    read: list[int] = []
    plane = Volume.plane

    def counted(self: Volume, index: int, *, axis: int = 2) -> np.ndarray:
        read.append(index)
        return plane(self, index, axis=axis)

    monkeypatch.setattr(nifti.Volume, "plane", counted)
    volume = open_volume(content(voxels, scaling=scaling), name="v")
    assert (volume.unit, len(read)) == (unit, planes)
    assert (volume.unit, len(read)) == (unit, planes), "it is found once"
