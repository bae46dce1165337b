"""What is said of a slice, a scan and a patient, and the three tables."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeVar

import numpy as np
from jaxtyping import Float64

from mgajax.files import UNENCODABLE, write_csv
from mgajax.inference.predictor import spread
from mgajax.inference.problems import RESEARCH_USE
from mgajax.inference.scans import ScanKind
from mgajax.inference.slice_warnings import Oddity
from mgajax.schema import CLASS_NAMES

SLICES, SCANS, PATIENTS = "slices.csv", "scans.csv", "patients.csv"
OVERVIEW, SETTINGS_FILE = "index.html", "predict.json"
RESULT_FILES = (OVERVIEW, SLICES, SCANS, PATIENTS, SETTINGS_FILE)
"""What lies beside the scans' folders, whose names these are not."""

LEAST_CHEST = 0.2
"""A scan has a class where at least this share of its slices shows a chest."""

COUNTS = ["slices", "chest_slices"]
CLASSES = [f"{name}{end}" for name in CLASS_NAMES for end in ("", "_low", "_high")]
FINDINGS = ["predicted", *CLASSES, "lesion_ml", "lung_ml", "lesion_share_of_lung"]


Number = TypeVar("Number", int, float)


@dataclass(frozen=True, eq=False)
class SliceResult:
    """One slice.

    Attributes:
      number: from the head, from 1; the name of its pictures in the report.
      name: its file's, or `VOLUME:PLANE`.
      source: its file, as it was given.
      position: in mm towards the head; None where nobody knows.
      voxel_ml: what a pixel of it stands for; None where millimetres are not known.
      members: [m, k], see `Prediction`; None without a classifier, or where no chest is shown.
      lesion_pixels: inside the thorax; None without a segmenter, or where no chest is shown.
      lung_pixels: of lung and lesion together; None where Hounsfield units are not known, or no
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
        """Whether it shows a chest; what does not counts for nothing."""
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
    """One scan, with at least one slice.

    Attributes:
      source: the file or the folder that it was read from, as it was given.
    """

    name: str
    patient: str
    source: Path
    kind: ScanKind
    slices: tuple[SliceResult, ...]

    @property
    def chests(self) -> tuple[SliceResult, ...]:
        """The slices that show a chest; lesions and lung count in them alone."""
        return tuple(one for one in self.slices if one.is_chest)

    @property
    def counted(self) -> tuple[SliceResult, ...]:
        """The slices that decide on the class: those that show a chest, if they are enough.

        Classifiers are trained on slices with open lung; shoulders and bellies would vote blindly.
        """
        return self.chests if len(self.chests) >= LEAST_CHEST * len(self.slices) else ()

    @property
    def members(self) -> Float64[np.ndarray, "m k"] | None:
        """Of each member, the mean of the counted slices' probabilities; None without any."""
        members = [one.members for one in self.counted if one.members is not None]
        return np.mean(members, axis=0) if members else None

    @property
    def lesion_pixels(self) -> int | None:
        """Over the slices that show a chest; None without any."""
        return _sum([one.lesion_pixels for one in self.chests])

    @property
    def lung_pixels(self) -> int | None:
        """Lung and lesion together, over the same slices; None where one's is not known."""
        return _sum([one.lung_pixels for one in self.chests])

    @property
    def lesion_ml(self) -> float | None:
        """Over the slices that show a chest, each by its own volume of a pixel."""
        return _sum([one.lesion_ml for one in self.chests])

    @property
    def lung_ml(self) -> float | None:
        """As `lesion_ml`, of lung and lesion together."""
        return _sum([one.lung_ml for one in self.chests])

    @property
    def oddities(self) -> Counter[Oddity]:
        """How many slices have each warning."""
        return Counter(oddity for one in self.slices for oddity in one.oddities)


def no_class(scan: ScanResult) -> str:
    """Why a scan that counts too few slices has no class; of what it measures, that it does."""
    told = f"no class: {len(scan.chests)} of {len(scan.slices)} slices show a chest"
    if not scan.chests:
        return f"{told}; its lesion and lung are not measured"
    return f"{told}, fewer than {LEAST_CHEST:.0%}; lesion and lung are those of these slices alone"


def _product(pixels: int | None, voxel_ml: float | None) -> float | None:
    return None if pixels is None or voxel_ml is None else pixels * voxel_ml


def _sum(values: Sequence[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return sum(known[1:], start=known[0]) if known and len(known) == len(values) else None


@dataclass(frozen=True)
class Volumes:
    """Lesion and lung of a slice or a scan; None for what is not known.

    Attributes:
      lesion_ml: volume.
      lung_ml: volume of lung and lesion together.
      share: lesion over lung and lesion together.

    Where no open lung was found, lung and share are not known.
    """

    lesion_ml: float | None
    lung_ml: float | None
    share: float | None


def measured(one: SliceResult | ScanResult) -> Volumes:
    """Volumes, and their share; that of pixels where millimetres are not known."""
    lesion, lung = one.lesion_ml, one.lung_ml
    if one.lung_pixels in (0, one.lesion_pixels):  # no open lung was found
        return Volumes(lesion, None, None)
    part: float | None = one.lesion_pixels if lesion is None else lesion
    whole: float | None = one.lung_pixels if lesion is None else lung
    return Volumes(lesion, lung, part / whole if part is not None and whole else None)


@dataclass(frozen=True, eq=False)
class PatientResult:
    """All scans of one patient."""

    name: str
    scans: tuple[ScanResult, ...]

    @property
    def members(self) -> Float64[np.ndarray, "m k"] | None:
        """Of each member, the mean over the counted slices of all scans."""
        members = [
            one.members for scan in self.scans for one in scan.counted if one.members is not None
        ]
        return np.mean(members, axis=0) if members else None


def by_patient(scans: Sequence[ScanResult]) -> list[PatientResult]:
    """The patients, in the order of their first scans."""
    groups: dict[str, list[ScanResult]] = {}
    for scan in scans:
        groups.setdefault(scan.patient, []).append(scan)
    return [PatientResult(name, tuple(held)) for name, held in groups.items()]


class Tables:
    """slices.csv and scans.csv, written scan by scan; their last column says what they are for."""

    def __init__(self, slices: TextIO, scans: TextIO) -> None:
        self._slices, self._scans = csv.writer(slices), csv.writer(scans)
        start, end = ["scan", "patient"], ["warnings", "use"]
        self._slices.writerow(
            [*start, "slice", "file", "source", "position_mm", *FINDINGS, "lesion_pixels", *end]
        )
        self._scans.writerow([*start, "source", "input", *COUNTS, *FINDINGS, *end])

    def add(self, scan: ScanResult) -> None:
        """A row a slice, and the scan's."""
        start = [scan.name, scan.patient]
        for one in scan.slices:
            self._slices.writerow([
                *start,
                one.number,
                one.name,
                one.source,
                _cell(one.position),
                *_chances(one.members),
                *_volumes(measured(one)),
                "" if one.lesion_pixels is None else one.lesion_pixels,
                "; ".join(one.oddities),
                RESEARCH_USE,
            ])  # fmt: skip
        self._scans.writerow([
            *start,
            scan.source,
            scan.kind,
            len(scan.slices),
            len(scan.chests),
            *_chances(scan.members),
            *_volumes(measured(scan)),
            _warnings(scan.oddities),
            RESEARCH_USE,
        ])  # fmt: skip


@contextmanager
def tables(folder: Path) -> Iterator[Tables]:
    """slices.csv and scans.csv in `folder`."""
    with (
        _written(folder / SLICES) as slices,
        _written(folder / SCANS) as scans,
    ):
        yield Tables(slices, scans)


def write_patients(scans: Sequence[ScanResult], path: Path) -> None:
    """Write patients.csv: a row a patient.

    Volumes of several scans are not added up: they stand in scans.csv, and here where there is one.
    """
    head = ["patient", "scans", "scan", "input", *COUNTS, *FINDINGS, "warnings", "use"]
    write_csv([head, *map(_patient_row, by_patient(scans))], path)


def _patient_row(patient: PatientResult) -> list[Any]:
    scans = patient.scans
    one = measured(scans[0])
    return [
        patient.name,
        len(scans),
        "; ".join(scan.name for scan in scans),
        "; ".join(dict.fromkeys(scan.kind for scan in scans)),
        sum(len(scan.slices) for scan in scans),
        sum(len(scan.chests) for scan in scans),
        *_chances(patient.members),
        *_volumes(one if len(scans) == 1 else Volumes(None, None, None)),
        _warnings(sum((scan.oddities for scan in scans), Counter())),
        RESEARCH_USE,
    ]


def _written(path: Path) -> TextIO:
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


def _volumes(found: Volumes) -> tuple[str, str, str]:
    return _cell(found.lesion_ml), _cell(found.lung_ml), _cell(found.share)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
