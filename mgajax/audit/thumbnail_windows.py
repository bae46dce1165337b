"""Rectangles of thumbnails: turned, cut out, normalised in brightness and contrast, compared.

A window is (top, left, bottom, right) as shares of the slice's frame, so that it means the same
place in a slice of any size. It may reach beyond the frame, whose edge is then repeated. All functions
take stacks, and are made of matrix products.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float32

FLOOR = 6.0
"""Grey levels of contrast below which a region counts as flat, so that noise is not amplified."""


@dataclass(frozen=True)
class CopyOrientation:
    """One of the eight ways to turn and mirror a slice: transposed, upside down, mirrored, in this order.

    Attributes:
      name: what a copy of this kind is called.
      transposed, upside_down, mirrored: the three steps.
    """

    name: str
    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    def pictures(self, pictures: np.ndarray) -> np.ndarray:
        """The pictures `[n, h, w]`, brought into this orientation."""
        if self.transposed:
            pictures = pictures.swapaxes(1, 2)
        if self.upside_down:
            pictures = pictures[:, ::-1]
        return pictures[:, :, ::-1] if self.mirrored else pictures

    def windows(self, windows: Float32[np.ndarray, "n 4"]) -> Float32[np.ndarray, "n 4"]:
        """The windows of the same places in pictures brought into this orientation."""
        top, left, bottom, right = windows.T
        if self.transposed:
            top, left, bottom, right = left, top, right, bottom
        if self.upside_down:
            top, bottom = 1 - bottom, 1 - top
        if self.mirrored:
            left, right = 1 - right, 1 - left
        return np.stack([top, left, bottom, right], axis=1)


ORIENTATIONS: tuple[CopyOrientation, ...] = (
    CopyOrientation("as it is"),
    CopyOrientation("upside down", upside_down=True),
    CopyOrientation("mirrored left to right", mirrored=True),
    CopyOrientation("turned by 180°", upside_down=True, mirrored=True),
    CopyOrientation("transposed", transposed=True),
    CopyOrientation("turned by 90° to the left", transposed=True, upside_down=True),
    CopyOrientation("turned by 90° to the right", transposed=True, mirrored=True),
    CopyOrientation("transposed the other way", transposed=True, upside_down=True, mirrored=True),
)
"""All eight; the first is the identity."""


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
    """The difference from the surroundings, in units of the contrast there.

    Brightness, contrast and rendering window drop out, and the outline of the body counts no more
    than a vessel: the outlines of two people are much alike, their vessels are not.

    Args:
      pictures: grey levels.
      coarse: standard deviation of the surroundings, in pixels.
      fine: standard deviation of a blur of the difference, in pixels; 0 for none.
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
    fractions = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    positions = (low[:, None] + (high - low)[:, None] * fractions) * side - np.float32(0.5)
    positions = np.clip(positions, 0, side - 1)[..., None]
    reach = np.maximum((high - low) * side / size, np.float32(1.0))[:, None, None]
    weights = np.maximum(0, 1 - np.abs(np.arange(side, dtype=np.float32) - positions) / reach)
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


@cache
def _blur(size: int, sigma: float) -> Float32[np.ndarray, "s s"]:
    """A Gaussian blur of an axis as a matrix; at the ends the weights inside are scaled up."""
    positions = np.arange(size)
    weights = np.exp(-0.5 * np.square((positions[:, None] - positions) / sigma))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
