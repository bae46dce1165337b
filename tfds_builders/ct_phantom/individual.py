"""One drawn person: anatomy in millimetres, vessel trees, disease, age and gender.

All properties of a person are drawn here, before any pixel: `draw_patient(number, seed=...)` gives the
same person on every machine, independently of the other people.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mgajax.schema import CLASS_NAMES, COVID, SOURCES
from tfds_builders.ct_phantom.disease import Disease, draw_disease, subdue
from tfds_builders.ct_phantom.vessels import Strands, draw_scars, grow_tree

CLASS_CYCLE: tuple[int, ...] = (1, 0, 2, 1, 0, 1, 0, 2)
"""Classes of eight consecutive patients: three Normal, three COVID-19, two CAP."""

LINKED_SOURCE: dict[int, str] = {0: "morozov", 1: "jun", 2: "afshar"}
"""The source that a class comes from when `shortcut` is 1."""

LEVELS: tuple[float, float] = (0.14, 0.93)
"""The slices' range of levels: 0 is the lungs' apex, 1 the bottom of the bases."""

LUNG_HEIGHT = 230.0
"""From level 0 to level 1, in mm."""

LOOKS = TEXTBOOK, ARCHIVE = ("textbook", "archive")
"""How slices look: lesions that are easy to see, or as measured in annotated slices of the archives."""

VOLUMES = ("afshar", "morozov", "rahimzadeh", "jun")
"""Sources whose slices are of whole scans; the others are figures, chosen to show disease."""

DEFAULT_SEVERITY = 0.6
"""Of lesions, in [0, 1]."""


@dataclass(frozen=True)
class Anatomy:
    """Sizes of one chest (mm unless said otherwise), at the level where each is largest."""

    chest_width: float  # half width of the pleural cavities together
    chest_depth: float  # half depth
    lung_tilt: float  # radians: the lungs' front ends lean to the middle
    mediastinum: float  # half width
    heart: float  # long half axis
    heart_tilt: float  # radians
    fat: float  # subcutaneous
    wall: float  # muscle and ribs
    breast: float  # 0 for none
    vertebra: float  # half width of the vertebral body
    dome: float  # level of the top of the right diaphragm
    rib_phase: float
    fat_share: float  # of the mediastinum, 0..1
    bend_seed: int  # of the deformation that makes an outline irregular


@dataclass(frozen=True)
class Confounders:
    """Effects that may look like disease; every class has some."""

    expiration: float  # HU added to the lungs
    dependent: float  # HU of the dependent band (gravity, atelectasis)
    mosaic: float  # HU, patchy air trapping
    emphysema: float  # 0..1
    motion: float  # mm of breathing or heart motion
    scars: int  # bands and nodules


@dataclass(frozen=True)
class Patient:
    """A drawn person, with disease and levels of slices."""

    number: int
    seed: int
    label: int  # index in mgajax.schema.CLASS_NAMES
    source: str
    age: int
    gender: str
    levels: tuple[float, ...]
    anatomy: Anatomy
    confounders: Confounders
    disease: Disease
    look: str  # one of LOOKS

    @property
    def name(self) -> str:
        """`phantom_0001`: unique within a data set."""
        return f"phantom_{self.number:04d}"

    @property
    def key(self) -> str:
        """`<source>/phantom_0001`, the `patient` of the data schema."""
        return f"{self.source}/{self.name}"

    @property
    def vessels(self) -> Strands:
        """Arteries and veins of both lungs; made on first use, the last few are cached."""
        return _grow_vessels(
            self.seed, self.number, self.anatomy.chest_width, self.anatomy.chest_depth
        )

    @property
    def scars(self) -> Strands:
        """Old nodules and bands, `confounders.scars` of them."""
        return draw_scars(
            np.random.default_rng([self.seed, self.number, 0, 3]),
            count=self.confounders.scars,
            half_width=self.anatomy.chest_width,
            half_depth=self.anatomy.chest_depth,
            height=LUNG_HEIGHT,
        )

    @property
    def class_name(self) -> str:
        """The label as a word."""
        return CLASS_NAMES[self.label]


def draw_patient(
    number: int,
    *,
    seed: int,
    slices: int = 8,
    shortcut: float = 0.0,
    severity: float = DEFAULT_SEVERITY,
    look: str = TEXTBOOK,
) -> Patient:
    """Draw the person with the given `number` (from 0) of the data set `seed`.

    The class follows from the number alone (CLASS_CYCLE), so classes hold fixed shares. Sources
    are dealt in turn within each class; `shortcut` is the probability that a patient comes from
    the source that its class is linked to instead (0: source independent of class). `severity`
    scales the lesions (`disease.draw_disease`); the `archive` look subdues those of
    COVID-19 in the sources of whole scans.
    """
    rng = np.random.default_rng([seed, number])
    label = CLASS_CYCLE[number % len(CLASS_CYCLE)]
    linked = rng.random() < shortcut
    gender = "F" if rng.random() < 0.46 else "M"
    age = int(np.clip(rng.normal(53, 17), 18, 92))
    anatomy = _draw_anatomy(rng, gender=gender, age=age)
    confounders = _draw_confounders(rng, label=label, age=age)
    disease = draw_disease(rng, label=label, severity=severity)
    source = LINKED_SOURCE[label] if linked else _deal_source(number, seed=seed)
    if look == ARCHIVE and label == COVID and source in VOLUMES:
        disease = subdue(disease, rng=np.random.default_rng([seed, number, 0, 4]))
    return Patient(
        number=number,
        seed=seed,
        label=label,
        source=source,
        age=age,
        gender=gender,
        levels=_draw_levels(rng, count=slices, disease=disease),
        anatomy=anatomy,
        confounders=confounders,
        disease=disease,
        look=look,
    )


@lru_cache(maxsize=4)
def _grow_vessels(seed: int, number: int, half_width: float, half_depth: float) -> Strands:
    rng = np.random.default_rng([seed, number, 0, 2])
    return grow_tree(rng, half_width=half_width, half_depth=half_depth, height=LUNG_HEIGHT)


def _deal_source(number: int, *, seed: int) -> str:
    """Deal the sources in turn within a class, in an order that changes with each round."""
    index = number % len(CLASS_CYCLE)
    label = CLASS_CYCLE[index]
    per_cycle = CLASS_CYCLE.count(label)
    rank = (number // len(CLASS_CYCLE)) * per_cycle + CLASS_CYCLE[:index].count(label)
    deal, position = divmod(rank, len(SOURCES))
    # The same order for all classes: whole rounds make source and class exactly independent.
    order = np.random.default_rng([seed, 7919, deal]).permutation(len(SOURCES))
    return SOURCES[int(order[position])]


def _draw_anatomy(rng: np.random.Generator, *, gender: str, age: int) -> Anatomy:
    size = rng.normal(0.94 if gender == "F" else 1.03, 0.04)
    stoutness = float(np.clip(rng.normal(0.45, 0.25), 0.0, 1.0))
    return Anatomy(
        chest_width=float(126 * size * rng.normal(1, 0.03)),
        chest_depth=float(84 * size * rng.normal(1, 0.05)),
        lung_tilt=float(rng.uniform(0.10, 0.24)),
        mediastinum=float(27 * size * rng.normal(1, 0.08)),
        heart=float(50 * size * rng.normal(1, 0.07) * (1 + 0.002 * (age - 50))),
        heart_tilt=float(rng.uniform(0.35, 0.75)),
        fat=float(7 + 22 * stoutness),
        wall=float(rng.uniform(17, 23) * size),
        breast=float(rng.uniform(0.3, 1.0)) if gender == "F" else 0.0,
        vertebra=float(rng.uniform(15, 18.5) * size),
        dome=float(rng.uniform(0.74, 0.88)),
        rib_phase=float(rng.random()),
        fat_share=float(np.clip(rng.normal(0.35 + 0.4 * stoutness, 0.15), 0.05, 0.95)),
        bend_seed=int(rng.integers(2**31)),
    )


def _draw_confounders(rng: np.random.Generator, *, label: int, age: int) -> Confounders:
    healthy = label == 0
    return Confounders(
        expiration=float(np.clip(rng.normal(25, 40), -25, 150)),
        dependent=float(rng.gamma(1.5, 60.0 if healthy else 42.0)),
        mosaic=float(rng.gamma(1.3, 16.0)),
        emphysema=float(np.clip(rng.normal((age - 55) / 60, 0.35), 0, 1)),
        motion=float(rng.gamma(1.0, 0.8)),
        scars=int(rng.poisson(1.6 if healthy else 1.0)),
    )


def _draw_levels(rng: np.random.Generator, *, count: int, disease: Disease) -> tuple[float, ...]:
    """`count` levels in order, one in each equal part of the range, moved to the nearest disease."""
    low, high = LEVELS
    strata = (np.arange(count) + rng.random(count)) / count
    return tuple(disease.nearest_level(float(low + (high - low) * s)) for s in strata)
