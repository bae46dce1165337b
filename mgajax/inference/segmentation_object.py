"""Lesions as a DICOM segmentation (DICOM PS3.3 A.51) in the frame of their source slices."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
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
from pydicom.datadict import dictionary_VR
from pydicom.sr.codedict import codes
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from mgajax import __version__
from mgajax.errors import DataError, quantity
from mgajax.files import naming_file
from mgajax.imaging.dicom import read_header
from mgajax.inference.problems import RESEARCH_USE

SERIES_NUMBER = 9000
"""Of the segmentation's own series; viewers list it after the acquired ones."""

UTF_8 = "ISO_IR 192"
"""The character set of every segmentation, whatever that of its source."""

COPIED = (
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
"""Elements that a segmentation copies from its source, and that may be empty (type 2)."""

IDENTIFYING = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
"""Elements by which a segmentation references its sources (type 1)."""

SEXES = ("M", "F", "O")


def write_segmentation(
    path: Path,
    *,
    sources: Sequence[Path],
    packed: Sequence[UInt8[np.ndarray, "_ _"]],
    thickness: float | None,
) -> tuple[str, ...]:
    """Write a binary segmentation with one frame for each source slice.

    Args:
      path: the file.
      sources: DICOM files of slices with a lesion, of one series.
      packed: the lesion of each as stored, eight columns in a byte (`np.packbits`).
      thickness: in mm, for sources that do not state theirs.

    Returns:
      A line for each element that the sources lack or have wrong, and what was written instead.

    Raises:
      DataError: the sources cannot be referenced, or lack an element that cannot be filled in.
    """
    slices = [
        read_header(source, name=str(source), take=lambda header: header) for source in sources
    ]
    _check_references(slices)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            lines = tuple(_complete(slices, thickness=thickness))
            columns = int(slices[0].Columns)
            pixels = np.stack([np.unpackbits(bits, axis=1, count=columns) for bits in packed])
            with naming_file(path):
                _make_segmentation(slices, pixels).save_as(path)
        except (AttributeError, KeyError, TypeError, ValueError, LookupError) as error:
            path.unlink(missing_ok=True)
            raise DataError(f"{type(error).__name__}: {error}") from error
    return lines


def _check_references(slices: Sequence[pydicom.Dataset]) -> None:
    """Refuse sources that cannot be referenced."""
    for keyword in IDENTIFYING:
        values = [str(header.get(keyword) or "") for header in slices]
        invalid = [value for value in values if not UID(value).is_valid]
        if invalid:
            raise DataError(
                f"{len(invalid)} of {quantity(len(slices), 'slice')} with a {keyword} that is no UID "
                f"({invalid[0]!r}), so that nothing can refer to them"
            )
    instances = {str(header.SOPInstanceUID) for header in slices}
    if len(instances) < len(slices):
        raise DataError(
            f"{len(slices)} slices share {len(instances)} SOPInstanceUIDs, so that a reference does "
            "not tell which one it means"
        )


def _complete(slices: Sequence[pydicom.Dataset], *, thickness: float | None) -> Iterator[str]:
    """Complete the elements that a segmentation must copy, in UTF-8; yields a line for each change."""
    for header in slices:
        header.decode()
        header.SpecificCharacterSet = UTF_8
    emptied = {keyword for header in slices for keyword in _empty_invalid(header)}
    for keyword in sorted(emptied):
        yield f"a {keyword} that DICOM does not allow is left empty"
    if not all(UID(str(header.get("FrameOfReferenceUID") or "")).is_valid for header in slices):
        frame = highdicom.UID()
        for header in slices:
            header.FrameOfReferenceUID = frame
        yield "the slices name no FrameOfReferenceUID; the segmentation has one of its own"
    if not all(header.get("SliceThickness") for header in slices):
        if not thickness:
            raise DataError("the slices state no SliceThickness, and one alone has no step")
        for header in slices:
            header.SliceThickness = f"{thickness:.10g}"
        yield f"the slices state no SliceThickness; their step of {thickness:g} mm stands for it"


def _empty_invalid(header: pydicom.Dataset) -> Iterator[str]:
    """Empty the copied elements of a header that DICOM does not allow; yields their keywords."""
    for keyword in COPIED:
        value = header.get(keyword)
        if not value:
            setattr(header, keyword, None)
        elif not _is_allowed(keyword, str(value)):
            setattr(header, keyword, None)
            yield keyword


def _is_allowed(keyword: str, value: str) -> bool:
    if keyword == "PatientSex":
        return value in SEXES
    with contextlib.suppress(ValueError):
        validate_value(dictionary_VR(keyword), value, pydicom.config.RAISE)
        return True
    return False


def _make_segmentation(
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
        content_creator_name="mgajax",
        content_description=RESEARCH_USE,
        series_description=RESEARCH_USE,
        specific_character_set=UTF_8,
    )
