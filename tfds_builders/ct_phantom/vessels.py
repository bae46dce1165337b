"""Pulmonary vessels as trees in space: they fork, taper and reach every part of the lung.

Ends are strewn through each lung and halved again and again along their widest axis; each half's
branch runs from its parent towards the half's centre. The radius follows Murray's law, which says
that the cubes of the daughters' radii add up to the parent's (Murray 1926, PNAS 12:207).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from tfds_builders.ct_phantom.geometry import Capsules

FORKS = 10
"""Generations of forks: 2¹⁰ ends in each lung."""

END_RADIUS = 0.60
"""Radius of the last branches, in mm."""

PIECE = 6.0
"""Branches are cut into straight pieces of at most this length, in mm."""

NARROWEST = 2.2
"""Radius in mm of the narrowest vessel with a visible bronchus beside it."""


@dataclass(frozen=True)
class Strands:
    """Straight pieces of vessels or scars in space; z runs downwards from the apex, all in mm."""

    start: Float[np.ndarray, "n 3"]
    end: Float[np.ndarray, "n 3"]
    radius: Float[np.ndarray, " n"]


def grow_tree(
    rng: np.random.Generator, *, half_width: float, half_depth: float, height: float
) -> Strands:
    """Grow the arteries' and veins' trees of both lungs in a chest of the given size (mm)."""
    hila, targets = [], []
    for side in (-1.0, 1.0):
        hila.append([side * 0.13 * half_width, 0.10 * half_depth, 0.50 * height])
        targets.append(
            _strew_ends(rng, side=side, half_width=half_width, half_depth=half_depth, height=height)
        )
    return _cut(rng, *_branches(rng, roots=np.array(hila), targets=np.stack(targets)))


def _strew_ends(
    rng: np.random.Generator, *, side: float, half_width: float, half_depth: float, height: float
) -> Float[np.ndarray, "n 3"]:
    """Points spread evenly through an egg-shaped lung, wider at the base."""
    count = 2**FORKS
    direction = rng.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    ball = direction * rng.random((count, 1)) ** (1 / 3)
    level = 0.55 + 0.55 * ball[:, 2]
    breadth = 0.75 + 0.3 * level
    x = side * half_width * (0.53 + 0.50 * breadth * ball[:, 0])
    y = half_depth * 0.98 * breadth * ball[:, 1]
    return np.stack([x, y, level * height], axis=1)


def _branches(
    rng: np.random.Generator,
    *,
    roots: Float[np.ndarray, "r 3"],
    targets: Float[np.ndarray, "r n 3"],
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 3"], Float[np.ndarray, " m"]]:
    """Starts, ends and radii of the branches that lead from each root to its targets."""
    groups, nodes = targets, roots
    starts, ends, radii = [], [], []
    for generation in range(FORKS):
        # Axes turned at random, or all forks would lie square to the picture.
        axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        groups = _halve(groups, axes=axes)
        parents = np.repeat(nodes, 2, axis=0)
        reach = rng.uniform(0.34, 0.58, (len(groups), 1)) if generation < FORKS - 1 else 0.9
        nodes = parents + reach * (groups.mean(axis=1) - parents)
        ends_fed = groups.shape[1]
        starts.append(parents)
        ends.append(nodes)
        radii.append(END_RADIUS * ends_fed ** (1 / 3) * rng.uniform(0.8, 1.15, len(groups)))
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(radii)


def _halve(
    groups: Float[np.ndarray, "g m 3"], *, axes: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "h l 3"]:
    """Cut each group of points in two (h = 2g, l = m/2) at the median of its widest of `axes`."""
    count, size, _ = groups.shape
    along = (groups.reshape(-1, 3) @ axes).reshape(groups.shape)
    axis = (along.max(axis=1) - along.min(axis=1)).argmax(axis=1)
    key = along[np.arange(count), :, axis]
    order = np.argsort(key, axis=1)
    ordered = groups[np.arange(count)[:, None], order]
    return ordered.reshape(2 * count, size // 2, 3)


def _cut(
    rng: np.random.Generator, start: np.ndarray, end: np.ndarray, radius: np.ndarray
) -> Strands:
    """Cut branches into short pieces along a gentle arc."""
    along = end - start
    length = np.linalg.norm(along, axis=1)
    pieces = np.maximum(1, np.ceil(length / PIECE)).astype(np.int64)
    branch = np.repeat(np.arange(len(start)), pieces)
    first_piece = np.repeat(np.cumsum(pieces) - pieces, pieces)
    step = np.arange(len(branch)) - first_piece
    bow = (0.09 * length)[:, None] * rng.standard_normal(start.shape)

    def point(share: np.ndarray) -> np.ndarray:
        arc = (4 * share * (1 - share))[:, None]
        return start[branch] + share[:, None] * along[branch] + arc * bow[branch]

    return Strands(
        start=point(step / pieces[branch]),
        end=point((step + 1) / pieces[branch]),
        radius=radius[branch],
    )


def draw_scars(
    rng: np.random.Generator, *, count: int, half_width: float, half_depth: float, height: float
) -> Strands:
    """`count` old nodules and fibrous bands, anywhere in the lungs, more of them low and outside."""
    share = rng.random((count, 3))
    side = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    centre = np.stack(
        [
            side * half_width * (0.30 + 0.68 * share[:, 0]),
            half_depth * (1.7 * share[:, 1] - 0.8),
            height * (0.15 + 0.8 * share[:, 2] ** 0.7),
        ],
        axis=1,
    )
    banded = rng.random(count) < 0.5
    along = rng.standard_normal((count, 3)) * np.array([1.0, 1.0, 0.25])
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    along *= (np.where(banded, rng.uniform(6, 20, count), 0.3))[:, None]
    radius = np.where(banded, rng.uniform(0.7, 1.6, count), rng.uniform(1.6, 4.5, count))
    return Strands(start=centre - along, end=centre + along, radius=radius)


def strands_at(strands: Strands, *, depth: float, thickness: float) -> Capsules:
    """The pieces that a slice of `thickness` mm at `depth` mm below the apex meets.

    A piece near the slice's face is weighted down: partial volume.
    """
    middle = 0.5 * (strands.start[:, 2] + strands.end[:, 2])
    slant = 0.5 * np.abs(strands.end[:, 2] - strands.start[:, 2])
    away = np.abs(middle - depth) - slant - strands.radius
    weight = np.clip(1.0 - np.maximum(away, 0.0) / (0.5 * thickness), 0.0, 1.0)
    met = np.flatnonzero(weight > 0.05)
    return Capsules(
        start=strands.start[met, :2],
        end=strands.end[met, :2],
        radius=strands.radius[met],
        weight=weight[met],
    )


def airways_beside(vessels: Capsules) -> Capsules:
    """Bronchi: they run beside the vessels of a radius above `NARROWEST`."""
    wide = np.flatnonzero(vessels.radius > NARROWEST)
    along = vessels.end[wide] - vessels.start[wide]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1.0)
    shift = across * (1.7 * vessels.radius[wide])[:, None]
    return Capsules(
        start=vessels.start[wide] + shift,
        end=vessels.end[wide] + shift,
        radius=0.62 * vessels.radius[wide],
        weight=vessels.weight[wide],
    )
