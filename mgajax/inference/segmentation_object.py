"""Lesions as a DICOM segmentation (DICOM PS3.3 A.51) in the frame of their source slices."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import highdicom
import numpy as np
import pydicom
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from jaxtyping import UInt8
from pydicom.sr.codedict import codes

from mgajax import __version__
from mgajax.errors import DataError
from mgajax.inference.problems import RESEARCH_USE

SERIES_NUMBER = 9000
"""Of the segmentation's own series; viewers list it after the acquired ones."""


REPEATED = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
"""What a segmentation repeats of its source and may be empty; anonymised files leave it out."""


def write_segmentation(
    path: Path, *, sources: Sequence[Path], packed: Sequence[UInt8[np.ndarray, "_ _"]]
) -> None:
    """Write a binary segmentation with one frame a source slice.

    Args:
      path: the file.
      sources: DICOM files of slices with a lesion, of one series.
      packed: the lesion of each as stored, eight columns in a byte (`np.packbits`).

    Raises:
      DataError: the sources lack what a segmentation must repeat of them.
    """
    slices = [pydicom.dcmread(source, stop_before_pixels=True) for source in sources]
    for one in slices:
        for keyword in REPEATED:
            one.setdefault(keyword, None)
    columns = int(slices[0].Columns)
    pixels = np.stack([np.unpackbits(bits, axis=1, count=columns) for bits in packed])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _segmentation(slices, pixels).save_as(path)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"no {path.name} was written: {error}") from error


def _segmentation(
    slices: Sequence[pydicom.Dataset], pixels: UInt8[np.ndarray, "n h w"]
) -> Segmentation:
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="mgajax", version=__version__, family=codes.DCM.ArtificialIntelligence
    )
    lesion = SegmentDescription(
        segment_number=1,
        segment_label="Lesion (predicted)",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    return Segmentation(
        source_images=slices,
        pixel_array=pixels,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[lesion],
        series_instance_uid=highdicom.UID(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="mgajax",
        manufacturer_model_name="mgajax",
        software_versions=__version__,
        device_serial_number="none",
        content_label="LESION",
        content_description=RESEARCH_USE,
        series_description=RESEARCH_USE,
    )
