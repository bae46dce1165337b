"""Lesions on the pixels: the diseased share of each pixel, and the change of its HU.

The lesion mask is exact by construction: a pixel is lesion where the drawn disease fills at least
half of it, inside the pleural cavity. `Lesions.occupancy` is the same quantity before the cut.
"""

from dataclasses import dataclass

import numpy as np

from tfds_builders.ct_phantom.anatomy import PhantomChest, lung_centre
from tfds_builders.ct_phantom.disease import Disease, Effusion, Focus, Lobe
from tfds_builders.ct_phantom.geometry import (
    BEND,
    Field,
    around,
    cover,
    ellipse,
    paint,
    part,
    smooth_noise,
)
from tfds_builders.ct_phantom.individual import Anatomy
from tfds_builders.ct_phantom.lungs import fissure

SOLID = 32.0
"""HU of consolidated lung."""

FLUID = 8.0
"""HU of pleural fluid."""


@dataclass(frozen=True)
class Lesions:
    """All disease in one slice; each field is per pixel."""

    haze: Field  # HU to add (ground glass)
    solid: Field  # share that is consolidated, 0..1
    fluid: Field  # share that is pleural fluid, 0..1
    occupancy: Field  # share that is diseased in any way, 0..1


def lesions_at(
    chest: PhantomChest, anatomy: Anatomy, disease: Disease, *, rng: np.random.Generator
) -> Lesions | None:
    """The lesions of `disease` in this slice, or None where the slice has none."""
    shape = chest.grid.shape
    foci = [f for f in disease.foci + disease.spots if abs(chest.level - f.level) < f.height]
    lobe, effusion = disease.lobe, disease.effusion
    if lobe is not None and abs(chest.level - lobe.level) >= lobe.height:
        lobe = None
    if effusion is not None and chest.level <= effusion.top:
        effusion = None
    if not foci and lobe is None and effusion is None:
        return None
    lump = smooth_noise(rng, shape=shape, cells=8)
    grain = smooth_noise(rng, shape=shape, cells=30)
    lesions = Lesions(*(np.zeros(shape, np.float32) for _ in range(4)))
    for focus in foci:
        _add_focus(chest, anatomy, focus, lump=lump, grain=grain, into=lesions)
    if lobe is not None:
        _add_lobe(chest, lobe, lump=lump, grain=grain, into=lesions)
    if effusion is not None:
        _raise_to(lesions.fluid, _effusion(chest, effusion, lump))
        _raise_to(lesions.occupancy, lesions.fluid)
    return lesions


def _add_focus(
    chest: PhantomChest, anatomy: Anatomy, focus: Focus, *, lump: Field, grain: Field, into: Lesions
) -> None:
    """Add one focus to the slice's lesions, in place."""
    centre = _find_centre(chest, anatomy, focus)
    # Half axes: along the pleura and across it; the lens turns with the wall.
    turn = focus.side * (focus.angle + 0.5 * np.pi)
    pixels = around(
        chest.grid,
        centre,
        (focus.breadth, focus.depth),
        tilt=turn,
        margin=1.4 * focus.depth + BEND,
    )
    lump, grain = lump[pixels], grain[pixels]
    lens = ellipse(part(chest.grid, pixels), centre, (focus.breadth, focus.depth), tilt=turn)
    shrink = 1 - ((chest.level - focus.level) / focus.height) ** 2
    # 1 in the centre, 0 on the outline, less outside; the lumps make the outline irregular.
    inner = np.float32(shrink) - (lens + np.float32(focus.depth)) * np.float32(1 / focus.depth)
    inner += np.float32(0.42) * lump + np.float32(0.16) * grain
    inside = np.clip(inner * np.float32(2.4) + np.float32(0.5), 0, 1)
    inside *= chest.lungs[focus.side][pixels] < 0
    texture = 1 + np.float32(0.12) * lump + np.float32(0.20 + 0.35 * focus.grain) * grain
    _raise_to(
        into.haze[pixels], np.float32(focus.haze) * inside * np.maximum(texture, np.float32(0.1))
    )
    _raise_to(into.occupancy[pixels], inside)
    if focus.solid:
        core = np.clip((inner - np.float32(0.95 - 0.95 * focus.solid)) * 2.2, 0, 1)
        _raise_to(into.solid[pixels], core * inside)


def _raise_to(field: Field, to: Field) -> None:
    np.maximum(field, to, out=field)


def _find_centre(chest: PhantomChest, anatomy: Anatomy, focus: Focus) -> tuple[float, float]:
    """Centre of a focus in mm: `distance` of the way from the lung's middle to the pleura."""
    a = 0.50 * chest.half_width * focus.distance * np.cos(focus.angle)
    b = chest.half_depth * focus.distance * np.sin(focus.angle)
    c, s = np.cos(anatomy.lung_tilt), np.sin(anatomy.lung_tilt)
    x = lung_centre(chest.half_width, focus.side) + focus.side * (c * a + s * b)
    return float(x), float(0.06 * chest.half_depth - s * a + c * b)


def _add_lobe(chest: PhantomChest, lobe: Lobe, *, lump: Field, grain: Field, into: Lesions) -> None:
    """Add a consolidated lobe, in place: sharp at the fissure, ragged elsewhere."""
    behind = fissure(chest)
    beyond = behind if lobe.behind else -behind
    shrink = 1 - ((chest.level - lobe.level) / lobe.height) ** 2
    reach = np.float32((0.25 + 0.9 * lobe.fill) * chest.half_depth)
    # Disease starts at the pleura and spreads towards the hilum.
    pleura = -chest.cavities[lobe.side]
    spread = np.float32(1.5 * shrink - 0.35) - pleura / reach + np.float32(0.34) * lump
    spread += np.float32(0.10) * grain
    within = np.clip(beyond * np.float32(0.6) + np.float32(0.5), 0, 1) * (
        chest.lungs[lobe.side] < 0
    )
    inside = np.clip(spread * np.float32(3.0) + np.float32(0.5), 0, 1) * within
    texture = np.maximum(1 + np.float32(0.28) * grain, np.float32(0.1))
    _raise_to(into.haze, np.float32(lobe.haze) * inside * texture)
    core = np.clip((spread - np.float32(0.28)) * 3.0, 0, 1) * within
    _raise_to(into.solid, core)
    _raise_to(into.occupancy, inside)


def _effusion(chest: PhantomChest, effusion: Effusion, lump: Field) -> Field:
    """A crescent along the back of the cavity, thicker towards the bases."""
    thickness = effusion.thickness * min(1.0, (chest.level - effusion.top) / 0.3)
    behind = np.clip(chest.grid.y * np.float32(1 / chest.half_depth) - np.float32(0.05), 0, 1)
    depth = -chest.cavities[effusion.side]
    crescent = depth - np.float32(thickness) * behind * (1 + np.float32(0.06) * lump)
    return cover(crescent, softness=2.0) * (chest.lungs[effusion.side] < 0)


def paint_lesions(hu: Field, lesions: Lesions) -> None:
    """Change the lung in `hu`, in place; vessels and airways are drawn afterwards."""
    hu += lesions.haze
    np.minimum(hu, np.where(lesions.haze > 0, np.float32(SOLID), hu), out=hu)
    paint(hu, lesions.solid, SOLID)
    paint(hu, lesions.fluid, FLUID)
