"""Lesions as DICOM-SEG: complete for every kind of header, or replaced by a NIfTI volume."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from drawn_scans import AXIAL, Predict, drawn, grid, series_affine, write_series
from pydicom.uid import UID, generate_uid

SHAPE = (96, 80, 5)
AFFINE = series_affine(AXIAL, spacing=(1.25, 1.5), step=(0.0, 0.0, -4.0))
VALUES, BALL = drawn(grid(AFFINE, SHAPE), centre=(-5.0, -12.0, 92.0), radius=9.0)

FILLED = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"),
    *("SeriesNumber", "FrameOfReferenceUID", "Manufacturer", "ManufacturerModelName"),
    *("DeviceSerialNumber", "SoftwareVersions", "InstanceNumber", "ContentLabel", "ContentDate"),
    *("ContentTime", "ImageType", "SamplesPerPixel", "PhotometricInterpretation", "Rows"),
    *("Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
    *("LossyImageCompression", "SegmentationType", "SegmentSequence", "NumberOfFrames"),
    *("DimensionOrganizationSequence", "DimensionIndexSequence", "ReferencedSeriesSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    "SpecificCharacterSet",
)
"""Type 1 (and 1C where its condition holds) of the modules of PS3.3 Table A.51-1."""

PRESENT = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("ReferringPhysicianName", "StudyID", "AccessionNumber", "PositionReferenceIndicator"),
    "ContentCreatorName",
)
"""Type 2: may be empty, must be there."""


def missing(segmentation: pydicom.Dataset) -> Iterator[str]:
    """What the standard demands of a segmentation and this one has not."""
    yield from (f"empty {word}" for word in FILLED if not _filled(segmentation, word))
    yield from (f"no {word}" for word in PRESENT if word not in segmentation)
    for element in segmentation.iterall():
        if element.VR == "UI" and not UID(str(element.value)).is_valid:
            yield f"{element.keyword} is {element.value!r}"
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    measures = shared.PixelMeasuresSequence[0]
    yield from (w for w in ("PixelSpacing", "SliceThickness") if not _filled(measures, w))
    if not _filled(shared.PlaneOrientationSequence[0], "ImageOrientationPatient"):
        yield "ImageOrientationPatient"
    frames = segmentation.PerFrameFunctionalGroupsSequence
    if len(frames) != segmentation.NumberOfFrames:
        yield "groups of frames"
    sources = [frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in frames]
    if len({frame.ReferencedSOPInstanceUID for frame in sources}) < len(sources):
        yield "references that differ"
    if not all(_filled(frame.PlanePositionSequence[0], "ImagePositionPatient") for frame in frames):
        yield "ImagePositionPatient"


def _filled(data: pydicom.Dataset, keyword: str) -> bool:
    value = data.get(keyword)
    return value is not None and (not hasattr(value, "__len__") or len(value) > 0)


@pytest.mark.parametrize(
    ("elements", "name"),
    [
        ({"SpecificCharacterSet": ["", "ISO 2022 IR 87"]}, "Yamada^Tarou=山田^太郎"),
        ({"SpecificCharacterSet": ["", "ISO 2022 IR 149"]}, "Hong^Gildong=洪^吉洞"),
        ({"SpecificCharacterSet": "ISO_IR 100"}, "Müller^Jürgen"),
        ({"SpecificCharacterSet": "ISO_IR 192"}, "Иванов^Иван"),
        ({"SpecificCharacterSet": ""}, "Doe"),
        ({"SpecificCharacterSet": "ISO 2022 IR 6"}, "Doe"),
        ({"PatientSex": "F", "PatientBirthDate": "19500101"}, "Doe"),
    ],
)
def test_every_character_set_becomes_unicode(
    run: Predict, tmp_path: Path, elements: dict[str, Any], name: str
) -> None:
    write_series(tmp_path / "in", VALUES, AFFINE, **elements, PatientName=name)
    outcome = run(tmp_path / "in")
    assert not outcome.problems
    written = highdicom.seg.segread(tmp_path / "out" / "drawn_series4" / "lesion.dcm")
    assert list(missing(written)) == []
    assert str(written.PatientName) == name
    assert written.get("PatientBirthDate") == elements.get("PatientBirthDate", "")
    assert written.pixel_array.sum() == BALL.sum()


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"SliceThickness": None}, "no SliceThickness; their step of 4 mm stands for it"),
        ({"SliceThickness": ""}, "no SliceThickness; their step of 4 mm stands for it"),
        ({"FrameOfReferenceUID": None}, "has one of its own"),
        ({"FrameOfReferenceUID": ""}, "has one of its own"),
        ({"PatientBirthDate": "1950-01-01"}, "a PatientBirthDate that DICOM does not allow"),
        ({"StudyTime": "half past two"}, "a StudyTime that DICOM does not allow"),
        ({"PatientSex": "female"}, "a PatientSex that DICOM does not allow"),
        ({"AccessionNumber": "1" * 40}, "a AccessionNumber that DICOM does not allow"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # pydicom's, of the values drawn wrongly
def test_missing_header_elements_are_filled_in_and_reported(
    run: Predict, tmp_path: Path, elements: dict[str, Any], expected: str
) -> None:
    write_series(tmp_path / "in", VALUES, AFFINE, **elements)
    (problem,) = run(tmp_path / "in").problems
    assert expected in problem.text
    assert problem.kind == "odd"
    written = highdicom.seg.segread(tmp_path / "out" / "drawn_series4" / "lesion.dcm")
    assert list(missing(written)) == []
    assert float(
        written.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness
    ) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"SOPInstanceUID": ""}, "with a SOPInstanceUID that is no UID ('')"),
        ({"SOPInstanceUID": generate_uid()}, "slices share 1 SOPInstanceUIDs"),
        ({"StudyInstanceUID": None}, "with a StudyInstanceUID that is no UID ('')"),
        ({"StudyInstanceUID": "unknown"}, "with a StudyInstanceUID that is no UID ('unknown')"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_series_that_nothing_can_refer_to_gets_a_volume(
    run: Predict, tmp_path: Path, elements: dict[str, Any], expected: str
) -> None:
    write_series(tmp_path / "in", VALUES, AFFINE, **elements)
    (problem,) = run(tmp_path / "in").problems
    folder = tmp_path / "out" / "drawn_series4"
    assert expected in problem.text
    assert "the masks are in lesion.nii.gz and in lesion/*.png" in problem.text
    assert not (folder / "lesion.dcm").exists()
    assert len(list((folder / "lesion").glob("*.png"))) == SHAPE[2]
    volume = nib.load(folder / "lesion.nii.gz")
    np.testing.assert_allclose(volume.affine, np.diag([-1, -1, 1, 1]) @ AFFINE, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(volume.dataobj), BALL)


@pytest.mark.filterwarnings("ignore")
def test_uneven_slices_are_no_volume(run: Predict, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "in", VALUES, AFFINE, SOPInstanceUID="")
    paths[1].unlink()
    problems = [problem.text for problem in run(tmp_path / "in").problems]
    assert (
        sum("and no lesion.nii.gz: the slices are not evenly spaced" in line for line in problems)
        == 1
    )
    assert not (tmp_path / "out" / "drawn_series4" / "lesion.nii.gz").exists()
