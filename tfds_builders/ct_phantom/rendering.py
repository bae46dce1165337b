"""Seven renderings of HU, one for each source of the curated set.

They follow measurements of the sources: archives 2, 4 and 5 stretch each slice from its minimum to its
maximum, archive 4 with a circle of padding below air; the others use a window; archives 6 and 7
are upside down; archives 1 and 3 are figures cut out of papers, of many sizes.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8
from scipy.ndimage import gaussian_filter

from tfds_builders.ct_phantom.geometry import Field
from tfds_builders.ct_phantom.individual import ARCHIVE

BONE = 150.0
"""HU from which on `Style.bone` counts."""

Curve = tuple[tuple[float, float], ...]
"""Knots of a curve, 0..1."""


@dataclass(frozen=True)
class Style:
    """How a source renders. Lengths in mm, densities in HU."""

    field_of_view: tuple[float, float]  # range of the picture's width
    aspect: tuple[float, float]  # range of height / width
    scale: tuple[float, float]  # range of width / nominal size
    grey: Literal["window", "minmax"]
    window: tuple[float, float] = (-600.0, 1500.0)  # centre, width
    thickness: float = 2.0  # of the slice
    blur: float = 0.6  # standard deviation of the point spread, in mm
    sharpening: float = 0.0  # unsharp masking, 0 none
    noise: float = 20.0  # HU
    table: Literal["shown", "none"] = "shown"
    padding: Literal["circle", "none"] = "none"
    orientation: Literal["upright", "upside_down"] = "upright"
    bone: float = 1.0  # factor of all density above `BONE`
    tone: Curve = ()  # of the grey values; empty: as they are


STYLES: dict[str, Style] = {
    "zhao": Style(
        field_of_view=(290.0, 345.0),
        aspect=(0.60, 0.78),
        scale=(0.8, 1.25),
        grey="window",
        window=(-500.0, 1500.0),
        blur=1.5,
        noise=16.0,
        table="none",
    ),
    "afshar": Style(
        field_of_view=(340.0, 400.0),
        aspect=(1.0, 1.0),
        scale=(1.0, 1.0),
        grey="minmax",
        blur=0.8,
        noise=24.0,
    ),
    "cohen": Style(
        field_of_view=(320.0, 365.0),
        aspect=(0.74, 0.82),
        scale=(0.9, 1.2),
        grey="window",
        window=(-450.0, 1600.0),
        blur=0.7,
        sharpening=0.9,
        noise=26.0,
    ),
    "morozov": Style(
        field_of_view=(350.0, 420.0),
        aspect=(1.0, 1.0),
        scale=(1.0, 1.0),
        grey="minmax",
        thickness=8.0,
        blur=1.2,
        noise=17.0,
        padding="circle",
    ),
    "rahimzadeh": Style(
        field_of_view=(380.0, 450.0),
        aspect=(1.0, 1.0),
        scale=(1.0, 1.0),
        grey="minmax",
        blur=0.5,
        sharpening=0.5,
        noise=28.0,
    ),
    "jun": Style(
        field_of_view=(350.0, 410.0),
        aspect=(0.637, 1.0),
        scale=(1.23, 1.23),
        grey="window",
        window=(-550.0, 1250.0),
        blur=0.8,
        noise=26.0,
        padding="circle",
        orientation="upside_down",
    ),
    "medseg": Style(
        field_of_view=(280.0, 330.0),
        aspect=(1.0, 1.0),
        scale=(1.0, 1.0),
        grey="window",
        window=(-560.0, 1550.0),
        blur=0.6,
        sharpening=1.2,
        noise=30.0,
        table="none",
        orientation="upside_down",
    ),
}


ARCHIVE_STYLES: dict[str, Style] = STYLES | {
    "jun": replace(
        STYLES["jun"],
        window=(-250.0, 1750.0),
        tone=(
            (0.07, 0.0),
            (0.12, 0.15),
            (0.22, 0.31),
            (0.35, 0.41),
            (0.66, 0.53),
            (0.75, 0.66),
            (0.88, 0.81),
            (1.0, 1.0),
        ),
    ),
    "morozov": replace(STYLES["morozov"], bone=3.0),
}
"""As the annotated slices of the archives are: those of archive 6 are equalised, which lifts air and lowers
soft tissue; in archive 4 something is denser than drawn bone, which darkens all else, for each slice is
stretched to its maximum."""


def style_of(source: str, *, look: str) -> Style:
    """How the source renders under one of `individual.LOOKS`."""
    return (ARCHIVE_STYLES if look == ARCHIVE else STYLES)[source]


def grain_and_blur(
    hu: Field, style: Style, *, spacing: float, dose: float, rng: np.random.Generator
) -> Field:
    """Add the scanner's noise and apply the source's point spread and sharpening.

    `dose` scales the noise (1 usual, more is a poorer scan); `spacing` is mm a pixel.
    """
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    noise += np.float32(0.7) * np.roll(noise, 1, axis=1)
    noise += np.float32(0.6) * np.roll(noise, 1, axis=0)
    noisy = hu + np.float32(0.9 * style.noise * dose) * noise
    blurred = gaussian_filter(noisy, style.blur / spacing, truncate=2.5)
    if not style.sharpening:
        return blurred
    return blurred + np.float32(style.sharpening) * (noisy - blurred)


def to_grey(
    hu: Field, style: Style, *, shift: float, stretch: float, padded: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w"]:
    """Grey values 0..255: the source's window (moved by `shift` HU, widened by `stretch`) or the
    slice's own range, then the source's curve; `padded` pixels lie outside the scanner's field."""
    if style.bone != 1.0:
        hu = np.where(hu > BONE, np.float32(BONE) + np.float32(style.bone) * (hu - BONE), hu)
    if style.grey == "window":
        low = style.window[0] + shift - 0.5 * stretch * style.window[1]
        span = stretch * style.window[1]
        hu = np.where(padded, np.float32(-1024), hu) if padded.any() else hu
    else:
        floor = -1024.0 if not padded.any() else -2048.0
        hu = np.maximum(hu, np.float32(-1024))
        hu = np.where(padded, np.float32(floor), hu) if padded.any() else hu
        low, span = float(hu.min()), float(np.ptp(hu))
    grey = (hu - np.float32(low)) * np.float32(255 / span) + np.float32(0.5)
    grey = np.clip(grey, 0, 255)
    if style.tone:
        before, after = np.array(style.tone).T * 255
        grey = np.interp(grey, before, after)
    return grey.astype(np.uint8)
