"""Smooth shapes on a grid in millimetres: distances, coverages, noise, capsules.

Every shape is a *distance field*: negative inside, positive outside, in millimetres. Fields are
joined by minimum and maximum (sharp or rounded) and become grey values by `cover`, the share of a
pixel that lies inside. Only + - * / and square roots touch a pixel, and the one matrix product is
done in float64, so that a drawing does not depend on the machine's vector unit.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Int

Field = Float32[np.ndarray, "h w"]
"""A distance (mm), coverage (0..1) or HU value for each pixel."""

BEND = 12.0
"""No deformation moves a point by more than this, in mm; windows are that much wider."""


@dataclass(frozen=True)
class Grid:
    """Pixel centres of an axial slice, in mm. x grows to the image's right, y to the back."""

    x: Float32[np.ndarray, "h w"]
    y: Float32[np.ndarray, "h w"]
    spacing: float
    left: float
    top: float

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.x.shape[0], self.x.shape[1]


def make_grid(*, height: int, width: int, spacing: float, centre: tuple[float, float]) -> Grid:
    """The grid of `height` × `width` pixels of `spacing` mm, whose middle lies at `centre` (mm)."""
    left = centre[0] - 0.5 * (width - 1) * spacing
    top = centre[1] - 0.5 * (height - 1) * spacing
    columns = (left + spacing * np.arange(width)).astype(np.float32)
    rows = (top + spacing * np.arange(height)).astype(np.float32)
    x, y = np.meshgrid(columns, rows, copy=False)
    return Grid(x=x, y=y, spacing=spacing, left=left, top=top)


def bend_grid(grid: Grid, *, dx: Field, dy: Field) -> Grid:
    """The same pixels with coordinates moved by (`dx`, `dy`) mm: shapes drawn on it are bent."""
    return Grid(grid.x + dx, grid.y + dy, grid.spacing, grid.left, grid.top)


def ellipse(
    grid: Grid, centre: tuple[float, float], radii: tuple[float, float], *, tilt: float = 0.0
) -> Field:
    """Distance in mm to an ellipse, `tilt` radians clockwise on the screen (first-order exact)."""
    f32 = np.float32
    x, y = grid.x - f32(centre[0]), grid.y - f32(centre[1])
    if tilt:
        c, s = f32(np.cos(tilt)), f32(np.sin(tilt))
        along = c * x
        along += s * y
        x *= s
        y *= c
        y -= x
        x = along
    x *= x
    y *= y
    x *= f32(radii[0] ** -2)
    y *= f32(radii[1] ** -2)
    square = x + y
    x *= f32(radii[0] ** -2)
    y *= f32(radii[1] ** -2)
    x += y
    x += f32(1e-12)
    square -= np.sqrt(square)
    square /= np.sqrt(x, out=x)
    return square


def window(
    grid: Grid, centre: tuple[float, float], *, reach: tuple[float, float]
) -> tuple[slice, slice]:
    """Rows and columns of the pixels within `reach` (x, y) mm of `centre`; maybe none."""
    slices = []
    for axis, origin in ((1, grid.top), (0, grid.left)):
        length = grid.shape[1 - axis]
        low = math.floor((centre[axis] - reach[axis] - origin) / grid.spacing)
        high = math.ceil((centre[axis] + reach[axis] - origin) / grid.spacing) + 1
        slices.append(slice(min(max(low, 0), length), min(max(high, 0), length)))
    return slices[0], slices[1]


def around(
    grid: Grid,
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    tilt: float = 0.0,
    margin: float,
) -> tuple[slice, slice]:
    """The window of an ellipse and `margin` mm around it."""
    c, s = math.cos(tilt) ** 2, math.sin(tilt) ** 2
    a, b = radii[0] ** 2, radii[1] ** 2
    reach = (math.sqrt(a * c + b * s) + margin, math.sqrt(a * s + b * c) + margin)
    return window(grid, centre, reach=reach)


def part(grid: Grid, pixels: tuple[slice, slice]) -> Grid:
    """The pixels of `grid` in a window."""
    left = grid.left + pixels[1].start * grid.spacing
    top = grid.top + pixels[0].start * grid.spacing
    return Grid(grid.x[pixels], grid.y[pixels], grid.spacing, left, top)


def add_ellipse(
    distance: Field,
    grid: Grid,
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    rounding: float,
    tilt: float = 0.0,
    margin: float = 45.0,
) -> None:
    """Unite an ellipse with the shape in `distance`, in place. Farther than `margin` mm from the ellipse
    the field does not change; it is too large there, but not near any outline."""
    pixels = around(grid, centre, radii, tilt=tilt, margin=margin)
    if distance[pixels].size:
        added = ellipse(part(grid, pixels), centre, radii, tilt=tilt)
        distance[pixels] = union(distance[pixels], added, rounding=rounding)


def paint_ellipse(
    hu: Field,
    grid: Grid,
    centre: tuple[float, float],
    radii: tuple[float, float],
    value: float,
    *,
    softness: float,
    tilt: float = 0.0,
) -> None:
    """Paint a small ellipse of one density into `hu`, in place, touching only its surroundings."""
    pixels = around(grid, centre, radii, tilt=tilt, margin=softness + BEND)
    if hu[pixels].size:
        shape = ellipse(part(grid, pixels), centre, radii, tilt=tilt)
        paint(hu[pixels], cover(shape, softness=softness), value)


def union(a: Field, b: Field, *, rounding: float) -> Field:
    """Distance to a ∪ b whose seam is filled over `rounding` mm (quadratic smooth minimum)."""
    return np.minimum(a, b) - _filling(a, b, rounding=rounding)


def intersection(a: Field, b: Field, *, rounding: float) -> Field:
    """Distance to a ∩ b whose edge is rounded over `rounding` mm (quadratic smooth maximum)."""
    filling = _filling(a, b, rounding=rounding)
    filling += np.maximum(a, b)
    return filling


def _filling(a: Field, b: Field, *, rounding: float) -> Field:
    """The distance in mm between a rounded seam and the sharp one; 0 away from it."""
    gap = a - b
    np.abs(gap, out=gap)
    np.subtract(np.float32(rounding), gap, out=gap)
    np.maximum(gap, np.float32(0), out=gap)
    gap *= gap
    gap *= np.float32(0.25 / rounding)
    return gap


def cover(distance: Field, *, softness: float) -> Field:
    """Share of each pixel inside: 1 below -softness/2 mm, 0 above softness/2 mm, linear between."""
    inside = distance * np.float32(-1 / softness)
    inside += np.float32(0.5)
    return np.clip(inside, np.float32(0), np.float32(1), out=inside)


def paint(hu: Field, inside: Field, value: Field | float) -> None:
    """Blend `value` (HU) into `hu`, in place, by the coverage `inside`."""
    difference = (np.float32(value) if isinstance(value, float) else value) - hu
    difference *= inside
    hu += difference


def smooth_noise(rng: np.random.Generator, *, shape: tuple[int, int], cells: int) -> Field:
    """Noise of about unit variance whose features are 1/`cells` of the longer side (cubic spline).

    The draw has the same number of random values for every shape of one aspect ratio, so that a
    slice drawn larger shows the same texture in more pixels.
    """
    longer = max(shape)
    rows, columns = (max(1, round(cells * side / longer)) for side in shape)
    return spline_field(2.0 * rng.standard_normal((rows + 3, columns + 3)), shape=shape)


def spline_field(knots: Float[np.ndarray, "r c"], *, shape: tuple[int, int]) -> Field:
    """The cubic B-spline surface over `knots` (three more than cells on each side) at `shape`."""
    rows, columns = knots.shape[0] - 3, knots.shape[1] - 3
    field = _spline(shape[0], rows) @ knots @ _spline(shape[1], columns).T
    return field.astype(np.float32)


@lru_cache(maxsize=128)
def _spline(samples: int, cells: int) -> Float[np.ndarray, "samples knots"]:
    """The matrix that evaluates a uniform cubic B-spline of `cells` intervals at `samples` points."""
    position = (np.arange(samples) + 0.5) * (cells / samples)
    first = np.minimum(position.astype(np.int64), cells - 1)
    t = position - first
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    matrix = np.zeros((samples, cells + 3))
    for offset, weight in enumerate(weights):
        matrix[np.arange(samples), first + offset] = weight
    return matrix


@dataclass(frozen=True)
class Capsules:
    """Round-ended strokes: `n` segments in the plane (mm), each with a radius (mm) and a weight."""

    start: Float[np.ndarray, "n 2"]
    end: Float[np.ndarray, "n 2"]
    radius: Float[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"]


def capsule_cover(grid: Grid, capsules: Capsules, *, softness: float) -> Field:
    """The greatest weighted coverage of any capsule at each pixel; 0 where there is none."""
    covered = np.zeros(grid.shape, np.float32)
    for chosen, pixels, depth in _windows(grid, capsules, margin=0.5 * softness):
        value = depth * np.float32(1 / softness)
        value += np.float32(0.5)
        # A stroke thinner than a pixel covers only a part of it.
        largest = np.minimum(1, capsules.radius[chosen] * (2 / softness)).astype(np.float32)
        np.clip(value, 0, largest[:, None, None], out=value)
        value *= capsules.weight[chosen].astype(np.float32)[:, None, None]
        hit = value > 0
        np.maximum.at(covered.reshape(-1), pixels[hit], value[hit])
    return covered


def capsule_distance(grid: Grid, capsules: Capsules, *, softness: float) -> Field:
    """Distance in mm to the nearest capsule, right up to `softness` mm outside; weights ignored."""
    distance = np.full(grid.shape, 2 * softness, np.float32)
    for _, pixels, depth in _windows(grid, capsules, margin=softness):
        near = depth > -softness
        np.minimum.at(distance.reshape(-1), pixels[near], -depth[near])
    return distance


def _windows(
    grid: Grid, capsules: Capsules, *, margin: float
) -> Iterator[tuple[Int[np.ndarray, " m"], Int[np.ndarray, "m r r"], Float32[np.ndarray, "m r r"]]]:
    """Square windows around the capsules and `margin` mm beyond, those of one size together.

    So hundreds of strokes cost a few array operations. Segments should be short: a window is as long
    as its segment.

    Yields:
      The capsules of a group, the flat index of each pixel in their windows, and how deep in mm it
      lies in the capsule (negative outside; very negative off the grid).
    """
    length = np.abs(capsules.end - capsules.start).max(axis=1, initial=0.0)
    reach = (0.5 * length + capsules.radius + margin) / grid.spacing
    lower = 0.0
    for upper in (2.0, 4.0, 7.0, 12.0, 24.0, np.inf):
        chosen = np.flatnonzero((reach > lower) & (reach <= upper))
        lower = upper
        if chosen.size:
            yield chosen, *_depths(grid, capsules, chosen, half=int(np.ceil(reach[chosen].max())))


def _depths(
    grid: Grid, capsules: Capsules, chosen: Int[np.ndarray, " m"], *, half: int
) -> tuple[Int[np.ndarray, "m r r"], Float32[np.ndarray, "m r r"]]:
    """Flat pixel indices and depths in windows of r = 2·`half` + 1 pixels."""
    height, width = grid.shape
    start = capsules.start[chosen].astype(np.float32)[:, :, None, None]
    along = capsules.end[chosen].astype(np.float32)[:, :, None, None] - start
    centre = start + np.float32(0.5) * along
    origin = np.array([grid.left, grid.top], np.float32)[:, None, None]
    pixel = np.round((centre - origin) * np.float32(1 / grid.spacing)).astype(np.int64)
    offset = np.arange(-half, half + 1)
    columns = pixel[:, 0] + offset[None, :]
    rows = pixel[:, 1] + offset[:, None]
    spacing = np.float32(grid.spacing)
    px = origin[0] + spacing * columns.astype(np.float32) - start[:, 0]
    py = origin[1] + spacing * rows.astype(np.float32) - start[:, 1]
    ax, ay = along[:, 0], along[:, 1]
    share = (px * ax + py * ay) * (1 / (ax * ax + ay * ay + np.float32(1e-6)))
    np.clip(share, 0, 1, out=share)
    px = px - share * ax
    py = py - share * ay
    px *= px
    py *= py
    px += py
    depth = capsules.radius[chosen].astype(np.float32)[:, None, None] - np.sqrt(px, out=px)
    columns_out = (columns < 0) | (columns >= width)
    rows_out = (rows < 0) | (rows >= height)
    if columns_out.any() or rows_out.any():
        depth[rows_out | columns_out] = -np.inf
    return np.clip(rows, 0, height - 1) * width + np.clip(columns, 0, width - 1), depth
