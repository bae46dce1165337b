"""What kind of picture or volume a file holds, by its first bytes; by its name where they do not say."""

import gzip
import zlib
from enum import StrEnum
from pathlib import Path

PICTURE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp"),
    *(".pgm", ".ppm", ".jp2"),
)
NIFTI_SUFFIXES = (".nii", ".nii.gz")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")

PICTURE_STARTS = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*"),
    *(b"P5", b"P6", b"\0\0\0\x0cjP  "),
)
WEBP = (b"RIFF", b"WEBP")
GZIP = b"\x1f\x8b"

PREAMBLE, DICOM_MAGIC = 128, b"DICM"
DICOM_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
"""How a DICOM file without preamble begins: group 2 or 8, of either byte order."""

NIFTI_1 = {b"n+1\0", b"ni1\0"}
NIFTI_2 = {b"n+2\0", b"ni2\0"}
NIFTI_1_AT, NIFTI_2_AT = 344, 4
HEAD = 540
"""Bytes from the start of a file that are enough to know its kind."""


class FileKind(StrEnum):
    """What a file holds."""

    PICTURE = "picture"
    NIFTI = "NIfTI"
    DICOM = "DICOM"
    OTHER = "other"


def file_kind(path: Path) -> FileKind:
    """What a file holds: by content; by its suffix where the content does not say.

    Raises:
      OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(HEAD)
    name = path.name.lower()
    if start[PREAMBLE : PREAMBLE + len(DICOM_MAGIC)] == DICOM_MAGIC:
        return FileKind.DICOM
    if name.endswith(NIFTI_SUFFIXES) or _is_nifti(start, path=path):
        return FileKind.NIFTI
    if start.startswith(PICTURE_STARTS) or (start[:4], start[8:12]) == WEBP:
        return FileKind.PICTURE
    if name.endswith(DICOM_SUFFIXES) or _is_bare_dicom(start):
        return FileKind.DICOM
    return FileKind.PICTURE if name.endswith(PICTURE_SUFFIXES) else FileKind.OTHER


def _is_nifti(start: bytes, *, path: Path) -> bool:
    """By the magic word of NIfTI-1 or -2, packed or not; the `.img` of a pair has none."""
    if start.startswith(GZIP):
        try:
            with gzip.open(path) as file:
                start = file.read(HEAD)
        except (OSError, EOFError, zlib.error):
            return False
    is_version_1 = start[NIFTI_1_AT : NIFTI_1_AT + 4] in NIFTI_1
    return is_version_1 or start[NIFTI_2_AT : NIFTI_2_AT + 4] in NIFTI_2


def _is_bare_dicom(start: bytes) -> bool:
    """A first element of group 2 or 8 with a value representation, or a plausible length."""
    if start[:2] not in DICOM_GROUPS or len(start) < 8:
        return False
    if start[4:6].isalpha() and start[4:6].isupper():
        return True
    return start[:2] == DICOM_GROUPS[1] and int.from_bytes(start[4:8], "little") <= 64
