"""What a slice looks like where there is no body: the shortcuts that a model could take."""

import numpy as np
from jaxtyping import Bool, Float32, UInt8

FEATURES: tuple[str, ...] = (
    "height",
    "width",
    "aspect",
    "top edge mean",
    "top edge spread",
    "bottom edge mean",
    "bottom edge spread",
    "left edge mean",
    "left edge spread",
    "right edge mean",
    "right edge spread",
    "background mean",
    "background spread",
    "background 5 %",
    "background 25 %",
    "background median",
    "background 75 %",
    "background 95 %",
    "share of black",
    "share of white",
    "levels used",
)
"""Names of the columns of `background_features`."""

FAMILIES: dict[str, slice] = {
    "size of the frame": slice(0, 3),
    "edges of the frame": slice(3, 11),
    "grey levels outside the body": slice(11, 21),
}
"""Which columns belong together."""

NONE = -1.0
"""Stands for a statistic of no pixels."""


def background_features(
    picture: UInt8[np.ndarray, "h w"], body: Bool[np.ndarray, "h w"] | None
) -> Float32[np.ndarray, "features"]:
    """Numbers of the pixels outside the body and of the frame's size; nothing of the body.

    Args:
      picture: grey levels.
      body: from `imaging.body.foreground`; None counts every pixel as body.
    """
    height, width = picture.shape
    outside = np.zeros(picture.shape, bool) if body is None else ~body
    numbers = [height, width, width / height]
    for line, air in zip(_edges(picture), _edges(outside), strict=True):
        levels = line[air]
        numbers += [levels.mean(), levels.std()] if levels.size else [NONE, NONE]
    return np.array([*numbers, *_levels(picture[outside])], np.float32)


def _edges(picture: np.ndarray) -> tuple[np.ndarray, ...]:
    """Top, bottom, left and right line."""
    return picture[0], picture[-1], picture[:, 0], picture[:, -1]


def _levels(levels: UInt8[np.ndarray, "n"]) -> list[float]:
    """Statistics of grey levels, from their histogram."""
    count = levels.size
    if not count:
        return [NONE] * (len(FEATURES) - FAMILIES["edges of the frame"].stop)
    histogram = np.bincount(levels, minlength=256)
    values = np.arange(256)
    mean = float(histogram @ values / count)
    spread = float(np.sqrt(histogram @ np.square(values - mean) / count))
    below = np.cumsum(histogram)
    shares = [np.searchsorted(below, share * count) for share in (0.05, 0.25, 0.5, 0.75, 0.95)]
    extremes = (histogram[0] / count, histogram[255] / count, np.count_nonzero(histogram))
    return [mean, spread, *map(float, shares), *map(float, extremes)]
