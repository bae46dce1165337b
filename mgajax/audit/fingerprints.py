"""What an audit keeps of each slice: a thumbnail, its anchors, hashes of file and pixels.

A picture is decoded once; its fingerprint is stored under the hash of its file, so that the next
audit of the same files decodes nothing.

Anchors are rectangles of a slice that a copy of it has too, whatever margins were cut off or added:
the whole frame survives a new encoding, the body's box the loss of air around it, and the lungs' box
the loss of a part of the chest wall.
"""

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from PIL import Image

from mgajax.audit.background_shortcut import background_features
from mgajax.errors import DataError
from mgajax.files import replacing
from mgajax.imaging.body import WORKING_SIDE, foreground
from mgajax.imaging.lungs import dark_regions
from mgajax.imaging.pictures import decode_picture
from mgajax.progress import map_ordered, say, track

SIDE = 128
"""Pixels a side of a thumbnail: 16 KiB a slice, 280 MB for the whole curated set."""

VERSION = 1
"""Of the file of fingerprints; files of another version are not used."""

ANCHORS: tuple[str, ...] = ("frame", "body", "lungs")
"""The order of the rows of `anchor_windows`."""

SMALLEST_SIDE = 0.2
"""A box with a side below this share of the frame holds too little to compare."""


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of one picture.

    Attributes:
      content: sha256 of the file's bytes.
      pixels: `Picture.digest`, the same for equal pictures however they are encoded.
      shape: height and width, int32.
      thumbnail: the whole frame, squeezed into a square, grey levels.
      anchors: see `anchor_windows`.
      background: see `background_features`.
    """

    content: str
    pixels: str
    shape: Int32[np.ndarray, "2"]
    thumbnail: UInt8[np.ndarray, "s s"]
    anchors: Float32[np.ndarray, "3 4"]
    background: Float32[np.ndarray, "features"]


Fingerprints = dict[str, Fingerprint]
"""Fingerprints by the hash of the file's bytes."""


def fingerprint(data: bytes, *, name: str) -> Fingerprint:
    """The fingerprint of a picture file.

    Raises:
      DataError: the bytes are no complete picture.
    """
    picture = decode_picture(data, name=name)
    body = foreground(picture.pixels)
    small = Image.fromarray(picture.pixels).resize((SIDE, SIDE), Image.Resampling.BOX)
    return Fingerprint(
        content=hashlib.sha256(data).hexdigest(),
        pixels=picture.digest(),
        shape=np.array(picture.pixels.shape, np.int32),
        thumbnail=np.asarray(small),
        anchors=anchor_windows(picture.pixels, body),
        background=background_features(picture.pixels, body),
    )


def anchor_windows(
    picture: UInt8[np.ndarray, "h w"], body: Bool[np.ndarray, "h w"] | None
) -> Float32[np.ndarray, "3 4"]:
    """Frame, body's box and lungs' box, as windows; where a box is not found, the one before it.

    Args:
      picture: grey levels.
      body: from `imaging.body.foreground`.
    """
    frame = np.array([0, 0, 1, 1], np.float32)
    if body is None:
        return np.stack([frame, frame, frame])
    body_box = _box(body)
    body_box = frame if body_box is None else body_box
    lung_box = _box(_lungs(picture, body))
    return np.stack([frame, body_box, body_box if lung_box is None else lung_box])


def _lungs(
    picture: UInt8[np.ndarray, "h w"], body: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "r c"]:
    """The large dark parts of the body, on a reduced copy."""
    factor = max(1, round(max(picture.shape) / WORKING_SIDE))
    small = np.asarray(Image.fromarray(picture).reduce(factor))
    inside = np.asarray(Image.fromarray(body.astype(np.uint8) * np.uint8(255)).reduce(factor)) > 127
    return dark_regions(small, inside)


def _box(region: Bool[np.ndarray, "r c"]) -> Float32[np.ndarray, "4"] | None:
    """The region's bounding box as a window; None where it is too small to compare."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not len(rows):
        return None
    height, width = region.shape
    box = (rows[0] / height, columns[0] / width, (rows[-1] + 1) / height, (columns[-1] + 1) / width)
    if min(box[2] - box[0], box[3] - box[1]) < SMALLEST_SIDE:
        return None
    return np.array(box, np.float32)


def fingerprint_all(
    contents: Iterable[tuple[str, bytes]], *, total: int, cached: Fingerprints
) -> list[Fingerprint | None]:
    """Fingerprints in order, None for what is no picture; those in `cached` are not made again.

    Args:
      contents: names and bytes of the files.
      total: how many.
      cached: from an earlier audit.
    """

    def make(file: tuple[str, bytes]) -> Fingerprint | None:
        name, data = file
        try:
            return cached.get(hashlib.sha256(data).hexdigest()) or fingerprint(data, name=name)
        except DataError:
            return None

    return list(track(map_ordered(make, contents), description="looking at pictures", total=total))


def load_fingerprints(path: Path) -> Fingerprints:
    """The fingerprints that `store_fingerprints` wrote; none where they cannot be used."""
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            if int(file["version"]) != VERSION:
                return {}
            columns = [file[field.name] for field in fields(Fingerprint)]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        say(f"{path}: unusable ({error}); looking at every picture again")
        return {}
    rows = zip(*columns, strict=True)
    return {str(row[0]): Fingerprint(str(row[0]), str(row[1]), *row[2:]) for row in rows}


def store_fingerprints(path: Path, fingerprints: Iterable[Fingerprint]) -> None:
    """Write fingerprints for the next audit, atomically."""
    rows = list(fingerprints)
    columns: dict[str, Any] = {
        field.name: np.array([getattr(row, field.name) for row in rows])
        for field in fields(Fingerprint)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, version=VERSION, **columns)
