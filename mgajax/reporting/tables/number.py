"""A measured number with its interval, read from a report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mgajax.reporting.figures.style import with_interval


@dataclass(frozen=True)
class Number:
    """A value and its interval; None where undefined or unknown.

    Attributes:
      value: as it is to be shown, for example in percent.
      low: lower end.
      high: upper end.
      digits: after the point, when shown.
    """

    value: float | int | None
    low: float | int | None = None
    high: float | int | None = None
    digits: int = 3

    def __str__(self) -> str:
        span = {"low": self.low, "high": self.high}
        return with_interval(self.value, span, digits=self.digits)


def percent(block: Mapping[str, Any], path: str) -> Number:
    """`number` in percent, with one digit after the point."""
    return number(block, path, scale=100.0, digits=1)


def number(block: Mapping[str, Any], path: str, *, scale: float = 1.0, digits: int = 3) -> Number:
    """One value of a report and its interval.

    Args:
      block: of a report: values, and `intervals` (or None) in the same nesting.
      path: the value's place, as "three_class.roc_auc.macro".
      scale: what both are multiplied by.
      digits: see `Number`.
    """
    value = at(block, path)
    span = at(block.get("intervals"), path) or {}
    value, low, high = (
        None if end is None else scale * end for end in (value, span.get("low"), span.get("high"))
    )
    return Number(value, low, high, digits)


def at(tree: Any, path: str) -> Any:
    """The value at "a.b.c" of nested mappings; None where a key of the path is missing."""
    for key in path.split("."):
        tree = (tree or {}).get(key)
    return tree
