"""Slices to compare a file with its checkpoint on: of the run's data set, or drawn."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from mgajax.data.loader import to_float
from mgajax.data.preparation import Preparation, decode, prepare
from mgajax.data.table import iter_encoded
from mgajax.errors import DataError

COUNT = 8
_DRAWN_SIDE = 128


def comparison_slices(
    directory: str, *, length: int, settings: Preparation
) -> tuple[Float[np.ndarray, "n s s 1"], str]:
    """`COUNT` slices as the network sees them, and what they are.

    Args:
      directory: the built data set; evenly over it, or drawn slices where it is absent.
      length: of the data set.
      settings: the run's preparation.
    """
    try:
        stored = _stored(Path(directory), length=length, settings=settings)
    except DataError:
        stored = []
    if len(stored) == COUNT:
        pictures, told = stored, f"{COUNT} slices of the run's data set"
    else:
        rng = np.random.default_rng(0)
        pictures = [_drawn(rng) for _ in range(COUNT)]
        told = f"{COUNT} drawn slices, for want of the run's data set"
    prepared = [
        prepare(picture, np.zeros_like(picture), settings=settings).image for picture in pictures
    ]
    return np.asarray(to_float(np.stack(prepared)[..., None])), told


def _stored(
    directory: Path, *, length: int, settings: Preparation
) -> list[UInt8[np.ndarray, "_ _"]]:
    rows = np.unique(np.linspace(0, length - 1, COUNT).astype(np.int64)).tolist()
    pictures = []
    for row, data, _ in iter_encoded(directory, rows=rows):
        try:
            pictures.append(decode(data, flags="", settings=settings))
        except DataError as error:
            raise DataError(f"{directory}: row {row} cannot be decoded") from error
    return pictures


def _drawn(rng: np.random.Generator) -> UInt8[np.ndarray, "h w"]:
    """A body with two lungs, a little different each time."""
    y, x = np.mgrid[-1.0 : 1.0 : _DRAWN_SIDE * 1j, -1.0 : 1.0 : _DRAWN_SIDE * 1j]
    width, height, depth = rng.uniform(0.9, 1.1, 3)
    body = (x / (0.9 * width)) ** 2 + (y / (0.7 * height)) ** 2 < 1
    lungs = ((np.abs(x) - 0.4) / 0.27) ** 2 + (y / (0.45 * depth)) ** 2 < 1
    grey = np.where(lungs, 60.0, 170.0) + rng.normal(0.0, 12.0, x.shape)
    return np.where(body, grey, 0.0).clip(0, 255).astype(np.uint8)
