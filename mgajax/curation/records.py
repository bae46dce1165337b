"""One usable slice of the curated set, and the reading of its picture and mask."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from mgajax.curation.mask_encoding import MaskEncoding, binary_mask
from mgajax.curation.predicted_masks import read_values
from mgajax.errors import DataError
from mgajax.imaging.pictures import decode_picture

MaskOrigin = Literal["none", "annotated", "predicted"]
"""The names of `mgajax.schema.MASK_ORIGINS`."""


@dataclass(frozen=True)
class SliceRecord:
    """One usable slice.

    Attributes:
      path, file_name: the picture.
      label: index into `CLASS_NAMES`, from the folder.
      source: one of `SOURCES`.
      patient: key of the person, see `patient_ids.patient_key`.
      country, age, gender: '' and -1 where unknown.
      flags: notes, e.g. ("upside_down",).
      height, width: size in pixels.
      sha256: of the file's bytes, as verified.
      is_plain_png: whether the bytes can be stored unchanged.
      mask_origin: of its lesion mask.
      mask_path: that mask, of the same size, or None.
      mask_encoding: how an annotated mask codes lesions.
    """

    path: Path
    file_name: str
    label: int
    source: str
    patient: str
    country: str
    age: int
    gender: str
    flags: tuple[str, ...]
    height: int
    width: int
    sha256: str
    is_plain_png: bool
    mask_origin: MaskOrigin = "none"
    mask_path: Path | None = None
    mask_encoding: MaskEncoding = "binary"


def read_pixels(record: SliceRecord) -> bytes | UInt8[np.ndarray, "h w"]:
    """The picture of a catalogued slice: the file's bytes if they are a plain PNG, else pixels.

    Raises:
      DataError: when the file changed since the catalogue was read.
    """
    content = record.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise DataError(f"{record.path}: changed while the data set was being built; build again")
    return content if record.is_plain_png else decode_picture(content, name=str(record.path)).pixels


def read_mask(record: SliceRecord) -> UInt8[np.ndarray, "h w"] | None:
    """The lesion mask of a catalogued slice, of the picture's size; None where it has none.

    An annotated one is 0 or 255, a predicted one has its stored values (0..255).

    Raises:
      DataError: when the file can no longer be decoded, or changed its size.
    """
    if record.mask_path is None:
        return None
    values = read_values(record.mask_path, shape=(record.height, record.width))
    if record.mask_origin == "predicted":
        return values
    return binary_mask(values, encoding=record.mask_encoding, source=record.source)
