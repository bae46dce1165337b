"""From a patient to slices with exact masks, and from settings to all slices of a data set.

Needs numpy, scipy and jaxtyping only. A slice drawn alone is the same, byte for byte.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from mgajax.errors import ConfigError, nearest
from tfds_builders.ct_phantom.anatomy import (
    PhantomChest,
    body_window,
    chest_at,
    crop_chest,
    lung_window,
    paint_soft_tissue,
)
from tfds_builders.ct_phantom.bones import paint_bones, paint_table
from tfds_builders.ct_phantom.geometry import Field, Grid, make_grid, part
from tfds_builders.ct_phantom.individual import (
    DEFAULT_SEVERITY,
    LOOKS,
    TEXTBOOK,
    Patient,
    draw_patient,
)
from tfds_builders.ct_phantom.lesions import lesions_at, paint_lesions
from tfds_builders.ct_phantom.lungs import paint_lungs, paint_tubes
from tfds_builders.ct_phantom.rendering import Style, grain_and_blur, style_of, to_grey

AIR = -1000.0
"""HU."""

SMALLEST = 32
"""Pixels; in smaller pictures a chest cannot be recognised."""


@dataclass(frozen=True)
class PhantomSettings:
    """The settings of a phantom data set."""

    patients: int = 240
    slices_per_patient: int = 8
    size: int = 256  # nominal width in pixels; sources vary around it
    shortcut: float = 0.0  # 0: source independent of class .. 1: source determined by class
    severity: float = DEFAULT_SEVERITY  # of lesions: 0 subtle .. 1 florid
    seed: int = 0
    look: str = TEXTBOOK  # one of LOOKS

    def __post_init__(self) -> None:
        """Refuse settings that cannot be drawn."""
        for name, least in (("patients", 1), ("slices_per_patient", 1), ("size", SMALLEST)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least {least}")
        for name, meaning in (
            ("shortcut", "0: source independent of class, 1: source determined by class"),
            ("severity", "0: subtle lesions, 1: florid ones"),
        ):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in [0, 1] ({meaning})")
        if self.look not in LOOKS:
            raise ConfigError(f"look={self.look}: {nearest(self.look, LOOKS)}")
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
        """See `slice_name`."""
        return slice_name(self.patient, index=self.index)


def slice_name(patient: Patient, *, index: int) -> str:
    """`phantom_0001_03.png`: unique within a data set."""
    return f"{patient.name}_{index:02d}.png"


def slice_shape(patient: Patient, *, size: int) -> tuple[int, int]:
    """Height and width of the patient's slices in pixels, without drawing one."""
    height, width = _frame(patient, style_of(patient.source, look=patient.look), size=size).shape
    return height, width


def iter_patients(settings: PhantomSettings) -> Iterator[Patient]:
    """All patients of the data set, in order of their numbers."""
    for number in range(settings.patients):
        yield draw_patient(
            number,
            seed=settings.seed,
            slices=settings.slices_per_patient,
            shortcut=settings.shortcut,
            severity=settings.severity,
            look=settings.look,
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
    style = style_of(patient.source, look=patient.look)
    rng = np.random.default_rng([patient.seed, patient.number, 1 + index])
    grid = _frame(patient, style, size=size)
    hu, lesion, lung = _draw_hu(patient, grid, style, level=patient.levels[index], rng=rng)
    look = np.random.default_rng([patient.seed, patient.number, 0])
    dose, shift, stretch = look.uniform(0.6, 1.7), look.normal(0, 60), look.uniform(0.85, 1.2)
    hu = _blur_motion(hu, patient.confounders.motion, spacing=grid.spacing, rng=rng)
    hu = grain_and_blur(hu, style, spacing=grid.spacing, dose=dose, rng=rng)
    padded = _padding(grid, style)
    image = to_grey(hu, style, shift=shift, stretch=stretch, padded=padded)
    lung &= ~padded
    flags = ("upside_down",) if style.orientation == "upside_down" else ()
    image, lesion_mask, lung_mask = (
        _orient(picture, style) for picture in (image, _mask(lesion & lung), _mask(lung))
    )
    return PhantomSlice(
        image=image,
        lesion_mask=lesion_mask,
        lung_mask=lung_mask,
        patient=patient,
        index=index,
        flags=flags,
    )


def _orient(picture: UInt8[np.ndarray, "h w"], style: Style) -> UInt8[np.ndarray, "h w"]:
    """The picture upright or upside down, as in the source."""
    return np.ascontiguousarray(picture[::-1]) if style.orientation == "upside_down" else picture


def _frame(patient: Patient, style: Style, *, size: int) -> Grid:
    """The pixels of all slices of a patient: size, spacing and position of the chest."""
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
    patient: Patient, grid: Grid, style: Style, *, level: float, rng: np.random.Generator
) -> tuple[Field, Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """The slice in HU without noise, the pixels at least half filled by disease, and the lungs.

    Body and lungs are drawn in their windows only: most of a picture is air.
    """
    softness = max(1.2 * grid.spacing, 0.35 * style.thickness)
    hu = np.full(grid.shape, AIR, np.float32)
    lesion, lung = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    pixels = body_window(grid, patient.anatomy)
    chest = chest_at(part(grid, pixels), patient.anatomy, level=level)
    if style.table == "shown":
        paint_table(hu, grid, back=chest.back, curve=0.0006, softness=softness)
    paint_soft_tissue(hu[pixels], chest, patient.anatomy, rng=rng, softness=softness)
    inner = lung_window(chest.grid, patient.anatomy)
    _draw_lungs(
        hu[pixels][inner],
        patient,
        crop_chest(chest, inner),
        style,
        lesion=lesion[pixels][inner],
        lung=lung[pixels][inner],
        softness=softness,
        rng=rng,
    )
    paint_bones(hu[pixels], chest, patient.anatomy, softness=softness)
    return hu, lesion, lung


def _draw_lungs(
    hu: Field,
    patient: Patient,
    chest: PhantomChest,
    style: Style,
    *,
    lesion: Bool[np.ndarray, "h w"],
    lung: Bool[np.ndarray, "h w"],
    softness: float,
    rng: np.random.Generator,
) -> None:
    """Paint all that lies in the lungs, and fill in the masks, in place."""
    paint_lungs(hu, chest, patient.confounders, rng=rng, softness=softness)
    depth = -np.minimum(chest.lungs[-1], chest.lungs[1])
    inside = np.clip(depth, 0, 1)
    np.greater(depth, 0, out=lung)
    lesions = lesions_at(chest, patient.anatomy, patient.disease, rng=rng)
    if lesions is not None:
        paint_lesions(hu, lesions)
        np.greater_equal(lesions.occupancy, 0.5, out=lesion)
        inside *= 1 - lesions.fluid
    paint_tubes(hu, chest, patient, inside=inside, thickness=style.thickness, softness=softness)


def _blur_motion(hu: Field, motion: float, *, spacing: float, rng: np.random.Generator) -> Field:
    """A double image, as if the chest moved by `motion` mm during the turn of the tube.

    The two images lie on both sides of the masks.
    """
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = round(motion * np.sin(angle) / spacing), round(motion * np.cos(angle) / spacing)
    if not rows and not columns:
        return hu
    before = (rows // 2, columns // 2)
    after = (before[0] - rows, before[1] - columns)
    return np.float32(0.5) * (np.roll(hu, before, axis=(0, 1)) + np.roll(hu, after, axis=(0, 1)))


def _padding(grid: Grid, style: Style) -> Bool[np.ndarray, "h w"]:
    """The pixels outside the field of view of a scanner with a round one."""
    if style.padding == "none":
        return np.zeros(grid.shape, bool)
    height, width = grid.shape
    x = (np.arange(width) - 0.5 * (width - 1)) / (0.5 * width)
    y = (np.arange(height) - 0.5 * (height - 1)) / (0.5 * width)
    return x[None, :] ** 2 + y[:, None] ** 2 > 1.0


def _mask(inside: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    return inside.view(np.uint8) * np.uint8(255)
