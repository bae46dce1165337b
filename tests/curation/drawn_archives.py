"""Drawn archives of pictures and series, laid out and stored like the real ones.

COVID-CT-MD as JPEG-lossless DICOM, COVID-CTset as 16-bit TIFF, COVID-CT as zips with its workbook,
covid-chestxray-dataset as JPEG with its table.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import gdcm
import numpy as np
import openpyxl
import pydicom
import tifffile
from drawn_volumes import chest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

INTERCEPT = -1024


def series(n: int, *, size: int = 24) -> np.ndarray:
    """Hounsfield units `[n, h, w]` int32, head first, no two slices alike."""
    volume = np.moveaxis(chest(depth=n, side=size), 2, 0).astype(np.int32)
    volume[:, 0, 0] = -1000 + np.arange(n)
    return np.clip(volume, INTERCEPT, 3000)


def write_dicom(path: Path, hounsfield: np.ndarray, *, instance: int, **elements: object) -> Path:
    """One CT slice as COVID-CT-MD stores it: 12 of 16 bits, JPEG lossless, 2 mm downwards."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.Modality, data.PatientAge, data.PatientSex = "CT", "039Y", "F"
    data.InstanceNumber, data.SliceLocation = instance, -50.0 - 2 * instance
    data.KVP, data.ExposureTime, data.XRayTubeCurrent = 110, 600, 164
    data.StudyDate, data.DateOfLastCalibration = "20200305", "20200303"
    data.SliceThickness, data.PixelSpacing = 2, [0.75, 0.75]
    data.Rows, data.Columns = hounsfield.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.RescaleIntercept, data.RescaleSlope = INTERCEPT, 1
    data.WindowCenter, data.WindowWidth = [50, -600], [350, 1200]
    for name, value in elements.items():
        setattr(data, name, value)
    data.PixelData = (hounsfield - INTERCEPT).astype(np.uint16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    _compress(path)
    return path


def _compress(path: Path) -> None:
    """Turn a DICOM file to transfer syntax 1.2.840.10008.1.2.4.70."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()


def afshar_patient(folder: Path, volume: np.ndarray, *, ranked: bool = False) -> None:
    """A series named `IM0001.dcm`, or by lexicographic rank (`98C1-ASSH_102.dcm`)."""
    ranks = sorted(range(1, len(volume) + 1), key=str)
    for at, plane in enumerate(volume, start=1):
        name = f"98C1-ASSH_{ranks.index(at) + 1}.dcm" if ranked else f"IM{at:04}.dcm"
        write_dicom(folder / name, plane, instance=at)


def afshar_labels(
    root: Path,
    rows: Sequence[tuple[str, str, Sequence[int]]],
    *,
    name: str = "Slice-level-labels.npy",
    skip: int = 1,
) -> None:
    """Index.csv (whose `Label Index` skips a number) and label array of
    (diagnosis, folder, labelled positions) rows.
    """
    root.mkdir(parents=True, exist_ok=True)
    lines = ["Label Index,Diagnosis,Relative Path,Folder/ID"]
    labels = np.zeros((len(rows), 200), np.int64)
    for at, (diagnosis, folder, positions) in enumerate(rows):
        lines.append(f"{at + (at >= skip)},{diagnosis},./{diagnosis}/,{folder}")
        labels[at, list(positions)] = 1
    (root / "Index.csv").write_bytes("\r\n".join([*lines, ""]).encode())
    np.save(root / name, labels)


def write_tiff(path: Path, hounsfield: np.ndarray) -> Path:
    """One slice as COVID-CTset stores it: 16-bit grey TIFF of Hounsfield units plus 1024."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, (hounsfield - INTERCEPT).astype(np.uint16), photometric="minisblack")
    return path


def picture(
    kind: str, *, mode: str = "L", seed: int = 0, size: tuple[int, int] = (20, 24)
) -> bytes:
    """A noisy picture's bytes, in any of Pillow's formats and modes."""
    pixels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, format=kind)
    return buffer.getvalue()


def write_zip(
    path: Path, members: Mapping[str, bytes], *, compression: int = zipfile.ZIP_STORED
) -> Path:
    """A zip of the given members, under exactly these names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def zipped(folder: Path, path: Path) -> Path:
    """All files below `folder` in a zip."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return write_zip(path, {f.relative_to(folder).as_posix(): f.read_bytes() for f in files})


ZHAO_COLUMNS = (
    "File name", "Patient ID", "Age", "Gender", "Location", "Medical history", "Time", "Severity",
    "Other diseases", "DOI", "Captions",
)  # fmt: skip


def zhao_workbook(
    path: Path, rows: Sequence[Mapping[str, object]], *, columns: Sequence[str] = ZHAO_COLUMNS
) -> Path:
    """COVID-CT-MetaInfo.xlsx with a blank row at its end, as the real one."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "positive_captions"
    sheet.append(list(columns))
    for row in rows:
        sheet.append([row.get(name) for name in columns])
    sheet.append([None] * len(columns))
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path
