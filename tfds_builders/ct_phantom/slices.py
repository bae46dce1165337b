"""From a patient to slices with exact masks, and from settings to all slices of a data set.

Needs numpy and scipy only. Any slice can be drawn alone and comes out the same, byte for byte.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from mgajax.errors import ConfigError
from tfds_builders.ct_phantom.anatomy import LUNG, Chest, chest_at, paint_chest
from tfds_builders.ct_phantom.bones import paint_bones, paint_table
from tfds_builders.ct_phantom.geometry import Capsules, Field, Grid, capsule_cover, make_grid, paint
from tfds_builders.ct_phantom.individual import DEFAULT_SEVERITY, LUNG_HEIGHT, Patient, draw_patient
from tfds_builders.ct_phantom.lesions import lesions_at, paint_lesions
from tfds_builders.ct_phantom.rendering import STYLES, Style, grain_and_blur, to_grey
from tfds_builders.ct_phantom.vessels import airways_beside, strands_at

SMALLEST = 32
"""Pixels; below this nothing of a chest can be told."""


@dataclass(frozen=True)
class PhantomSettings:
    """The dials of a phantom data set."""

    patients: int = 240
    slices_per_patient: int = 8
    size: int = 256  # nominal width in pixels; sources vary around it
    shortcut: float = 0.0  # 0: source independent of class .. 1: source determined by class
    severity: float = DEFAULT_SEVERITY  # of lesions: 0 subtle .. 1 florid
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse dials that cannot be drawn."""
        for name, least in (("patients", 1), ("slices_per_patient", 1), ("size", SMALLEST)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least {least}")
        for name, meaning in (
            ("shortcut", "0: source independent of class, 1: source determined by class"),
            ("severity", "0: subtle lesions, 1: florid ones"),
        ):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in [0, 1] ({meaning})")
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed} must not be negative")


@dataclass(frozen=True)
class PhantomSlice:
    """One drawn slice. Masks are 0 or 255 and of the image's shape."""

    image: UInt8[np.ndarray, "h w"]
    lesion_mask: UInt8[np.ndarray, "h w"]
    lung_mask: UInt8[np.ndarray, "h w"]
    patient: Patient
    index: int
    flags: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """`phantom_0001_03.png`: unique within a data set."""
        return f"{self.patient.name}_{self.index:02d}.png"


def iter_patients(settings: PhantomSettings) -> Iterator[Patient]:
    """All patients of the data set, in order of their numbers."""
    for number in range(settings.patients):
        yield draw_patient(
            number,
            seed=settings.seed,
            slices=settings.slices_per_patient,
            shortcut=settings.shortcut,
            severity=settings.severity,
        )


def iter_slices(settings: PhantomSettings) -> Iterator[PhantomSlice]:
    """All slices of the data set, patient by patient, top to bottom."""
    for patient in iter_patients(settings):
        for index in range(len(patient.levels)):
            yield draw_slice(patient, index=index, size=settings.size)


def draw_slice(patient: Patient, *, index: int, size: int) -> PhantomSlice:
    """Draw slice `index` (from the top) of `patient`, nominally `size` pixels wide.

    The source decides the true width and height (`rendering.STYLES`). The lung mask is the whole
    pleural cavity of both sides: aerated and diseased lung, the vessels in it, and pleural fluid;
    so every lesion pixel is a lung pixel.
    """
    style = STYLES[patient.source]
    rng = np.random.default_rng([patient.seed, patient.number, 1 + index])
    grid = _frame(patient, style, size=size)
    chest = chest_at(grid, patient.anatomy, level=patient.levels[index])
    hu, lesion = _draw_hu(patient, chest, style, rng=rng)
    look = np.random.default_rng([patient.seed, patient.number, 0])
    dose, shift, stretch = look.uniform(0.6, 1.7), look.normal(0, 60), look.uniform(0.85, 1.2)
    hu = _moved(hu, patient.confounders.motion, spacing=grid.spacing, rng=rng)
    hu = grain_and_blur(hu, style, spacing=grid.spacing, dose=dose, rng=rng)
    padded = _padding(grid, style)
    image = to_grey(hu, style, shift=shift, stretch=stretch, padded=padded)
    lung = (np.minimum(chest.lungs[-1], chest.lungs[1]) < 0) & ~padded
    flags = ("upside_down",) if style.orientation == "upside_down" else ()
    image, lesion_mask, lung_mask = (
        _oriented(picture, style) for picture in (image, _mask(lesion & lung), _mask(lung))
    )
    return PhantomSlice(
        image=image,
        lesion_mask=lesion_mask,
        lung_mask=lung_mask,
        patient=patient,
        index=index,
        flags=flags,
    )


def _oriented(picture: UInt8[np.ndarray, "h w"], style: Style) -> UInt8[np.ndarray, "h w"]:
    """Top to bottom as the source has it."""
    return np.ascontiguousarray(picture[::-1]) if style.orientation == "upside_down" else picture


def _frame(patient: Patient, style: Style, *, size: int) -> Grid:
    """The pixels of all slices of a patient: size, spacing and where the table put the chest."""
    rng = np.random.default_rng([patient.seed, patient.number, 0, 1])
    width = max(SMALLEST, round(size * rng.uniform(*style.scale)))
    height = max(SMALLEST, round(width * rng.uniform(*style.aspect)))
    stout = (patient.anatomy.chest_width + patient.anatomy.wall + patient.anatomy.fat) / 165
    view = rng.uniform(*style.field_of_view) * stout
    return make_grid(
        height=height,
        width=width,
        spacing=view / width,
        centre=(rng.normal(0, 5), rng.normal(4, 6)),
    )


def _draw_hu(
    patient: Patient, chest: Chest, style: Style, *, rng: np.random.Generator
) -> tuple[Field, Bool[np.ndarray, "h w"]]:
    """The slice in HU before the scanner's noise, and where disease fills half a pixel or more."""
    softness = max(1.2 * chest.grid.spacing, 0.35 * style.thickness)
    hu = paint_chest(chest, patient.anatomy, patient.confounders, rng=rng, softness=softness)
    lesions = lesions_at(chest, patient.anatomy, patient.disease, rng=rng)
    lesion = np.zeros(hu.shape, bool)
    inside = np.maximum(*(np.clip(-chest.lungs[side], 0, 1) for side in (-1, 1)))
    if lesions is not None:
        paint_lesions(hu, lesions)
        lesion = lesions.occupancy >= 0.5
        inside *= 1 - lesions.fluid
    _paint_tubes(hu, patient, chest, inside=inside, thickness=style.thickness, softness=softness)
    paint_bones(hu, chest, patient.anatomy, softness=softness)
    if style.table == "shown":
        paint_table(hu, chest, curve=0.0006, softness=softness)
    return hu, lesion


def _paint_tubes(
    hu: Field, patient: Patient, chest: Chest, *, inside: Field, thickness: float, softness: float
) -> None:
    """Vessels, scars, then bronchi with their walls, inside the lungs, in place."""
    depth = chest.level * LUNG_HEIGHT
    vessels = strands_at(patient.vessels, depth=depth, thickness=thickness + 4.0)
    paint(hu, capsule_cover(chest.grid, vessels, softness=softness) * inside, 40.0)
    if patient.confounders.scars:
        scars = strands_at(patient.scars, depth=depth, thickness=thickness)
        paint(hu, capsule_cover(chest.grid, scars, softness=softness) * inside, 20.0)
    airways = airways_beside(vessels)
    wall = Capsules(airways.start, airways.end, airways.radius + 0.8, 0.55 * airways.weight)
    paint(hu, capsule_cover(chest.grid, wall, softness=softness) * inside, -100.0)
    paint(hu, capsule_cover(chest.grid, airways, softness=softness) * inside, LUNG - 90.0)


def _moved(hu: Field, motion: float, *, spacing: float, rng: np.random.Generator) -> Field:
    """A double image where the chest moved by `motion` mm during the turn of the tube."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = round(motion * np.sin(angle) / spacing), round(motion * np.cos(angle) / spacing)
    if not rows and not columns:
        return hu
    return np.float32(0.5) * (hu + np.roll(hu, (rows, columns), axis=(0, 1)))


def _padding(grid: Grid, style: Style) -> Bool[np.ndarray, "h w"]:
    """Where a scanner with a round field of view sees nothing."""
    if style.padding == "none":
        return np.zeros(grid.shape, bool)
    height, width = grid.shape
    x = (np.arange(width) - 0.5 * (width - 1)) / (0.5 * width)
    y = (np.arange(height) - 0.5 * (height - 1)) / (0.5 * width)
    return x[None, :] ** 2 + y[:, None] ** 2 > 1.0


def _mask(inside: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    return np.where(inside, np.uint8(255), np.uint8(0))
