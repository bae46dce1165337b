"""Scans with a ball of lesion at known millimetres, written as NIfTI and as DICOM series."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from mgajax.inference.predict import Outcome

Predict = Callable[..., Outcome]
"""`predict` as the fixture `run` gives it."""

SIDE = 96
"""Longest side of a drawn slice, and of what the stand-in networks see."""

AIR, TISSUE, LESION = -1000, 40, 2000
WINDOW = "0/4000"
"""Renders lesion as 255, tissue as 130 and air as 64."""

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def grid(affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Millimetres `[*shape, 3]` of the voxels' centres."""
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return indices @ affine[:3, :3].T + affine[:3, 3]


def drawn(where: np.ndarray, *, centre: Sequence[float], radius: float) -> tuple[np.ndarray, ...]:
    """Hounsfield units int16 at points in mm, a body with lungs and a ball of lesion; and the ball."""
    middle = where.reshape(-1, 3).mean(axis=0)
    body = np.linalg.norm(where - middle, axis=-1) < 60
    ball = np.linalg.norm(where - np.asarray(centre), axis=-1) < radius
    values = np.where(body & ~lungs(where), TISSUE, AIR)
    return np.where(ball, LESION, values).astype(np.int16), ball


def lungs(where: np.ndarray) -> np.ndarray:
    """Two cylinders of air along the body, on both sides of the middle of what is drawn of it."""
    points = where.reshape(-1, 3)
    middle = points.mean(axis=0)
    half = np.minimum((points.max(axis=0) - points.min(axis=0)) / 2, 60.0)
    across, front = np.moveaxis((where - middle)[..., :2] / half[:2], -1, 0)
    return ((np.abs(across) - 0.5) / 0.3) ** 2 + (front / 0.65) ** 2 < 1


def chest_picture(height: int, width: int, *, tissue: int = 90) -> np.ndarray:
    """Grey levels uint8 of a body with two lungs."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    body = y**2 + x**2 < 0.95**2
    lung = ((np.abs(x) - 0.45) / 0.3) ** 2 + (y / 0.6) ** 2 < 1
    return np.where(body & ~lung, tissue, 10).astype(np.uint8)


def turned(axes: Sequence[int], steps: Sequence[int], *, tilt: float = 0.0) -> np.ndarray:
    """An affine whose voxel axis n runs along axis `axes[n]` of the body, tilted about x.

    Millimetres per voxel are 1.5, 1.25 and 4 across, front to back and along.
    """
    spacing = np.array([1.5, 1.25, 4.0])
    cosine, sine = np.cos(tilt), np.sin(tilt)
    rotation = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    affine = np.eye(4)
    for voxel_axis, (axis, step) in enumerate(zip(axes, steps, strict=True)):
        affine[:3, voxel_axis] = rotation[:, axis] * spacing[axis] * step
    return affine


def sides(axes: Sequence[int]) -> tuple[int, ...]:
    """A shape for that: 96 × 80 × 9 voxels across, front to back and along."""
    return tuple((SIDE, 80, 9)[axis] for axis in axes)


def write_volume(path: Path, values: np.ndarray, affine: np.ndarray) -> Path:
    """A NIfTI volume."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def series_affine(
    orientation: Sequence[float], *, spacing: tuple[float, float], step: Sequence[float]
) -> np.ndarray:
    """From (row, column, slice) to DICOM's millimetres, the first pixel at (-60, -70, 100)."""
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(orientation[3:]) * spacing[0]
    affine[:3, 1] = np.asarray(orientation[:3]) * spacing[1]
    affine[:3, 2] = step
    affine[:3, 3] = (-60.0, -70.0, 100.0)
    return affine


def write_series(
    folder: Path,
    values: np.ndarray,
    affine: np.ndarray,
    *,
    patient: str = "drawn",
    syntax: str | None = None,
    **elements: Any,
) -> list[Path]:
    """Slices `[rows, columns, n]` of Hounsfield units as files named in a shuffled order.

    `elements` are set last, in every file; None leaves one out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spacing = np.linalg.norm(affine[:3, :2], axis=0)
    directions = np.concatenate([affine[:3, 1] / spacing[1], affine[:3, 0] / spacing[0]])
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for place in range(values.shape[2]):
        data = _empty(folder / f"IM{(place * 7) % 101:03}.dcm")
        data.SeriesInstanceUID, data.StudyInstanceUID = series, study
        data.FrameOfReferenceUID = frame
        data.PatientID, data.InstanceNumber = patient, place + 1
        data.ImagePositionPatient = (affine[:3, 3] + place * affine[:3, 2]).round(6).tolist()
        data.ImageOrientationPatient = directions.round(8).tolist()
        data.PixelSpacing = spacing.round(6).tolist()
        data.Rows, data.Columns = values.shape[:2]
        data.PixelData = (values[..., place].clip(min=-1024) + 1024).astype(np.uint16).tobytes()
        data["PixelData"].VR = "OW"
        for keyword, value in elements.items():
            if value is None:
                delattr(data, keyword)
            else:
                setattr(data, keyword, value)
        if syntax is not None:
            data.compress(syntax, generate_instance_uid=False)
        path = Path(str(data.filename))
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _empty(path: Path) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.Modality, data.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.SeriesNumber, data.SliceThickness = 4, 4.0
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    return data


def read_header(path: Path) -> pydicom.Dataset:
    """A file's elements without pixels."""
    return pydicom.dcmread(path, stop_before_pixels=True)
