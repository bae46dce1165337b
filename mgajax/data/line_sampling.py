"""Sampling of rotated and scaled pictures along lines, for TPUs, which gather single pixels slowly."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from mgajax.config.schema import AugmentationSettings


def sample_by_lines(
    pixels: Float[Array, "h w c"], matrix: Float[Array, "2 3"], settings: AugmentationSettings
) -> Float[Array, "h w c"]:
    """Linear interpolation along every column, then along every row (Catmull and Smith 1980).

    Without rotation the results are those of bilinear sampling but for rounding. With it, a point lies
    between the same columns; in each it is interpolated between the two pixels beside the intersection
    with the rotated row through the point: at 10° up to a sixth of a pixel from the four neighbours.

    Args:
      pixels: one example; a square if it may turn by more than 45°, since it is then transposed
        where that leaves a smaller angle.
      matrix: from output (y, x) to input (y, x), both in pixels from the picture's centre.
      settings: by which the matrix was drawn.

    Returns:
      The values at the points, 0 outside the frame.
    """
    if settings.rotation_degrees > 45.0:
        turned = jnp.abs(matrix[0, 0]) < jnp.abs(matrix[1, 0])
        pixels = jnp.where(turned, pixels.transpose(1, 0, 2), pixels)
        matrix = jnp.where(turned, matrix[::-1], matrix)
    (yy, yx, y0), (xy, xx, x0) = matrix
    y, x = from_centre(pixels.shape[0]), from_centre(pixels.shape[1])
    angle = math.radians(min(settings.rotation_degrees, 45.0))
    # Where the result's row y cuts the source's column x, in the source's rows.
    slope = yx / xx
    rows = (yy - slope * xy) * y + (y0 - slope * x0)
    reach = math.ceil(math.tan(angle) * pixels.shape[1] / 2) + 1
    columns = _along_lines(pixels.transpose(1, 2, 0), rows, slope * x, reach=reach)
    reach = math.ceil(math.sin(angle) / (1.0 - settings.scale) * pixels.shape[0] / 2) + 1
    return _along_lines(columns, xx * x + x0, xy * y, reach=reach).transpose(2, 0, 1)


def from_centre(side: int) -> Float[Array, "side"]:
    """Coordinates of pixels along one axis, from the picture's centre."""
    return jnp.arange(side, dtype=jnp.float32) - (side - 1) / 2.0


def _along_lines(
    lines: Float[Array, "n c k"],
    positions: Float[Array, "m"],
    shifts: Float[Array, "n"],
    *,
    reach: int,
) -> Float[Array, "m c n"]:
    """Linear interpolation between the pixels of each line, 0 outside; lines become columns.

    Each line is shifted by whole pixels, in steps of …, 4, 2, 1; less than a pixel remains. Then a
    product with a matrix of zeros and ones selects the neighbours of each position, the same in all
    lines, exactly.

    Args:
      lines: one after the other, each of several values a pixel.
      positions: pixels from a line's middle.
      shifts: added to the positions on each line; at most `reach`.
      reach: static.
    """
    length = lines.shape[2]
    whole = jnp.round(shifts)
    bits, steps = (whole + reach).astype(jnp.int32), (2 * reach).bit_length()
    # As many pixels to the right as the steps drop, so that `length + 2 * reach` are left.
    moved = jnp.pad(lines, ((0, 0), (0, 0), (2 * reach, 2**steps - 1)))
    for step in reversed(range(steps)):
        nearer = moved[..., 2**step :]
        is_shifted = (bits >> step & 1).astype(bool)[:, None, None]
        moved = jnp.where(is_shifted, nearer, moved[..., : nearer.shape[2]])
    middle = (length - 1) / 2.0 + reach
    nearest = jnp.round(positions + middle)
    index = jnp.arange(length + 2 * reach, dtype=jnp.float32)

    def neighbours(offset: int) -> Float[Array, "m c n"]:
        selection = (index[None, :] == nearest[:, None] + offset).astype(lines.dtype)
        return jnp.einsum("mi,nci->mcn", selection, moved, precision="highest")

    before, at, after = (neighbours(offset) for offset in (-1, 0, 1))
    fraction = (positions + middle - nearest)[:, None] + (shifts - whole)[None, :]
    slope = jnp.where(fraction[:, None, :] > 0, after - at, at - before)
    return at + fraction[:, None, :] * slope
