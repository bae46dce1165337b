"""Drawn lesions come out at their millilitres, or at none with a line, whatever headers say."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from drawn_scans import drawn, grid, series_affine, write_series
from drawn_series import RADIUS, SPACING, TRUE_ML, edit, even, lesion_ml, read, series


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        (even(2.5), []),
        (sorted([*even(2.5), 40.1], reverse=True), ["lies 0.1 mm from"]),
        (sorted([*even(2.5), *(slice_ + 0.1 for slice_ in even(2.5))]), ["and 40 more like it"]),
        (even(2.5, last=60) + even(7.5, first=52.5), ["missing in 8 places"]),
        (even(2.5, last=60) + even(3.5, first=56.5), ["uneven in 16 places"]),
        (
            sorted(even(5, last=50) + even(5, first=62, last=2), reverse=True),
            ["uneven in 7 places"],
        ),
        ([slice_ for slice_ in even(2.5) if slice_ not in (60.0, 42.5)], ["2 slices missing in 2"]),
    ],
    ids=["even", "one repeat", "all repeat", "coarser", "uneven", "two passes", "missing"],
)
def test_every_slice_counts_for_its_share(
    tmp_path: Path, heights: list[float], expected: list[str]
) -> None:
    series(tmp_path / "in", heights)
    (planes,), lines = read(tmp_path / "in", unpacked=tmp_path)
    assert lesion_ml(planes) == pytest.approx(TRUE_ML, rel=0.02)
    assert len(lines) == len(expected), lines
    for line, part in zip(lines, expected, strict=True):
        assert part in line


@pytest.mark.parametrize("angle", [0.3, -0.45])
def test_a_tilted_gantry_keeps_the_volume(tmp_path: Path, angle: float) -> None:
    tilted = (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle)))
    affine = series_affine(tilted, spacing=SPACING, step=(0, 0, -2.5))
    where = grid(affine, (96, 80, 40))
    values, _ = drawn(where, centre=where.reshape(-1, 3).mean(axis=0), radius=RADIUS)
    write_series(tmp_path / "in", values, affine)
    (planes,), lines = read(tmp_path / "in", unpacked=tmp_path)
    assert lesion_ml(planes) == pytest.approx(TRUE_ML, rel=0.02)
    assert not lines


def test_pixels_of_two_sizes_count_each_by_their_own(tmp_path: Path) -> None:
    coarse = series(tmp_path / "in", even(2.5, last=50))
    for path in coarse:
        path.rename(path.with_name(f"coarse_{path.name}"))
    fine = series(tmp_path / "in", even(2.5, first=47.5), spacing=(0.9, 1.1))
    uid = pydicom.dcmread(next((tmp_path / "in").glob("coarse*"))).SeriesInstanceUID
    for path in fine:
        edit(path, SeriesInstanceUID=uid)
    (planes,), (line,) = read(tmp_path / "in", unpacked=tmp_path)
    assert lesion_ml(planes) == pytest.approx(TRUE_ML, rel=0.02)
    assert "pixels of 1.25 x 1.5 mm (21 slices) and 0.9 x 1.1 mm (20 slices)" in line
    for path in fine:
        edit(path, PixelSpacing=[0.09, 0.11])
    (planes,), (line,) = read(tmp_path / "in", unpacked=tmp_path)
    assert lesion_ml(planes) is None
    assert "cannot be believed" in line


def test_a_gap_of_many_steps_is_not_bridged(tmp_path: Path) -> None:
    series(tmp_path / "in", even(2.5, last=80) + even(2.5, first=10))
    (planes,), (line,) = read(tmp_path / "in", unpacked=tmp_path)
    assert max(plane.voxel_ml or 0 for plane in planes) == pytest.approx(1.25 * 1.5 * 2.5 / 1000)
    assert "27 slices missing in 1 place" in line


Header = Callable[[nib.Nifti1Header, np.ndarray], None]

TURNED = np.array([[-1.5, 0, 0, 60.0], [0, -1.25, 0, 50.0], [0, 0, 2.5, -40.0], [0, 0, 0, 1.0]])
TURNED[1:3, 1:3] = [
    [-1.25 * np.cos(0.2), -2.5 * np.sin(0.2)],
    [-1.25 * np.sin(0.2), 2.5 * np.cos(0.2)],
]


def forms(header: nib.Nifti1Header, sform: np.ndarray | None, qform: np.ndarray | None) -> None:
    header.set_qform(TURNED if qform is None else qform, code=int(qform is not None))
    header.set_sform(TURNED if sform is None else sform, code=int(sform is not None))


def scaled(factor: float) -> np.ndarray:
    return np.diag([factor, factor, factor, 1.0]) @ TURNED


def unit(name: str, factor: float, *, is_both: bool = True) -> Header:
    def set_(header: nib.Nifti1Header) -> None:
        forms(header, scaled(factor) if is_both else None, scaled(factor))
        header.set_xyzt_units(name)

    return set_


def one_mm(header: nib.Nifti1Header) -> None:
    forms(header, np.diag([-1.0, -1.0, 1.0, 1.0]), TURNED)


def one_mm_pixdim(header: nib.Nifti1Header) -> None:
    forms(header, TURNED, None)
    header["pixdim"][1:4] = 1


def at_odds(header: nib.Nifti1Header) -> None:
    forms(header, TURNED, None)
    header["pixdim"][1:4] = 0.7, 0.7, 5.0


def default(header: nib.Nifti1Header) -> None:
    forms(header, None, None)
    header["pixdim"][1:4] = 1


def no_size(header: nib.Nifti1Header) -> None:
    forms(header, None, None)
    header["pixdim"][1:4] = 0


@pytest.mark.parametrize(
    ("write", "is_known", "expected"),
    [
        (lambda header: forms(header, TURNED, None), True, ""),
        (lambda header: forms(header, None, TURNED), True, ""),
        (unit("mm", 1.0), True, ""),
        (unit("meter", 1e-3), True, ""),
        (unit("micron", 1e3), True, ""),
        (unit("micron", 1e3, is_both=False), True, ""),
        (lambda header: forms(header, 0 * TURNED, TURNED), True, "qform is used instead"),
        (lambda header: forms(header, np.nan * TURNED, TURNED), True, "qform is used instead"),
        (lambda header: forms(header, None, None), True, "nobody knows how it lies"),
        (lambda header: forms(header, 0 * TURNED, None), True, "nobody knows how it lies"),
        (one_mm, True, "pixdim is believed"),
        (one_mm_pixdim, True, "the sform is believed"),
        (at_odds, False, "nobody knows which is right; volumes are left empty"),
        (default, False, "was never set; volumes are left empty"),
        (no_size, False, "volumes are left empty"),
        (unit("unknown", 1e-3), False, "none of a body's scan; volumes are left empty"),
        (unit("meter", 1.0), False, "none of a body's scan; volumes are left empty"),
    ],
)
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_nifti_header_is_used_or_reported(
    tmp_path: Path, write, is_known: bool, expected: str, kind: type[nib.Nifti1Image]
) -> None:
    where = grid(TURNED, (96, 80, 32))
    values, _ = drawn(where, centre=where.reshape(-1, 3).mean(axis=0), radius=RADIUS)
    header = kind.header_class()
    header.set_data_dtype(np.int16)
    header.set_data_shape(values.shape)
    write(header)
    nib.save(kind(values, None, header), tmp_path / "v.nii")
    (planes,), lines = read(tmp_path / "v.nii", unpacked=tmp_path)
    assert len(planes) == 32
    if is_known:
        assert lesion_ml(planes) == pytest.approx(TRUE_ML, rel=0.02)
    else:
        assert lesion_ml(planes) is None
    assert bool(lines) == bool(expected), lines
    assert expected in "".join(lines)
