"""The chest at one level: distance fields of its organs, and its soft tissues in HU.

Levels run from 0 (apex) to 1 (bases). `chest_at` places the organs, `paint_soft_tissue` paints the wall
and the middle; lungs, vessels, lesions and bones are added by their own modules.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tfds_builders.ct_phantom.geometry import (
    Field,
    Grid,
    add_ellipse,
    bend_grid,
    cover,
    ellipse,
    intersection,
    paint,
    paint_ellipse,
    part,
    smooth_noise,
    spline_field,
    union,
    window,
)
from tfds_builders.ct_phantom.individual import Anatomy

FAT, MUSCLE, BLOOD, LIVER = -98.0, 52.0, 42.0, 62.0

FAR = 1000.0
"""A distance in mm larger than any in a chest."""


@dataclass(frozen=True)
class PhantomChest:
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


def profile(level: float, *points: tuple[float, float]) -> float:
    """Piecewise linear in the level, between (level, value) `points`."""
    return float(np.interp(level, [p[0] for p in points], [p[1] for p in points]))


def lung_centre(chest_width: float, side: int) -> float:
    """x of a lung's middle, mm."""
    return 0.52 * chest_width * side


def body_window(grid: Grid, anatomy: Anatomy) -> tuple[slice, slice]:
    """The pixels that the body of `anatomy` can reach at any level."""
    wide = 1.16 * anatomy.chest_width + anatomy.wall + anatomy.fat
    deep = 1.06 * anatomy.chest_depth + anatomy.wall + anatomy.fat + 16
    front = deep + (36 if anatomy.breast else 6)
    return window(grid, (0.0, 0.5 * (deep - front)), reach=(wide, 0.5 * (front + deep)))


def lung_window(grid: Grid, anatomy: Anatomy) -> tuple[slice, slice]:
    """The pixels that the lungs of `anatomy` can reach at any level."""
    reach = (1.08 * anatomy.chest_width + 10, 1.10 * anatomy.chest_depth + 10)
    return window(grid, (0.0, 0.06 * anatomy.chest_depth), reach=reach)


def crop_chest(chest: PhantomChest, pixels: tuple[slice, slice]) -> PhantomChest:
    """The same chest on the pixels of a window; views, no copies."""
    return replace(
        chest,
        grid=part(chest.grid, pixels),
        cavities={side: field[pixels] for side, field in chest.cavities.items()},
        lungs={side: field[pixels] for side, field in chest.lungs.items()},
        mediastinum=chest.mediastinum[pixels],
        heart=None if chest.heart is None else chest.heart[pixels],
        dome=None if chest.dome is None else chest.dome[pixels],
        muscle=chest.muscle[pixels],
        body=chest.body[pixels],
    )


def chest_at(grid: Grid, anatomy: Anatomy, *, level: float) -> PhantomChest:
    """Lay out the chest of `anatomy` at `level` on `grid`."""
    dx, dy = _bend(anatomy.bend_seed, grid.shape)
    grid = bend_grid(grid, dx=dx, dy=dy)
    breadth = profile(
        level, (0.0, 0.42), (0.12, 0.70), (0.3, 0.88), (0.55, 1.0), (0.8, 1.03), (1.0, 1.0)
    )
    width = anatomy.chest_width * breadth
    depth = anatomy.chest_depth * profile(
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
    return PhantomChest(
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


@lru_cache(maxsize=2)
def _bend(seed: int, shape: tuple[int, int]) -> tuple[Field, Field]:
    """The shift of each pixel in mm by an individual's shape, the same in all slices."""
    knots = 2.6 * np.random.default_rng(seed).standard_normal((2, 7, 7))
    return spline_field(knots[0], shape=shape), spline_field(knots[1], shape=shape)


def _middle(
    grid: Grid, anatomy: Anatomy, *, level: float, depth: float
) -> tuple[Field, Field | None]:
    """Everything between the lungs: great vessels, heart and the spine's bulge."""
    half = anatomy.mediastinum * profile(
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
    add_ellipse(
        middle, grid, (0.0, 0.93 * depth), (spine + 8, 0.42 * depth), rounding=12.0, margin=25.0
    )
    if level > 0.32:
        add_ellipse(
            middle, grid, (0.75 * spine + 6, 0.52 * depth), (13.0, 13.0), rounding=6.0, margin=20.0
        )
    size = profile(level, (0.42, 0.0), (0.52, 0.72), (0.68, 1.0), (0.88, 0.92), (1.0, 0.6))
    if size < 0.2:
        return middle, None
    long = anatomy.heart * size
    heart = np.full(grid.shape, FAR, np.float32)
    ventricles = ((4 + 14 * size, -0.34 * depth), (long, 0.70 * long))
    add_ellipse(heart, grid, *ventricles, tilt=anatomy.heart_tilt, rounding=1.0, margin=25.0)
    # The right atrium bulges to the image's left.
    add_ellipse(
        heart,
        grid,
        (-0.30 * long, -0.22 * depth),
        (0.40 * long, 0.50 * long),
        rounding=14.0,
        margin=25.0,
    )
    return union(middle, heart - np.float32(3.0), rounding=9.0), heart


def _diaphragm(
    grid: Grid, anatomy: Anatomy, *, level: float, width: float, depth: float
) -> Field | None:
    """Liver (image left) and stomach or spleen (image right) rising into the lungs' bases."""
    if level <= anatomy.dome:
        return None
    domes = np.full(grid.shape, FAR, np.float32)
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
        swell = anatomy.breast * profile(level, (0.3, 0.2), (0.55, 1.0), (0.75, 0.8), (0.9, 0.1))
        for side in (-1, 1):
            centre = (side * 0.60 * width, -depth - 0.55 * anatomy.wall)
            radii = (0.42 * width, 20 + 30 * swell)
            add_ellipse(body, grid, centre, radii, tilt=side * 0.25, rounding=25.0)
    return muscle, intersection(body, grid.y - np.float32(back), rounding=26.0), back


def paint_soft_tissue(
    hu: Field, chest: PhantomChest, anatomy: Anatomy, *, rng: np.random.Generator, softness: float
) -> None:
    """Paint skin, fat, muscle, mediastinum and the organs below the diaphragm, in place."""
    coarse = smooth_noise(rng, shape=hu.shape, cells=22)
    body = cover(chest.body, softness=softness)
    paint(hu, body, np.float32(FAT) + 9 * coarse)
    paint(hu, body - cover(chest.body + np.float32(2.2), softness=softness), 10.0)  # skin
    # Fat between the bundles streaks the muscle.
    marbling = np.clip(np.float32(1.15) - np.float32(0.6) * np.abs(coarse), 0.25, 1)
    marbling *= cover(chest.muscle, softness=2 * softness)
    paint(hu, marbling, MUSCLE)
    _paint_middle(hu, chest, anatomy, coarse=coarse, softness=softness)


def _paint_middle(
    hu: Field, chest: PhantomChest, anatomy: Anatomy, *, coarse: Field, softness: float
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
        return [(-1.0, profile(level, (0.0, -0.05), (0.4, 0.12)) * depth, 8.5)]
    if level < 0.56:
        distance = 9 + 130 * (level - 0.40)
        return [(side * distance, 0.14 * depth, 6.3) for side in (-1, 1)]
    return []
