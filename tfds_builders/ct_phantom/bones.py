"""Skeleton and table: capsules along the rib cage, a vertebra with its canal, sternum, couch."""

import numpy as np

from tfds_builders.ct_phantom.anatomy import PhantomChest, lung_centre
from tfds_builders.ct_phantom.geometry import (
    BEND,
    Capsules,
    Field,
    Grid,
    around,
    capsule_distance,
    cover,
    ellipse,
    intersection,
    paint,
    paint_ellipse,
    part,
)
from tfds_builders.ct_phantom.individual import Anatomy

CORTEX, MARROW, CARTILAGE = 520.0, 170.0, 95.0

RIB_STEP = 0.44
"""Radians around a lung between neighbouring ribs where a slice cuts them."""

RIB_TURN = 11.0
"""Ribs from apex to base: as the level grows, cuts wander forwards by so many steps."""


def paint_bones(hu: Field, chest: PhantomChest, anatomy: Anatomy, *, softness: float) -> None:
    """Paint ribs, shoulder blades, collar bones, spine and sternum over `hu`, in place."""
    strokes = _join(
        [_ribs(chest, anatomy), *_shoulder(chest, anatomy), _spine_arch(chest, anatomy)]
    )
    bone = capsule_distance(chest.grid, strokes, softness=softness)
    paint(hu, cover(bone, softness=softness), CORTEX)
    paint(hu, cover(bone + np.float32(1.5), softness=softness), MARROW)
    _paint_vertebra(hu, chest, anatomy, softness=softness)
    _paint_sternum(hu, chest, anatomy, softness=softness)


def _join(parts: list[Capsules]) -> Capsules:
    return Capsules(
        start=np.concatenate([p.start for p in parts]),
        end=np.concatenate([p.end for p in parts]),
        radius=np.concatenate([p.radius for p in parts]),
        weight=np.concatenate([p.weight for p in parts]),
    )


def _capsules(points: list[tuple[float, float, float, float]], radius: float) -> Capsules:
    """Strokes (x0, y0, x1, y1) of one `radius`, mm."""
    ends = np.array(points, float).reshape(-1, 4)
    return Capsules(ends[:, :2], ends[:, 2:], np.full(len(ends), radius), np.ones(len(ends)))


def _ribs(chest: PhantomChest, anatomy: Anatomy) -> Capsules:
    """Ribs run obliquely, so a slice meets each of them as a short stroke along the cage."""
    wander = chest.level * RIB_TURN + anatomy.rib_phase
    cuts = np.arange(-3, 4) + (1 - wander % 1.0) - 0.5
    angles, spans = [], []
    for cut in cuts:
        angle = cut * RIB_STEP + 0.12  # 0 lateral, positive towards the back
        span = 0.11 + 0.08 * np.cos(2.3 * cut + 5 * anatomy.rib_phase + 3 * chest.level)
        angles += [angle - span, angle]
        spans += [span, span]
    start = np.array(angles)
    end = start + np.array(spans)
    points, radii = [], []
    for side in (-1, 1):
        a = _around(chest, anatomy, side=side, angle=start)
        b = _around(chest, anatomy, side=side, angle=end)
        points.append(np.concatenate([a, b], axis=1))
        radii.append(3.1 + 1.4 * np.clip(start, -0.6, 1.0))
    ends = np.concatenate(points)
    keep = np.abs(np.tile(start, 2) - 0.1) < 1.45
    radius = np.concatenate(radii)
    return Capsules(ends[keep, :2], ends[keep, 2:], radius[keep], np.ones(int(keep.sum())))


def _around(chest: PhantomChest, anatomy: Anatomy, *, side: int, angle: np.ndarray) -> np.ndarray:
    """Points (x, y) `[n, 2]` in the middle of the chest wall at `angle` around a lung."""
    margin = 0.42 * anatomy.wall
    a, b = 0.50 * chest.half_width + margin, chest.half_depth + margin
    x, y = a * np.cos(angle), b * np.sin(angle)
    # The tilt of the cavity, as `geometry.ellipse` turns it.
    tilt = -anatomy.lung_tilt
    c, s = np.cos(tilt), np.sin(tilt)
    rotated = np.stack([side * (c * x - s * y), s * x + c * y], axis=1)
    return rotated + np.array([lung_centre(chest.half_width, side), 0.06 * chest.half_depth])


def _shoulder(chest: PhantomChest, anatomy: Anatomy) -> list[Capsules]:
    """Shoulder blades above level 0.5, collar bones at the very top."""
    parts = []
    w, d, wall = chest.half_width, chest.half_depth, anatomy.wall
    if chest.level < 0.5:
        reach = 1 - chest.level
        for side in (-1, 1):
            x0, y0 = side * (0.62 * w), 0.92 * d + wall + 2
            x1, y1 = side * (1.0 * w + 6), 0.42 * d + wall * (0.8 + 0.2 * reach)
            mid = (0.5 * (x0 + x1) + side * 4, 0.5 * (y0 + y1) + 4)
            parts.append(_capsules([(x0, y0, *mid), (*mid, x1, y1)], 2.6))
    if chest.level < 0.2:
        for side in (-1, 1):
            x0, x1 = side * 26.0, side * 0.75 * w
            parts.append(_capsules([(x0, -d - 6, x1, -0.92 * d - 10)], 5.0))
    return parts


def _spine_arch(chest: PhantomChest, anatomy: Anatomy) -> Capsules:
    """Pedicles, laminae, transverse and spinous processes around the canal."""
    half, y = anatomy.vertebra, _vertebra_y(chest)
    back = y + 1.9 * half
    strokes = []
    for side in (-1, 1):
        strokes.append((side * 0.72 * half, y + 0.7 * half, side * 0.80 * half, back - 0.45 * half))
        strokes.append((side * 0.80 * half, back - 0.45 * half, 0.0, back + 0.15 * half))
        strokes.append(
            (side * 0.80 * half, back - 0.45 * half, side * 2.0 * half, back + 0.25 * half)
        )
    strokes.append((0.0, back + 0.15 * half, 0.0, back + 1.25 * half))
    return _capsules(strokes, 3.0)


def _vertebra_y(chest: PhantomChest) -> float:
    return 0.72 * chest.half_depth


def _paint_vertebra(hu: Field, chest: PhantomChest, anatomy: Anatomy, *, softness: float) -> None:
    """The body with its cortex and sponge, and the cord in its canal."""
    half, y = anatomy.vertebra, _vertebra_y(chest)
    behind = (0.0, y + 1.28 * half)
    pixels = around(chest.grid, (0.0, y), (half, half), margin=softness + BEND)
    grid = part(chest.grid, pixels)
    body = intersection(
        ellipse(grid, (0.0, y), (half, 0.80 * half)),
        -ellipse(grid, behind, (0.60 * half, 0.48 * half)),
        rounding=3.0,
    )
    paint(hu[pixels], cover(body, softness=softness), 400.0)
    paint(hu[pixels], cover(body + np.float32(2.0), softness=1.5 * softness), MARROW)
    radii = (0.58 * half, 0.46 * half)
    paint_ellipse(hu, chest.grid, behind, radii, 25.0, softness=softness)


def _paint_sternum(hu: Field, chest: PhantomChest, anatomy: Anatomy, *, softness: float) -> None:
    """The breast bone and the cartilage that joins it to the ribs."""
    if chest.level > 0.86:
        return
    y = -1.02 * chest.half_depth - 0.35 * anatomy.wall
    parts = [((side * 30.0, y + 2), (16.0, 4.8), side * 0.28, CARTILAGE) for side in (-1, 1)]
    parts += [((0.0, y), (17.0, 5.8), 0.0, 360.0), ((0.0, y), (15.0, 3.8), 0.0, 120.0)]
    for centre, radii, tilt, density in parts:
        paint_ellipse(hu, chest.grid, centre, radii, density, softness=softness, tilt=tilt)


def paint_table(hu: Field, grid: Grid, *, back: float, curve: float, softness: float) -> None:
    """Paint the couch into empty air, in place: two shells of carbon fibre with foam between.

    `back` is the y of the lowest skin in mm, `curve` the couch's rise towards its sides in 1/mm.
    """
    rise = curve * float(np.square(grid.x[0]).max())
    rows, columns = grid.shape
    first_row = int((back - rise - softness - grid.top) / grid.spacing)  # above it there is none
    pixels = (slice(min(max(first_row, 0), rows), rows), slice(0, columns))
    hu, grid = hu[pixels], part(grid, pixels)
    below = grid.y - np.float32(back + 7) + np.float32(curve) * grid.x * grid.x
    paint(hu, cover(np.abs(below - np.float32(11)) - np.float32(11), softness=softness), -960.0)
    for depth, density in ((0.0, -420.0), (22.0, -300.0)):
        shell = np.abs(below - np.float32(depth)) - np.float32(1.3)
        paint(hu, cover(shell, softness=softness), density)
