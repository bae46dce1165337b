"""The lesions of a DICOM series as a NIfTI volume, where no DICOM segmentation can be written."""

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float, UInt8

from mgajax.errors import DataError
from mgajax.files import naming_file
from mgajax.imaging.geometry import NIFTI_TO_DICOM
from mgajax.inference.problems import RESEARCH_USE

UNEVEN = 0.02
"""How far a slice may lie from its position in an even volume, as a share of the step."""


def write_lesion_volume(
    path: Path,
    *,
    packed: Mapping[int, UInt8[np.ndarray, "_ _"]],
    shape: tuple[int, int],
    positions: Float[np.ndarray, "n 3"],
    axes: Float[np.ndarray, "3 2"],
    thickness: float | None,
) -> None:
    """Write a uint8 volume `[rows, columns, n]` with 1 in the lesion, in the series' geometry.

    Args:
      packed: lesions as stored, eight columns in a byte, by the index of their slice.
      shape: rows and columns.
      positions: of the slices' first pixels in mm, in DICOM's directions.
      axes: the steps in mm from row to row and from column to column.
      thickness: in mm, the step of a series of one slice.

    Raises:
      DataError: the slices are not evenly spaced, which a NIfTI volume cannot express.
    """
    affine = np.eye(4)
    affine[:3, :2] = axes
    affine[:3, 2] = _step(positions, axes=axes, thickness=thickness)
    affine[:3, 3] = positions[0]
    affine[:3] *= NIFTI_TO_DICOM[:, None]
    volume = np.zeros((*shape, len(positions)), np.uint8, order="F")
    for index, bits in packed.items():
        volume[..., index] = np.unpackbits(bits, axis=1, count=shape[1])
    image = nib.Nifti1Image(volume, affine)
    image.header["descrip"] = RESEARCH_USE.encode()
    image.header["cal_min"], image.header["cal_max"] = 0, 1
    image.header.set_xyzt_units("mm")
    with naming_file(path):
        nib.save(image, path)


def _step(
    positions: Float[np.ndarray, "n 3"],
    *,
    axes: Float[np.ndarray, "3 2"],
    thickness: float | None,
) -> Float[np.ndarray, "3"]:
    """The step from slice to slice in mm."""
    count = len(positions)
    if count == 1:
        normal = np.cross(axes[:, 1], axes[:, 0])
        return normal / np.linalg.norm(normal) * (thickness or 1.0)
    step = (positions[-1] - positions[0]) / (count - 1)
    even = positions[0] + np.arange(count)[:, None] * step
    farthest = np.linalg.norm(positions - even, axis=1).max()
    if farthest > UNEVEN * np.linalg.norm(step):
        raise DataError(
            f"the slices are not evenly spaced (one lies {farthest:.3g} mm off), which a NIfTI volume "
            "cannot express"
        )
    return step
