"""Whether an exported file computes what its checkpoint does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mgajax.errors import ExportError
from mgajax.interop.formats import FORMATS

TOLERANCE = 1e-4
"""Largest difference from the checkpoint's answer, as a share of its largest value."""

TIED_SHARE = 0.01
"""Of the values, so many may differ more where `Network.may_tie`."""


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
    def told(self) -> str:
        """How closely it agrees, in words."""
        ties = f" (near ties: {self.beyond:.2%} of the values differ)" if self.beyond else ""
        return f"largest difference {self.difference:.1e}{ties}" if self.difference else "equal"


def compared(
    name: str,
    path: Path,
    found: dict[str, np.ndarray],
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
        for output, array in found.items()
    ]
    every = np.concatenate([gap.ravel() for gap in gaps])
    difference, beyond = float(every.max()), float(1.0 - (every <= TOLERANCE).mean())
    if beyond > (TIED_SHARE if may_tie else 0.0):
        raise ExportError(
            f"{name}: the file's answer differs from the checkpoint's by {difference:.1e} of the "
            f"largest value (allowed {TOLERANCE:.0e}) in {beyond:.2%} of the values; nothing was "
            "written; leave this format out by --format, or install other versions of "
            f"{', '.join(FORMATS[name].packages) or 'jax'}"
        )
    return Artefact(name, path.name, difference, beyond)
