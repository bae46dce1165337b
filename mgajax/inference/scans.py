"""Slices that are predicted together: the pictures of a folder, a DICOM series, or a NIfTI volume."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Num, UInt8

from mgajax.imaging.geometry import AS_IT_IS, View
from mgajax.imaging.windows import PixelUnit, Window, range_of, to_8_bit
from mgajax.inference.problems import Problems

ScanKind = Literal["pictures", "DICOM", "NIfTI"]


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice, turned as it is shown.

    Attributes:
      index: of its file, or of its plane in the volume.
      name: its file's, or `VOLUME:PLANE` (from 1).
      path: its file, as given.
      values: Hounsfield units, or grey levels.
      unit: which of them.
      position: in mm towards the head; None where unknown.
      voxel_ml: the volume of a pixel: its area times the slice's share of the axis; None where
        millimetres are unknown.
      is_coloured: whether it was a coloured picture.
      exif_view: how its file's own grid of pixels was turned first (EXIF).
    """

    index: int
    name: str
    path: Path
    values: Num[np.ndarray, "h w"]
    unit: PixelUnit
    position: float | None = None
    voxel_ml: float | None = None
    is_coloured: bool = False
    exif_view: View = AS_IT_IS

    def picture(self, window: Window | None) -> UInt8[np.ndarray, "h w"]:
        """Eight bits: unchanged, through `window` (of Hounsfield units), or from minimum to maximum."""
        if self.values.dtype == np.uint8:
            return self.values
        limits = range_of(self.values, unit=self.unit, window=window)
        return to_8_bit(self.values, low=limits.low, high=limits.high)


WriteMask = Callable[[Plane, Bool[np.ndarray, "h w"]], None]
"""Takes the lesion of a plane, as shown."""


@runtime_checkable
class Scan(Protocol):
    """One row of scans.csv. Only headers are in memory; pixels are read plane by plane."""

    @property
    def name(self) -> str:
        """Shown to the user; also the name of its folder of results."""

    @property
    def patient(self) -> str:
        """Whose it is."""

    @property
    def source(self) -> Path:
        """The file or the folder that it was read from, as given."""

    @property
    def kind(self) -> ScanKind:
        """What it was read from."""

    def __len__(self) -> int: ...

    def planes(self, problems: Problems) -> Iterator[Plane]:
        """The slices, from head to feet where that is known; notes those that fail."""

    def masks(self, folder: Path, problems: Problems) -> AbstractContextManager[WriteMask]:
        """Collects lesions, and writes them into `folder` in the input's geometry at the end."""
