"""What an audit keeps of each slice: a thumbnail, its anchors, hashes of file and pixels.

A picture is decoded once; its fingerprint is stored under the hash of its file, so that the next
audit of the same files decodes nothing.
"""

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, UInt8
from PIL import Image

from mgajax.audit.anchors import anchor_windows
from mgajax.audit.background import background_features
from mgajax.errors import DataError
from mgajax.files import replacing
from mgajax.imaging.body import foreground
from mgajax.imaging.pictures import decode_picture
from mgajax.progress import map_ordered, say, track

SIDE = 128
"""Pixels a side of a thumbnail: 16 KiB a slice, 280 MB for the whole curated set."""

VERSION = 1
"""Of what is stored; a change makes stored fingerprints stale."""


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of one picture.

    Attributes:
      content: sha256 of the file's bytes.
      pixels: `Picture.digest`, the same for equal pictures whatever their files look like.
      shape: height and width, int32.
      thumbnail: the whole frame, squeezed into a square, grey levels.
      anchors: see `anchors.anchor_windows`.
      background: see `background.background_features`.
    """

    content: str
    pixels: str
    shape: Int32[np.ndarray, "2"]
    thumbnail: UInt8[np.ndarray, "s s"]
    anchors: Float32[np.ndarray, "3 4"]
    background: Float32[np.ndarray, "features"]


Stored = dict[str, Fingerprint]
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


def fingerprint_all(
    contents: Iterable[tuple[str, bytes]], *, total: int, stored: Stored
) -> list[Fingerprint | None]:
    """Fingerprints in order, None for what is no picture; those `stored` are not made again.

    Args:
      contents: names and bytes of the files.
      total: how many.
      stored: from an earlier audit.
    """

    def one(item: tuple[str, bytes]) -> Fingerprint | None:
        name, data = item
        known = stored.get(hashlib.sha256(data).hexdigest())
        try:
            return known or fingerprint(data, name=name)
        except DataError:
            return None

    return list(track(map_ordered(one, contents), description="looking at pictures", total=total))


def load_fingerprints(path: Path) -> Stored:
    """The fingerprints that `store_fingerprints` wrote; none where they cannot be used."""
    try:
        with path.open("rb") as opened, np.load(opened) as file:
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
