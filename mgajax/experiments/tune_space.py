"""A search space: the keys of a configuration that are varied, with bounds and scale."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml_collections import ConfigDict

from mgajax.config import flatten
from mgajax.errors import ConfigError, nearest

SCALES = ("linear", "log")
SECTION = "search"
DIGITS = 4
"""Significant digits of a suggested value, so that the printed value is the one that was tried."""

Point = Mapping[str, float | int]
"""A value for each key."""


@dataclass(frozen=True)
class Dimension:
    """One searched key.

    Attributes:
      key: dotted, of the configuration.
      low: lowest value.
      high: highest value.
      scale: one of `SCALES`.
      whole: only whole numbers.
    """

    key: str
    low: float
    high: float
    scale: str
    whole: bool

    def value(self, place: float) -> float | int:
        """The value at a position in [0, 1], rounded."""
        if self.scale == "log":
            exact = math.exp(math.log(self.low) + place * math.log(self.high / self.low))
        else:
            exact = self.low + place * (self.high - self.low)
        bounded = min(max(float(f"{exact:.{DIGITS}g}"), self.low), self.high)
        return round(bounded) if self.whole else bounded

    def place(self, value: float | int) -> float:
        """The position of a value: 0 at the low end, 1 at the high end, below 0 or above 1 outside."""
        if self.scale == "log":
            return (
                math.log(value / self.low) / math.log(self.high / self.low) if value > 0 else -1.0
            )
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Space:
    """All searched keys, in the order of their names."""

    dimensions: tuple[Dimension, ...]

    def point(self, places: Sequence[float]) -> dict[str, float | int]:
        """The values at positions in [0, 1]."""
        pairs = zip(self.dimensions, places, strict=True)
        return {dimension.key: dimension.value(float(place)) for dimension, place in pairs}

    def places(self, point: Point) -> tuple[float, ...]:
        """The positions of a point's values."""
        return tuple(dimension.place(point[dimension.key]) for dimension in self.dimensions)

    def holds(self, point: Point) -> bool:
        """Whether a point lies inside."""
        return all(-1e-9 <= place <= 1 + 1e-9 for place in self.places(point))


def read_space(config: ConfigDict) -> Space:
    """The space that `config.search.space` describes.

    Raises:
      ConfigError: no such section, an unknown key, or a range that cannot be searched.
    """
    if SECTION not in config or not config[SECTION].get("space"):
        raise ConfigError(
            "config.search.space is missing: what to search, as in configs/tuning/mga_resnet18.py"
        )
    known = flatten(config)
    space = flatten(config[SECTION].space)
    return Space(tuple(_dimension(key, space[key], known) for key in sorted(space)))


def overrides(point: Point) -> list[str]:
    """The point as overrides of a command line."""
    return [f"--config.{key}={value!r}" for key, value in point.items()]


def _dimension(key: str, value: object, known: Mapping[str, object]) -> Dimension:
    name = f"config.search.space.{key}"
    if key not in known:
        keys = [key for key in known if not key.startswith(f"{SECTION}.")]
        raise ConfigError(f"{name}: no such key; {nearest(key, keys)}")
    if key.startswith("split."):
        raise ConfigError(
            f"{name}: trials must be judged on the same slices; leave the split alone"
        )
    if isinstance(known[key], bool) or not isinstance(known[key], int | float):
        raise ConfigError(f"{name}: {key} is {known[key]!r}; only numbers can be searched")
    if not isinstance(value, list) or len(value) != 3 or value[2] not in SCALES:
        raise ConfigError(f"{name}={value!r}: expected (lowest, highest, 'linear' or 'log')")
    low, high, scale = value
    if not low < high or (scale == "log" and low <= 0):
        raise ConfigError(f"{name}={value!r}: expected lowest < highest, and above 0 for 'log'")
    return Dimension(key, float(low), float(high), scale, whole=isinstance(known[key], int))
