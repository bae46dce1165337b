"""What is said of a slice and of a scan, and the two tables."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from jaxtyping import Float64

from mgajax.inference.predictor import spread
from mgajax.inference.problems import RESEARCH_USE
from mgajax.inference.scans import Kind
from mgajax.inference.slice_warnings import Oddity
from mgajax.schema import CLASS_NAMES


@dataclass(frozen=True, eq=False)
class SliceResult:
    """One slice.

    Attributes:
      number: from the head, from 1; the name of its pictures in the report.
      name: its file's, or `VOLUME:PLANE`.
      position: in mm towards the head; None where nobody knows.
      members: [m, k], see `Prediction`; None without a classifier.
      lesion_pixels: None without a segmenter.
      lung_pixels: of lung and lesion together; None where Hounsfield units are not known.
      oddities: warnings.
    """

    number: int
    name: str
    position: float | None
    members: Float64[np.ndarray, "m k"] | None
    lesion_pixels: int | None
    lung_pixels: int | None
    oddities: tuple[Oddity, ...]


@dataclass(frozen=True, eq=False)
class ScanResult:
    """One scan, with at least one slice."""

    name: str
    patient: str
    kind: Kind
    voxel_ml: float | None
    slices: tuple[SliceResult, ...]

    @property
    def counted(self) -> tuple[SliceResult, ...]:
        """The slices that decide on the class: those that show a chest, or all where none does.

        Classifiers are trained on slices with open lung; shoulders and bellies would vote blindly.
        """
        chests = tuple(one for one in self.slices if Oddity.NOT_CHEST not in one.oddities)
        return chests or self.slices

    @property
    def members(self) -> Float64[np.ndarray, "m k"] | None:
        """Of each member, the mean of the counted slices' probabilities."""
        members = [one.members for one in self.counted if one.members is not None]
        return np.mean(members, axis=0) if members else None

    @property
    def lesion_pixels(self) -> int | None:
        """Over all slices."""
        return _sum([one.lesion_pixels for one in self.slices])

    @property
    def lung_pixels(self) -> int | None:
        """Lung and lesion together; None where a slice's is not known."""
        return _sum([one.lung_pixels for one in self.slices])

    @property
    def oddities(self) -> Counter[Oddity]:
        """How many slices have each warning."""
        return Counter(oddity for one in self.slices for oddity in one.oddities)


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


@dataclass(frozen=True)
class Measured:
    """Lesion and lung of a slice or a scan; None for what is not known.

    Attributes:
      lesion_ml: volume.
      lung_ml: volume of lung and lesion together.
      share: lesion over lung and lesion together.
    """

    lesion_ml: float | None
    lung_ml: float | None
    share: float | None


def measured(one: SliceResult | ScanResult, *, voxel_ml: float | None) -> Measured:
    """Pixels as volumes."""

    def volume(pixels: int | None) -> float | None:
        return None if pixels is None or voxel_ml is None else pixels * voxel_ml

    lesion, lung = one.lesion_pixels, one.lung_pixels
    share = lesion / lung if lesion is not None and lung else None
    return Measured(volume(lesion), volume(lung), share)


class Tables:
    """slices.csv and patients.csv, written scan by scan; their last column says what they are for."""

    def __init__(self, slices: TextIO, patients: TextIO) -> None:
        self._slices, self._patients = csv.writer(slices), csv.writer(patients)
        classes = [f"{name}{end}" for name in CLASS_NAMES for end in ("", "_low", "_high")]
        told = ["predicted", *classes, "lesion_ml", "lung_ml", "lesion_share_of_lung"]
        start = ["scan", "patient"]
        self._slices.writerow(
            [*start, "slice", "file", "position_mm", *told, "lesion_pixels", "warnings", "use"]
        )
        self._patients.writerow(
            [*start, "input", "slices", "chest_slices", *told, "warnings", "use"]
        )

    def add(self, scan: ScanResult) -> None:
        """A row a slice, and the patient's."""
        start = [scan.name, scan.patient]
        for one in scan.slices:
            self._slices.writerow([
                *start,
                one.number,
                one.name,
                _cell(one.position),
                *_told(one, voxel_ml=scan.voxel_ml),
                "" if one.lesion_pixels is None else one.lesion_pixels,
                "; ".join(one.oddities),
                RESEARCH_USE,
            ])  # fmt: skip
        warnings = "; ".join(f"{oddity}: {count}" for oddity, count in scan.oddities.items())
        told = _told(scan, voxel_ml=scan.voxel_ml)
        counts = [scan.kind, len(scan.slices), len(scan.counted)]
        self._patients.writerow([*start, *counts, *told, warnings, RESEARCH_USE])


@contextmanager
def tables(folder: Path) -> Iterator[Tables]:
    """slices.csv and patients.csv in `folder`."""
    with (
        (folder / "slices.csv").open("w", newline="", encoding="utf-8") as slices,
        (folder / "patients.csv").open("w", newline="", encoding="utf-8") as patients,
    ):
        yield Tables(slices, patients)


def _told(one: SliceResult | ScanResult, *, voxel_ml: float | None) -> Iterator[Any]:
    members = one.members
    if members is None:
        yield from [""] * (1 + 3 * len(CLASS_NAMES))
    else:
        mean, interval = members.mean(axis=0), spread(members)
        yield CLASS_NAMES[int(mean.argmax())]
        for code, chance in enumerate(mean):
            yield _cell(chance)
            yield from ("", "") if interval is None else (_cell(end[code]) for end in interval)
    found = measured(one, voxel_ml=voxel_ml)
    yield from (_cell(found.lesion_ml), _cell(found.lung_ml), _cell(found.share))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
