"""Series at any heights, and scans read without networks: lesion is what was drawn as such."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from drawn_scans import AXIAL, LESION, drawn, grid, series_affine, write_series

from mgajax.inference.inputs import find_scans
from mgajax.inference.problems import Problems
from mgajax.inference.scans import Plane

RADIUS = 24.0
TRUE_ML = 4 / 3 * np.pi * RADIUS**3 / 1000
SPACING = (1.25, 1.5)
TOP = 100.0


def read(*inputs: Path, unpacked: Path) -> tuple[list[list[Plane]], list[str]]:
    """The planes of each scan, and the lines about them."""
    problems = Problems()
    scans = find_scans(inputs, unpacked=unpacked, turn="none", problems=problems)
    planes = [list(scan.planes(problems)) for scan in scans]
    return planes, [str(problem) for problem in problems.noted]


def lesion_ml(planes: Sequence[Plane]) -> float | None:
    volumes = [plane.voxel_ml for plane in planes]
    if None in volumes:
        return None
    return sum(float((plane.values == LESION).sum() * plane.voxel_ml) for plane in planes)


def series(
    folder: Path,
    heights: Sequence[float],
    *,
    spacing: tuple[float, float] = SPACING,
    orientation: Sequence[float] = AXIAL,
    **elements: Any,
) -> list[Path]:
    """A series at any heights, of a ball in the middle of its slices, in order from the first."""
    values = []
    for height in heights:
        affine = series_affine(orientation, spacing=spacing, step=(0, 0, 0))
        affine[2, 3] = height
        where = grid(affine, (96, 80, 1))
        middle = where.reshape(-1, 3).mean(axis=0)
        centre = (middle[0], middle[1], TOP - 50.0)
        values.append(drawn(where, centre=centre, radius=RADIUS)[0])
    affine = series_affine(orientation, spacing=spacing, step=(0, 0, -1))
    paths = write_series(folder, np.concatenate(values, axis=2), affine, **elements)
    for path, height in zip(paths, heights, strict=True):
        edit(path, ImagePositionPatient=[-60.0, -70.0, height])
    return paths


def edit(path: Path, **elements: Any) -> None:
    data = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    data.save_as(path, enforce_file_format=True)


def even(step: float, *, first: float = TOP, last: float = 0.0) -> list[float]:
    return np.arange(first, last - 1e-6, -step).tolist()
