"""Baselines that images are compared with: attributions explain the difference from a baseline.

All functions give baselines of the images' own shape, or `[m, b, h, w, c]` where there are m an
image. Images are in the normalised grey levels that the networks take.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from mgajax.data.loader import IMAGE_MEAN, IMAGE_STD, AnyArray
from mgajax.errors import ConfigError, DataError

BLACK = -IMAGE_MEAN / IMAGE_STD
"""The normalised value of a black pixel."""


def black(images: Float[AnyArray, "b h w c"]) -> Float[np.ndarray, "b h w c"]:
    """Black pictures."""
    return np.full(images.shape, BLACK, images.dtype)


def blurred(images: Float[AnyArray, "b h w c"]) -> Float[np.ndarray, "b h w c"]:
    """The images under a Gaussian blur, which keeps the anatomy's brightness and no detail.

    Its standard deviation is an eighth of the shorter side.
    """
    width = min(images.shape[1:3]) / 8
    return gaussian_filter(np.asarray(images), sigma=(0.0, width, width, 0.0), mode="nearest")


def mean_of(
    normals: Float[AnyArray, "n _h _w _c"], *, images: Float[AnyArray, "b h w c"]
) -> Float[np.ndarray, "b h w c"]:
    """The mean of Normal slices, the same baseline for each image.

    Raises:
      DataError: no slice, or slices of another size than the images.
    """
    _check_size(normals, images)
    mean = np.asarray(normals).mean(axis=0, dtype=np.float64).astype(images.dtype)
    return np.repeat(mean[None], images.shape[0], axis=0)


def draw_from(
    normals: Float[AnyArray, "n _h _w _c"],
    *,
    images: Float[AnyArray, "b h w c"],
    count: int,
    seed: int,
) -> Float[np.ndarray, "m b h w c"]:
    """`count` different slices for each image, drawn at random: baselines of expected gradients.

    Raises:
      DataError: fewer than `count` slices, or slices of another size than the images.
      ConfigError: `count` is not positive.
    """
    _check_size(normals, images)
    if count < 1:
        raise ConfigError(f"count={count}: expected at least 1 baseline an image")
    if count > normals.shape[0]:
        raise DataError(f"{count} baselines an image from {normals.shape[0]} slices; draw fewer")
    rng = np.random.default_rng(seed)
    rows = np.stack(
        [rng.permutation(normals.shape[0])[:count] for _ in range(images.shape[0])], axis=1
    )
    return np.asarray(normals)[rows].astype(images.dtype)


def _check_size(normals: Any, images: Any) -> None:
    if normals.shape[0] == 0 or normals.shape[1:] != images.shape[1:]:
        raise DataError(
            f"Normal slices {normals.shape} with images {images.shape}: expected one or more of "
            "the images' size"
        )
