"""The chest at one level: distance fields of its organs, and its tissues in Hounsfield units.

Levels run from 0 (apex) to 1 (bases). `chest_at` says where things are, `paint_chest` what they
look like without disease; lesions, vessels and airways are added by their own modules.
"""

from dataclasses import dataclass

import numpy as np

from tfds_builders.ct_phantom.geometry import (
    Field,
    Grid,
    add_ellipse,
    bent,
    cover,
    ellipse,
    intersection,
    paint,
    paint_ellipse,
    smooth_noise,
    spline_field,
    union,
)
from tfds_builders.ct_phantom.individual import Anatomy, Confounders

AIR, FAT, MUSCLE, BLOOD, LIVER = -1000.0, -98.0, 52.0, 42.0, 62.0
LUNG = -862.0


@dataclass(frozen=True)
class Chest:
    """Distances (mm, negative inside) at one level; sides are -1 (image left) and 1."""

    grid: Grid  # bent to the individual
    level: float
    half_width: float  # of the pleural cavities together, at this level
    half_depth: float
    cavities: dict[int, Field]
    lungs: dict[int, Field]
    mediastinum: Field
    heart: Field | None
    dome: Field | None
    muscle: Field
    body: Field
    back: float  # y of the lowest skin, mm


def _profile(level: float, *points: tuple[float, float]) -> float:
    """Piecewise linear in the level, between (level, value) `points`."""
    return float(np.interp(level, [p[0] for p in points], [p[1] for p in points]))


def lung_centre(chest_width: float, side: int) -> float:
    """x of a lung's middle, mm."""
    return 0.52 * chest_width * side


def chest_at(grid: Grid, anatomy: Anatomy, *, level: float) -> Chest:
    """Lay out the chest of `anatomy` at `level` on `grid`."""
    bend = 2.6 * np.random.default_rng(anatomy.bend_seed).standard_normal((2, 7, 7))
    grid = bent(
        grid,
        dx=spline_field(bend[0], shape=grid.shape),
        dy=spline_field(bend[1], shape=grid.shape),
    )
    breadth = _profile(
        level, (0.0, 0.42), (0.12, 0.70), (0.3, 0.88), (0.55, 1.0), (0.8, 1.03), (1.0, 1.0)
    )
    width = anatomy.chest_width * breadth
    depth = anatomy.chest_depth * _profile(
        level, (0.0, 0.45), (0.12, 0.68), (0.3, 0.90), (0.55, 1.0), (0.8, 1.05), (1.0, 1.0)
    )
    cavities = {
        side: ellipse(
            grid,
            (lung_centre(width, side), 0.06 * depth),
            (0.50 * width, depth),
            tilt=-side * anatomy.lung_tilt,
        )
        for side in (-1, 1)
    }
    mediastinum, heart = _middle(grid, anatomy, level=level, depth=depth)
    dome = _diaphragm(grid, anatomy, level=level, width=width, depth=depth)
    lungs = {}
    for side, cavity in cavities.items():
        lung = intersection(cavity, -mediastinum, rounding=7.0)
        if dome is not None:
            lung = intersection(lung, -dome, rounding=4.0)
        lungs[side] = lung
    muscle, body, back = _wall(grid, anatomy, cavities, level=level, width=width, depth=depth)
    return Chest(
        grid=grid,
        level=level,
        half_width=width,
        half_depth=depth,
        cavities=cavities,
        lungs=lungs,
        mediastinum=mediastinum,
        heart=heart,
        dome=dome,
        muscle=muscle,
        body=body,
        back=back,
    )


def _middle(
    grid: Grid, anatomy: Anatomy, *, level: float, depth: float
) -> tuple[Field, Field | None]:
    """Everything between the lungs: great vessels, heart and the spine's bulge."""
    half = anatomy.mediastinum * _profile(
        level,
        (0.0, 1.25),
        (0.2, 1.0),
        (0.30, 1.15),
        (0.36, 0.92),
        (0.5, 1.05),
        (0.8, 0.85),
        (1.0, 0.9),
    )
    spine = anatomy.vertebra
    middle = ellipse(grid, (2.0, 0.06 * depth), (half, 0.92 * depth))
    add_ellipse(middle, grid, (0.0, 0.93 * depth), (spine + 8, 0.42 * depth), rounding=12.0)
    if level > 0.32:
        add_ellipse(middle, grid, (0.75 * spine + 6, 0.52 * depth), (13.0, 13.0), rounding=6.0)
    size = _profile(level, (0.42, 0.0), (0.52, 0.72), (0.68, 1.0), (0.88, 0.92), (1.0, 0.6))
    if size < 0.2:
        return middle, None
    long = anatomy.heart * size
    heart = ellipse(
        grid, (4 + 14 * size, -0.34 * depth), (long, 0.70 * long), tilt=anatomy.heart_tilt
    )
    # The right atrium bulges to the image's left.
    add_ellipse(
        heart, grid, (-0.30 * long, -0.22 * depth), (0.40 * long, 0.50 * long), rounding=14.0
    )
    return union(middle, heart - np.float32(3.0), rounding=9.0), heart


def _diaphragm(
    grid: Grid, anatomy: Anatomy, *, level: float, width: float, depth: float
) -> Field | None:
    """Liver (image left) and stomach or spleen (image right) rising into the lungs' bases."""
    if level <= anatomy.dome:
        return None
    domes = np.full(grid.shape, np.float32(1e3))
    for side, top, reach in ((-1, anatomy.dome, 0.42), (1, anatomy.dome + 0.06, 0.36)):
        sunk = (level - top) / 0.30
        if sunk > 0:
            share = float(np.sqrt(1 - (1 - min(sunk, 1.0)) ** 2))
            centre = (side * 0.54 * width, -0.06 * depth)
            radii = (reach * share * width, 0.88 * share * depth)
            add_ellipse(domes, grid, centre, radii, rounding=1.0, margin=25.0)
    return domes


def _wall(
    grid: Grid,
    anatomy: Anatomy,
    cavities: dict[int, Field],
    *,
    level: float,
    width: float,
    depth: float,
) -> tuple[Field, Field, float]:
    """Muscles around the rib cage, skin around the fat around them, and the back's lowest y."""
    cage = union(cavities[-1], cavities[1], rounding=40.0)
    muscle = cage - np.float32(anatomy.wall)
    groups = [  # (x, y, half width, half depth, tilt) of the muscles that stand out
        (0.24, 1.22, 0.22, 18.0, 0.0),  # beside the spine
    ]
    if level < 0.6:
        bulk = 1 - level / 0.75
        groups.append((0.74, 0.84, 0.36, 10 + 24 * bulk, -0.62))  # shoulder blade
        groups.append((0.62, -1.02, 0.42, 8 + 14 * bulk, 0.34))  # pectorals
    for x, y, rx, ry, tilt in groups:
        for side in (-1, 1):
            centre, radii = (side * x * width, y * depth), (rx * width + 4, ry)
            add_ellipse(muscle, grid, centre, radii, tilt=side * tilt, rounding=12.0)
    back = 1.06 * depth + anatomy.wall + 14 + 0.55 * anatomy.fat
    body = muscle - np.float32(anatomy.fat)
    if anatomy.breast and 0.3 < level < 0.9:
        swell = anatomy.breast * _profile(level, (0.3, 0.2), (0.55, 1.0), (0.75, 0.8), (0.9, 0.1))
        for side in (-1, 1):
            centre = (side * 0.60 * width, -depth - 0.55 * anatomy.wall)
            radii = (0.42 * width, 20 + 30 * swell)
            add_ellipse(body, grid, centre, radii, tilt=side * 0.25, rounding=25.0)
    return muscle, intersection(body, grid.y - np.float32(back), rounding=26.0), back


def paint_chest(
    chest: Chest,
    anatomy: Anatomy,
    confounders: Confounders,
    *,
    rng: np.random.Generator,
    softness: float,
) -> Field:
    """Tissues of the chest in HU: wall, mediastinum and lung ground, no vessels or lesions yet."""
    shape = chest.grid.shape
    coarse = smooth_noise(rng, shape=shape, cells=26)
    fine = smooth_noise(rng, shape=shape, cells=64)
    hu = np.full(shape, AIR, np.float32)
    body = cover(chest.body, softness=softness)
    paint(hu, body, np.float32(FAT) + 9 * coarse)
    paint(hu, body - cover(chest.body + np.float32(2.2), softness=softness), 10.0)  # skin
    _paint_muscle(hu, chest, coarse=coarse, fine=fine, softness=softness)
    _paint_middle(hu, chest, anatomy, coarse=coarse, softness=softness)
    ground = lung_ground(chest, confounders, coarse=coarse, fine=fine, rng=rng)
    for side in (-1, 1):
        paint(hu, cover(chest.lungs[side], softness=softness), ground)
    return hu


def _paint_muscle(hu: Field, chest: Chest, *, coarse: Field, fine: Field, softness: float) -> None:
    """Muscle, streaked by the fat between its bundles."""
    marbling = np.clip(1.15 - 0.55 * np.maximum(coarse + 0.35 * fine, 0), 0.25, 1)
    paint(hu, cover(chest.muscle, softness=2 * softness) * marbling, MUSCLE)


def _paint_middle(
    hu: Field, chest: Chest, anatomy: Anatomy, *, coarse: Field, softness: float
) -> None:
    """Mediastinal fat with great vessels in it, the heart, and the organs below the diaphragm."""
    fat = np.float32(MUSCLE - anatomy.fat_share * (MUSCLE - FAT))
    paint(hu, cover(chest.mediastinum, softness=softness), fat + 22 * coarse)
    if chest.heart is not None:
        muscle = np.float32(BLOOD) + 6 * coarse
        paint(hu, cover(chest.heart, softness=2.5 * softness), muscle)
    for x, y, radius in _great_vessels(chest.level, depth=chest.half_depth, spine=anatomy.vertebra):
        paint_ellipse(hu, chest.grid, (x, y), (radius, radius), BLOOD, softness=1.6 * softness)
    for x, y, radius in _air_tubes(chest.level, depth=chest.half_depth):
        for wall, density in ((1.8, 20.0), (0.0, -985.0)):
            radii = (radius + wall, 0.92 * radius + wall)
            paint_ellipse(hu, chest.grid, (x, y), radii, density, softness=softness)
    if chest.dome is not None:
        # A dome is cut nearly along its surface: a wide edge is partial volume.
        paint(hu, cover(chest.dome, softness=3 * softness), np.float32(LIVER) + 5 * coarse)


def _great_vessels(level: float, *, depth: float, spine: float) -> list[tuple[float, float, float]]:
    """(x, y, radius) in mm of the large vessels cut across at `level`."""
    vessels = []
    if level < 0.26:  # the three branches of the arch and the brachiocephalic veins
        vessels += [
            (-9.0, -0.30 * depth, 7.0),
            (5.0, -0.22 * depth, 5.0),
            (15.0, 0.02 * depth, 5.5),
        ]
        vessels += [(-21.0, -0.38 * depth, 8.0), (14.0, -0.48 * depth, 7.0)]
    elif level < 0.35:  # the arch itself, as overlapping circles
        vessels += [(-8 + 6.5 * k, -0.42 * depth + 0.14 * depth * k, 12.5) for k in range(6)]
    else:
        vessels.append((0.75 * spine + 6, 0.52 * depth, 12.0))  # descending aorta
        if level < 0.6:
            vessels.append((-6.0, -0.40 * depth, 15.5))  # ascending aorta
            vessels.append((-24.0, -0.26 * depth, 8.5))  # superior vena cava
        if 0.40 < level < 0.52:  # the pulmonary trunk and its right branch
            vessels.append((17.0, -0.42 * depth, 14.0))
            vessels += [(10 - 9.0 * k, -0.22 * depth + 0.03 * depth * k, 8.5) for k in range(5)]
    vessels.append((4.0, 0.36 * depth, 6.5))  # oesophagus
    return vessels


def _air_tubes(level: float, *, depth: float) -> list[tuple[float, float, float]]:
    """(x, y, radius) in mm of the trachea or the main bronchi at `level`."""
    if level < 0.40:
        return [(-1.0, _profile(level, (0.0, -0.05), (0.4, 0.12)) * depth, 8.5)]
    if level < 0.56:
        apart = 9 + 130 * (level - 0.40)
        return [(side * apart, 0.14 * depth, 6.3) for side in (-1, 1)]
    return []


def lung_ground(
    chest: Chest, confounders: Confounders, *, coarse: Field, fine: Field, rng: np.random.Generator
) -> Field:
    """Aerated lung in HU, with gravity, air trapping, emphysema and the fissures."""
    shape = chest.grid.shape
    broad = smooth_noise(rng, shape=shape, cells=9)
    height = chest.grid.y * np.float32(1 / chest.half_depth)  # -1 front .. 1 back
    ground = np.float32(LUNG + confounders.expiration) + 34 * height + 13 * coarse + 16 * fine
    ground += np.float32(confounders.mosaic) * broad
    pleura = np.minimum(chest.lungs[-1], chest.lungs[1])
    shallow = np.clip(1 + pleura * np.float32(1 / 22), 0, 1)  # 1 at the pleura, 0 at 22 mm
    hanging = np.clip(2.2 * height - 0.9 + 0.25 * broad, 0, 1) * shallow * shallow
    ground += np.float32(confounders.dependent) * hanging
    if confounders.emphysema > 0.25:
        holes = np.clip(coarse + 0.4 * broad - np.float32(1.9 - confounders.emphysema), 0, 0.6)
        ground -= np.float32(190) * holes
    line = 1 - np.abs(fissure(chest)) * np.float32(1 / 1.6)
    ground += 85 * np.clip(line, 0, 1)
    return np.maximum(ground, np.float32(-985))


def fissure(chest: Chest) -> Field:
    """Distance in mm behind (positive) the oblique fissure, the same on both sides."""
    width = np.float32(0.5 * chest.half_width)
    outwards = np.abs(chest.grid.x) * (1 / width) - np.float32(1.04)
    # The fissure runs forwards on its way down, and bows.
    middle = _profile(chest.level, (0.1, 0.75), (0.4, 0.30), (0.7, -0.20), (1.0, -0.75))
    bow = outwards * (np.float32(0.8) - outwards)
    bow *= np.float32(-0.34 * chest.half_depth)
    bow += chest.grid.y
    bow -= np.float32(middle * chest.half_depth)
    return bow
