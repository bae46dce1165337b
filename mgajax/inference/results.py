"""The results of a slice, a scan and a patient, and their three tables."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeVar

import numpy as np
from jaxtyping import Float64

from mgajax.errors import quantity
from mgajax.files import UNENCODABLE, naming_file, write_csv
from mgajax.inference.predictor import spread
from mgajax.inference.problems import RESEARCH_USE
from mgajax.inference.scans import ScanKind
from mgajax.inference.slice_warnings import Oddity
from mgajax.schema import CLASS_NAMES

SLICES, SCANS, PATIENTS = "slices.csv", "scans.csv", "patients.csv"
OVERVIEW, SETTINGS_FILE = "index.html", "predict.json"
RESULT_FILES = (OVERVIEW, SLICES, SCANS, PATIENTS, SETTINGS_FILE)
"""Files beside the scans' folders; no folder may have such a name."""

LEAST_CHEST = 0.2
"""A scan has a class if at least this share of its slices shows a chest."""

COUNTS = ["slices", "chest_slices"]
CLASSES = [f"{name}{end}" for name in CLASS_NAMES for end in ("", "_low", "_high")]
FINDINGS = ["predicted", *CLASSES, "lesion_ml", "lung_ml", "lesion_share_of_lung"]


Amount = TypeVar("Amount", int, float)


@dataclass(frozen=True, eq=False)
class SliceResult:
    """The results of one slice.

    Attributes:
      number: from the head, from 1; the name of its pictures in the report.
      name: its file's, or `VOLUME:PLANE`.
      source: its file, as given.
      position: in mm towards the head; None where unknown.
      voxel_ml: the volume of a pixel; None where millimetres are unknown.
      members: [m, k], see `Prediction`; None without a classifier, or where no chest is shown.
      lesion_pixels: inside the thorax; None without a segmenter, or where no chest is shown.
      lung_pixels: of lung and lesion together; None where Hounsfield units are unknown, or no
        chest is shown.
      oddities: warnings.
    """

    number: int
    name: str
    source: Path
    position: float | None
    voxel_ml: float | None
    members: Float64[np.ndarray, "m k"] | None
    lesion_pixels: int | None
    lung_pixels: int | None
    oddities: tuple[Oddity, ...]

    @property
    def is_chest(self) -> bool:
        """Whether it shows a chest; other slices do not count."""
        return Oddity.NOT_CHEST not in self.oddities

    @property
    def lesion_ml(self) -> float | None:
        """Volume of the lesion."""
        return _product(self.lesion_pixels, self.voxel_ml)

    @property
    def lung_ml(self) -> float | None:
        """Volume of lung and lesion together."""
        return _product(self.lung_pixels, self.voxel_ml)


@dataclass(frozen=True, eq=False)
class ScanResult:
    """The results of one scan, with at least one slice.

    Attributes:
      source: the file or the folder that it was read from, as given.
    """

    name: str
    patient: str
    source: Path
    kind: ScanKind
    slices: tuple[SliceResult, ...]

    @property
    def chests(self) -> tuple[SliceResult, ...]:
        """The slices that show a chest; lesions and lung count only there."""
        return tuple(slice_ for slice_ in self.slices if slice_.is_chest)

    @property
    def deciding_slices(self) -> tuple[SliceResult, ...]:
        """The slices that decide the class: those that show a chest, if they are enough.

        Classifiers are trained on slices with open lung; for shoulders and bellies they only guess.
        """
        return self.chests if len(self.chests) >= LEAST_CHEST * len(self.slices) else ()

    @property
    def members(self) -> Float64[np.ndarray, "m k"] | None:
        """Each member's mean probabilities over the deciding slices; None without any."""
        members = [slice_.members for slice_ in self.deciding_slices if slice_.members is not None]
        return np.mean(members, axis=0) if members else None

    @property
    def lesion_pixels(self) -> int | None:
        """Over the slices that show a chest; None without any."""
        return _sum([slice_.lesion_pixels for slice_ in self.chests])

    @property
    def lung_pixels(self) -> int | None:
        """Lung and lesion together, over the same slices; None where it is unknown for any."""
        return _sum([slice_.lung_pixels for slice_ in self.chests])

    @property
    def lesion_ml(self) -> float | None:
        """Over the slices that show a chest, each with its own volume of a pixel."""
        return _sum([slice_.lesion_ml for slice_ in self.chests])

    @property
    def lung_ml(self) -> float | None:
        """As `lesion_ml`, for lung and lesion together."""
        return _sum([slice_.lung_ml for slice_ in self.chests])

    @property
    def oddities(self) -> Counter[Oddity]:
        """The number of slices with each warning."""
        return Counter(oddity for slice_ in self.slices for oddity in slice_.oddities)


def explain_no_class(scan: ScanResult) -> str:
    """Why a scan with too few chest slices has no class, and which slices its measures are of."""
    text = f"no class: {len(scan.chests)} of {quantity(len(scan.slices), 'slice')} with a chest"
    if not scan.chests:
        return f"{text}; its lesion and lung are not measured"
    return f"{text}, fewer than {LEAST_CHEST:.0%}; lesion and lung are those of these slices alone"


def _product(pixels: int | None, voxel_ml: float | None) -> float | None:
    return None if pixels is None or voxel_ml is None else pixels * voxel_ml


def _sum(values: Sequence[Amount | None]) -> Amount | None:
    present = [value for value in values if value is not None]
    return sum(present[1:], start=present[0]) if present and len(present) == len(values) else None


@dataclass(frozen=True)
class Volumes:
    """Lesion and lung of a slice or a scan; None where unknown.

    Attributes:
      lesion_ml: volume.
      lung_ml: volume of lung and lesion together.
      share: lesion over lung and lesion together.

    Where no open lung was found, lung and share are unknown.
    """

    lesion_ml: float | None
    lung_ml: float | None
    share: float | None


def measure_volumes(result: SliceResult | ScanResult) -> Volumes:
    """Volumes and their share; by pixels where millimetres are unknown."""
    lesion_ml, lung_ml = result.lesion_ml, result.lung_ml
    if result.lung_pixels in (0, result.lesion_pixels):  # no open lung was found
        return Volumes(lesion_ml, None, None)
    lesion_size: float | None = result.lesion_pixels if lesion_ml is None else lesion_ml
    lung_size: float | None = result.lung_pixels if lesion_ml is None else lung_ml
    share = lesion_size / lung_size if lesion_size is not None and lung_size else None
    return Volumes(lesion_ml, lung_ml, share)


@dataclass(frozen=True, eq=False)
class PatientResult:
    """All scans of one patient."""

    name: str
    scans: tuple[ScanResult, ...]

    @property
    def members(self) -> Float64[np.ndarray, "m k"] | None:
        """Each member's mean probabilities over the deciding slices of all scans."""
        members = [
            slice_.members
            for scan in self.scans
            for slice_ in scan.deciding_slices
            if slice_.members is not None
        ]
        return np.mean(members, axis=0) if members else None


def group_by_patient(scans: Sequence[ScanResult]) -> list[PatientResult]:
    """The patients, in the order of their first scans."""
    groups: dict[str, list[ScanResult]] = {}
    for scan in scans:
        groups.setdefault(scan.patient, []).append(scan)
    return [PatientResult(name, tuple(group)) for name, group in groups.items()]


class Tables:
    """slices.csv and scans.csv, written scan by scan; their last column is `RESEARCH_USE`."""

    def __init__(self, slices: TextIO, scans: TextIO) -> None:
        self._slices, self._scans = csv.writer(slices), csv.writer(scans)
        start, end = ["scan", "patient"], ["warnings", "use"]
        self._slices.writerow(
            [*start, "slice", "file", "source", "position_mm", *FINDINGS, "lesion_pixels", *end]
        )
        self._scans.writerow([*start, "source", "input", *COUNTS, *FINDINGS, *end])

    def add(self, scan: ScanResult) -> None:
        """Write a row for each slice, and one for the scan."""
        start = [scan.name, scan.patient]
        for slice_ in scan.slices:
            self._slices.writerow([
                *start,
                slice_.number,
                slice_.name,
                slice_.source,
                _cell(slice_.position),
                *_chances(slice_.members),
                *_volumes(measure_volumes(slice_)),
                "" if slice_.lesion_pixels is None else slice_.lesion_pixels,
                "; ".join(slice_.oddities),
                RESEARCH_USE,
            ])  # fmt: skip
        self._scans.writerow([
            *start,
            scan.source,
            scan.kind,
            len(scan.slices),
            len(scan.chests),
            *_chances(scan.members),
            *_volumes(measure_volumes(scan)),
            _warnings(scan.oddities),
            RESEARCH_USE,
        ])  # fmt: skip


@contextmanager
def open_tables(folder: Path) -> Iterator[Tables]:
    """Open slices.csv and scans.csv in `folder`."""
    with (
        naming_file(folder),
        _open_table(folder / SLICES) as slices,
        _open_table(folder / SCANS) as scans,
    ):
        yield Tables(slices, scans)


def write_patients(scans: Sequence[ScanResult], path: Path) -> None:
    """Write patients.csv, a row for each patient.

    Volumes are given for patients with a single scan; those of several scans are in scans.csv, and are
    not added up.
    """
    head = ["patient", "scans", "scan", "input", *COUNTS, *FINDINGS, "warnings", "use"]
    write_csv([head, *map(_patient_row, group_by_patient(scans))], path)


def _patient_row(patient: PatientResult) -> list[Any]:
    scans = patient.scans
    volumes = measure_volumes(scans[0])
    return [
        patient.name,
        len(scans),
        "; ".join(scan.name for scan in scans),
        "; ".join(dict.fromkeys(scan.kind for scan in scans)),
        sum(len(scan.slices) for scan in scans),
        sum(len(scan.chests) for scan in scans),
        *_chances(patient.members),
        *_volumes(volumes if len(scans) == 1 else Volumes(None, None, None)),
        _warnings(sum((scan.oddities for scan in scans), Counter())),
        RESEARCH_USE,
    ]


def _open_table(path: Path) -> TextIO:
    return path.open("w", newline="", encoding="utf-8", errors=UNENCODABLE)


def _warnings(oddities: Counter[Oddity]) -> str:
    return "; ".join(f"{oddity}: {count}" for oddity, count in oddities.items())


def _chances(members: Float64[np.ndarray, "m k"] | None) -> Iterator[str]:
    """The class, and the mean of each class's probabilities with its interval."""
    if members is None:
        yield from [""] * (1 + len(CLASSES))
        return
    mean, interval = members.mean(axis=0), spread(members)
    yield CLASS_NAMES[int(mean.argmax())]
    for code, chance in enumerate(mean):
        yield _cell(chance)
        yield from ("", "") if interval is None else (_cell(end[code]) for end in interval)


def _volumes(volumes: Volumes) -> tuple[str, str, str]:
    return _cell(volumes.lesion_ml), _cell(volumes.lung_ml), _cell(volumes.share)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
