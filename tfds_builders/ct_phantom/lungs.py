"""Aerated lung: gravity, air trapping, emphysema, fissures; then vessels, scars and bronchi."""

import numpy as np

from tfds_builders.ct_phantom.anatomy import PhantomChest, lung_centre, profile
from tfds_builders.ct_phantom.geometry import (
    Capsules,
    Field,
    capsule_cover,
    cover,
    paint,
    smooth_noise,
)
from tfds_builders.ct_phantom.individual import LUNG_HEIGHT, Confounders, Patient
from tfds_builders.ct_phantom.vessels import airways_beside, strands_at

LUNG, LEAST = -862.0, -985.0
"""HU of healthy lung at full breath in the middle of the chest, and of pure air in the lung."""

BRONCHUS = -950.0
BRONCHUS_WALL = -100.0
BLOOD_VESSEL = 40.0
SCAR = 20.0


def paint_lungs(
    hu: Field,
    chest: PhantomChest,
    confounders: Confounders,
    *,
    rng: np.random.Generator,
    softness: float,
) -> None:
    """Paint both lungs without vessels into `hu`, in place."""
    ground = _lung_density(chest, confounders, rng=rng)
    paint(hu, cover(_lung_distance(chest), softness=softness), ground)


def _lung_distance(chest: PhantomChest) -> Field:
    return np.minimum(chest.lungs[-1], chest.lungs[1])


def _lung_density(
    chest: PhantomChest, confounders: Confounders, *, rng: np.random.Generator
) -> Field:
    """The lungs' density in HU, everywhere in the window."""
    shape = chest.grid.shape
    broad = smooth_noise(rng, shape=shape, cells=6)
    middling = smooth_noise(rng, shape=shape, cells=18)
    fine = smooth_noise(rng, shape=shape, cells=45)
    height = chest.grid.y * np.float32(1 / chest.half_depth)  # -1 front .. 1 back
    ground = np.float32(LUNG + confounders.expiration) + 34 * height + 13 * middling + 16 * fine
    ground += np.float32(confounders.mosaic) * broad
    shallow = np.clip(
        1 + _lung_distance(chest) * np.float32(1 / 22), 0, 1
    )  # 1 at the pleura, 0 at 22 mm
    hanging = np.clip(2.2 * height - 0.9 + 0.25 * broad, 0, 1) * shallow * shallow
    ground += np.float32(confounders.dependent) * hanging
    if confounders.emphysema > 0.25:
        holes = np.clip(middling + 0.4 * broad - np.float32(1.9 - confounders.emphysema), 0, 0.6)
        ground -= np.float32(190) * holes
    ground += 85 * np.clip(1 - np.abs(fissure(chest)) * np.float32(1 / 1.6), 0, 1)
    return np.maximum(ground, np.float32(LEAST))


def fissure(chest: PhantomChest) -> Field:
    """Distance in mm behind (positive) the oblique fissure, the same on both sides."""
    width = 0.5 * chest.half_width
    outwards = np.abs(chest.grid.x) * np.float32(1 / width)
    outwards -= np.float32(lung_centre(chest.half_width, 1) / width)
    # The fissure runs forwards on its way down, and bows.
    middle = profile(chest.level, (0.1, 0.75), (0.4, 0.30), (0.7, -0.20), (1.0, -0.75))
    bow = outwards * (np.float32(0.8) - outwards)
    bow *= np.float32(-0.34 * chest.half_depth)
    bow += chest.grid.y
    bow -= np.float32(middle * chest.half_depth)
    return bow


def paint_tubes(
    hu: Field,
    chest: PhantomChest,
    patient: Patient,
    *,
    inside: Field,
    thickness: float,
    softness: float,
) -> None:
    """Paint vessels, scars, then bronchi with their walls, weighted by `inside` (0..1), in place.

    `thickness` of the slice is in mm.
    """
    depth = chest.level * LUNG_HEIGHT
    vessels = strands_at(patient.vessels, depth=depth, thickness=thickness + 4.0)
    scars = strands_at(patient.scars, depth=depth, thickness=thickness)
    airways = airways_beside(vessels)
    walls = Capsules(airways.start, airways.end, airways.radius + 0.8, 0.55 * airways.weight)
    for tubes, density in (
        (vessels, BLOOD_VESSEL),
        (scars, SCAR),
        (walls, BRONCHUS_WALL),
        (airways, BRONCHUS),
    ):
        if tubes.radius.size:
            tube = capsule_cover(chest.grid, tubes, softness=softness)
            tube *= inside
            paint(hu, tube, density)
