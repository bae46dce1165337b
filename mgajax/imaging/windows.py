"""From Hounsfield units to eight bits: the stretch of the published set, or a window.

The published slices have no window: each is stretched from its own minimum to its own maximum, so
that the padding outside the scanner's circle and the brightest voxel set the contrast (measured:
exactly one pixel of 255 in each). A window makes slices comparable, but unlike the published ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Num, UInt8

from mgajax.errors import ConfigError, nearest

PixelUnit = Literal["HU", "grey"]
"""Hounsfield units, or grey levels of a picture that was rendered before."""


@dataclass(frozen=True)
class Window:
    """A range of Hounsfield units that is spread over 0..255; what lies outside is clipped."""

    centre: float
    width: float

    @property
    def low(self) -> float:
        """The value that becomes 0."""
        return self.centre - self.width / 2

    @property
    def high(self) -> float:
        """The value that becomes 255."""
        return self.centre + self.width / 2

    def __str__(self) -> str:
        return f"{self.centre:g}/{self.width:g}"


WINDOWS: Mapping[str, Window] = {
    "lung": Window(-600.0, 1500.0),
    "mediastinum": Window(50.0, 350.0),
    "bone": Window(400.0, 1800.0),
}
"""Windows by name, as radiology uses them. COVID-CT-MD's own headers say 50/350 and -600/1200."""

PUBLISHED = "published"
"""The word for no window: the stretch of the published set."""


def find_window(text: str) -> Window | None:
    """The window called `text`, or written as CENTRE/WIDTH; None for `PUBLISHED`.

    Raises:
      ConfigError: neither a known name nor two numbers with a positive width.
    """
    if text == PUBLISHED:
        return None
    if text in WINDOWS:
        return WINDOWS[text]
    try:
        centre, width = (float(part) for part in text.split("/"))
        if width > 0 and np.isfinite([centre, width]).all():
            return Window(centre, width)
    except ValueError:
        pass
    raise ConfigError(
        f"window {text!r}: {nearest(text, (PUBLISHED, *WINDOWS))}, or CENTRE/WIDTH, e.g. -600/1500"
    )


@dataclass(frozen=True)
class Range:
    """The values of a slice that become 0 and 255.

    Attributes:
      name: what it is called in tables: "min-max", or a window as "-600/1500".
    """

    low: float
    high: float
    name: str


def range_of(values: Num[np.ndarray, "h w"], *, unit: PixelUnit, window: Window | None) -> Range:
    """The window; or minimum to maximum without one, and always for grey levels."""
    if window is None or unit == "grey":
        return Range(float(values.min()), float(values.max()), "min-max")
    return Range(window.low, window.high, str(window))


def to_8_bit(
    values: Num[np.ndarray, "h w"], *, low: float, high: float
) -> UInt8[np.ndarray, "h w"]:
    """`values` with `low` at 0 and `high` at 255, clipped and rounded; all 0 where both are equal."""
    scaled = (values.astype(np.float64) - low) * (255.0 / max(high - low, 1e-12))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
