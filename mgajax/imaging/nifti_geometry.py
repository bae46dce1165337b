"""What a NIfTI header says of a volume's geometry, and how much of it can be believed.

A header states the voxels' sizes up to three times: in its sform, its qform and `pixdim`. The sform
counts, as in every reader, where it is finite and not singular. Where its sizes contradict
`pixdim`, the one that says 1 mm along all axes was never set, and the other one is believed. Where
neither says so, volumes in millilitres stay empty.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from nibabel.spatialimages import HeaderDataError

UNITS = {0: ("none", 1.0), 1: ("metre", 1000.0), 2: ("mm", 1.0), 3: ("micron", 0.001)}
"""The header's unit of length by its code, and in mm; a header without one means millimetres."""

PLAUSIBLE_MM = (0.05, 25.0)
"""Sides of the voxels of a body's scan."""

TOLERANCE = 0.02
"""How far two statements of one size may differ."""

SINGULAR = 1e-6
"""Axes of unit length with a smaller determinant span no volume."""

EMPTY = "volumes are left empty"


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where a volume's voxels lie, as far as it can be believed.

    Attributes:
      affine: from voxels to millimetres right, front and up.
      voxel_ml: None where the header contradicts itself, or says what cannot be.
      oddities: a line for each thing that is not as it should be.
    """

    affine: Float[np.ndarray, "4 4"]
    voxel_ml: float | None
    oddities: tuple[str, ...] = ()


def geometry_of(header: Any) -> Geometry:
    """The geometry in nibabel's header of NIfTI-1 or -2."""
    unit, in_mm = UNITS.get(int(header["xyzt_units"]) & 7, UNITS[0])
    pixdim = np.array(header["pixdim"][1:4], np.float64)
    oddities: list[str] = []
    affine = None
    for name in ("sform", "qform"):
        if affine is None and int(header[f"{name}_code"]) > 0:
            affine = _read_affine(header, name=name)
            if affine is None:
                oddities.append(f"its {name} is singular or holds no numbers, so it is not used")
            elif name == "qform" and oddities:
                oddities.append("its qform is used instead")
            elif name == "sform":
                affine, lines = _reconcile(affine, pixdim=pixdim, unit=unit)
                oddities += lines
    if affine is None:
        affine, line = _affine_of_pixdim(header, pixdim=pixdim)
        oddities.append(line)
    affine[:3] *= in_mm
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    if not ((sides >= PLAUSIBLE_MM[0]) & (sides <= PLAUSIBLE_MM[1])).all():
        oddities.append(
            f"voxels of {_sizes(sides)} mm (the header's unit: {unit}) are none of a body's scan; "
            f"{EMPTY}"
        )
    is_believed = not any(line.endswith(EMPTY) for line in oddities)
    volume = float(abs(np.linalg.det(affine[:3, :3]))) / 1000
    return Geometry(affine, volume if is_believed else None, tuple(oddities))


def _read_affine(header: Any, *, name: str) -> Float[np.ndarray, "4 4"] | None:
    """The sform or qform; None where it is not finite, or spans no volume."""
    try:
        affine = np.array(getattr(header, f"get_{name}")(), np.float64)
    except (ValueError, HeaderDataError):
        return None
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not sides.all():
        return None
    return affine if abs(np.linalg.det(affine[:3, :3] / sides)) > SINGULAR else None


def _reconcile(
    affine: Float[np.ndarray, "4 4"], *, pixdim: Float[np.ndarray, "3"], unit: str
) -> tuple[Float[np.ndarray, "4 4"], list[str]]:
    """The affine to believe where sform and `pixdim` may contradict each other, and why."""
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    volume = abs(np.linalg.det(affine[:3, :3]))
    pixel_sides = np.abs(pixdim)
    if not (np.isfinite(pixel_sides) & (pixel_sides > 0)).all() or _are_near(sides, pixel_sides):
        return affine, []
    if _are_near(
        volume, pixel_sides.prod()
    ):  # other axes first, or the step across a sheared volume's planes
        return affine, []
    contradiction = (
        f"its sform says {_sizes(sides)} and its pixdim {_sizes(pixel_sides)} (unit: {unit})"
    )
    if _are_near(pixel_sides, 1.0):
        return affine, [f"{contradiction}; the sform is believed, since pixdim was never set"]
    if _are_near(sides, 1.0):
        scaled = affine.copy()
        scaled[:3, :3] *= pixel_sides / sides
        return scaled, [
            f"{contradiction}; pixdim is believed, since the sform's sizes were never set"
        ]
    return affine, [f"{contradiction}, and nobody knows which is right; {EMPTY}"]


def _affine_of_pixdim(
    header: Any, *, pixdim: Float[np.ndarray, "3"]
) -> tuple[Float[np.ndarray, "4 4"], str]:
    """The sizes alone, in the directions that readers assume where a header gives none."""
    oddity = "without a usable sform or qform nobody knows how it lies; look whether it is upright"
    if not (np.isfinite(pixdim) & (pixdim != 0)).all():
        return np.diag([-1.0, 1.0, 1.0, 1.0]), f"{oddity}; its pixdim is no size either; {EMPTY}"
    affine = np.array(header.get_base_affine(), np.float64)
    if _are_near(np.abs(pixdim), 1.0):
        return affine, f"{oddity}; its pixdim of 1 x 1 x 1 was never set; {EMPTY}"
    return affine, f"{oddity}; volumes are by its pixdim of {_sizes(np.abs(pixdim))}"


def _are_near(first: Any, second: Any) -> bool:
    return bool(np.allclose(first, second, rtol=TOLERANCE, atol=0))


def _sizes(sides: Float[np.ndarray, "3"]) -> str:
    return " x ".join(f"{side:.4g}" for side in sides)
