"""Rectangles cut out of thumbnails: resampled, freed of brightness and contrast, compared.

A window is (top, left, bottom, right) as shares of the slice's frame, so that it means the same
place in a slice of any size. It may reach beyond the frame, whose edge is then repeated. Everything
works on stacks and is made of matrix products.
"""

from functools import cache

import numpy as np
from jaxtyping import Float32

FLOOR = 6.0
"""Grey levels of contrast below which a region counts as flat, so that noise is not blown up."""


def cut(
    thumbnails: Float32[np.ndarray, "n t t"], windows: Float32[np.ndarray, "n 4"], *, size: int
) -> Float32[np.ndarray, "n s s"]:
    """The windows of thumbnails, resampled to `size` by triangle filters (antialiased)."""
    side = thumbnails.shape[-1]
    rows = _resampling(windows[:, 0], windows[:, 2], side=side, size=size)
    columns = _resampling(windows[:, 1], windows[:, 3], side=side, size=size)
    return rows @ thumbnails @ columns.transpose(0, 2, 1)


def local_contrast(
    pictures: Float32[np.ndarray, "n s s"], *, coarse: float, fine: float = 0.0
) -> Float32[np.ndarray, "n s s"]:
    """What stands out of its surroundings, in units of the contrast there.

    Brightness, contrast and rendering window drop out, and the outline of the body counts no more
    than a vessel: the outlines of two people are much alike, their vessels are not.

    Args:
      pictures: grey levels.
      coarse: standard deviation of the surroundings, in pixels.
      fine: standard deviation of a blur of what stands out, in pixels; 0 for none.
    """
    wide = _blur(pictures.shape[-1], coarse)
    detail = pictures - wide @ pictures @ wide.T
    if fine:
        narrow = _blur(pictures.shape[-1], fine)
        detail = narrow @ detail @ narrow.T
    contrast = wide @ np.square(detail) @ wide.T
    return detail / np.sqrt(contrast + np.float32(FLOOR**2))


def correlation(
    first: Float32[np.ndarray, "n s s"], second: Float32[np.ndarray, "n s s"]
) -> Float32[np.ndarray, "n"]:
    """Normalised correlation of each pair, in [-1, 1]; 0 where one of the two is flat."""
    first, second = (x - x.mean(axis=(1, 2), keepdims=True) for x in (first, second))
    product = np.sqrt(np.square(first).sum(axis=(1, 2)) * np.square(second).sum(axis=(1, 2)))
    return (first * second).sum(axis=(1, 2)) / np.maximum(product, np.float32(1e-6))


def inset(
    windows: Float32[np.ndarray, "n 4"], margins: tuple[float, float, float, float]
) -> Float32[np.ndarray, "n 4"]:
    """Windows with margins cut off, given as shares of the window's height and width."""
    height, width = windows[:, 2] - windows[:, 0], windows[:, 3] - windows[:, 1]
    sides = np.stack([height, width, -height, -width], axis=1)
    return windows + sides * np.asarray(margins, np.float32)


def _resampling(
    low: Float32[np.ndarray, "n"], high: Float32[np.ndarray, "n"], *, side: int, size: int
) -> Float32[np.ndarray, "n s t"]:
    """Weights of the `side` samples of an axis in each of `size` samples between low and high."""
    steps = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    places = (low[:, None] + (high - low)[:, None] * steps) * side - np.float32(0.5)
    places = np.clip(places, 0, side - 1)[..., None]
    reach = np.maximum((high - low) * side / size, np.float32(1.0))[:, None, None]
    weights = np.maximum(0, 1 - np.abs(np.arange(side, dtype=np.float32) - places) / reach)
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


@cache
def _blur(size: int, sigma: float) -> Float32[np.ndarray, "s s"]:
    """A Gaussian blur of an axis as a matrix; at the ends the weights inside are scaled up."""
    places = np.arange(size)
    weights = np.exp(-0.5 * np.square((places[:, None] - places) / sigma))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
