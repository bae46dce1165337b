"""Whether an exported file computes what its checkpoint does, and the slices to compare them on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from mgajax.data.loader import to_float
from mgajax.data.preparation import Preparation, decode, prepare
from mgajax.data.table import iter_encoded
from mgajax.errors import DataError, ExportError
from mgajax.interop.formats import FORMATS

TOLERANCE = 1e-4
"""Largest difference from the checkpoint's answer, as a share of its largest value."""

TIED_SHARE = 0.01
"""So large a share of the values may differ by more, where `Network.may_tie`."""

COUNT = 8
"""Slices to compare on."""

_DRAWN_SIDE = 128


@dataclass(frozen=True)
class Artefact:
    """A file that was written and agrees.

    Attributes:
      name: of its format.
      file: its name.
      difference: the largest one, relative to the largest value of that output.
      beyond: share of the values that differ by more than `TOLERANCE`.
    """

    name: str
    file: str
    difference: float
    beyond: float

    @property
    def agreement(self) -> str:
        """The agreement in words."""
        ties = f" (near ties: {self.beyond:.2%} of the values differ)" if self.beyond else ""
        return f"largest difference {self.difference:.1e}{ties}" if self.difference else "equal"


def compare_file(
    name: str,
    path: Path,
    answer: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    *,
    may_tie: bool,
) -> Artefact:
    """The artefact, if it agrees.

    Args:
      name: of its format.
      path: of the file.
      found: its answer, some or all outputs.
      expected: the checkpoint's.
      may_tie: see `Network.may_tie`.

    Raises:
      ExportError: it differs, or is not finite.
    """
    gaps = [
        np.abs(array - expected[output]) / np.abs(expected[output]).max()
        for output, array in answer.items()
    ]
    all_gaps = np.concatenate([gap.ravel() for gap in gaps])
    difference, beyond = float(all_gaps.max()), float(1.0 - (all_gaps <= TOLERANCE).mean())
    if beyond > (TIED_SHARE if may_tie else 0.0):
        raise ExportError(
            f"{name}: the file's answer differs from the checkpoint's by {difference:.1e} of the "
            f"largest value (allowed {TOLERANCE:.0e}) in {beyond:.2%} of the values; nothing was "
            "written; leave this format out by --format, or install other versions of "
            f"{', '.join(FORMATS[name].packages) or 'jax'}"
        )
    return Artefact(name, path.name, difference, beyond)


def comparison_slices(
    directory: str, *, length: int, settings: Preparation
) -> tuple[Float[np.ndarray, "n s s 1"], str]:
    """`COUNT` slices as the network sees them, and a description of them.

    Args:
      directory: the built data set; evenly over it, or drawn slices where it is absent.
      length: of the data set.
      settings: the run's preparation.
    """
    try:
        stored = _read_slices(Path(directory), length=length, settings=settings)
    except DataError:
        stored = []
    if len(stored) == COUNT:
        pictures, description = stored, f"{COUNT} slices of the run's data set"
    else:
        rng = np.random.default_rng(0)
        pictures = [_draw_slice(rng) for _ in range(COUNT)]
        description = f"{COUNT} drawn slices, for want of the run's data set"
    prepared = [
        prepare(picture, np.zeros_like(picture), settings=settings).image for picture in pictures
    ]
    return np.asarray(to_float(np.stack(prepared)[..., None])), description


def _read_slices(
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


def _draw_slice(rng: np.random.Generator) -> UInt8[np.ndarray, "h w"]:
    """A body with two lungs, a little different each time."""
    y, x = np.mgrid[-1.0 : 1.0 : _DRAWN_SIDE * 1j, -1.0 : 1.0 : _DRAWN_SIDE * 1j]
    width, height, depth = rng.uniform(0.9, 1.1, 3)
    body = (x / (0.9 * width)) ** 2 + (y / (0.7 * height)) ** 2 < 1
    lungs = ((np.abs(x) - 0.4) / 0.27) ** 2 + (y / (0.45 * depth)) ** 2 < 1
    grey = np.where(lungs, 60.0, 170.0) + rng.normal(0.0, 12.0, x.shape)
    return np.where(body, grey, 0.0).clip(0, 255).astype(np.uint8)
