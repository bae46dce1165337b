"""Rows of measured numbers with intervals, side by side: models, sources, runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mgajax.reporting.figures.style import FAINT, TRAIN, drawing
from mgajax.reporting.tables.number import Number

MEASURED = TRAIN
PRINTED: dict[str, Any] = {
    "marker": "D",
    "color": FAINT,
    "markersize": 5,
    "fillstyle": "none",
    "linestyle": "none",
}
"""The look of the paper's numbers."""


@dataclass(frozen=True)
class ComparisonRow:
    """One row: its name, what was measured and what the paper prints, by column."""

    name: str
    measured: Mapping[str, Number]
    printed: Mapping[str, float] = field(default_factory=dict)


def comparison_figure(
    rows: Sequence[ComparisonRow],
    *,
    columns: Mapping[str, str],
    path: Path,
    title: str,
    measured: str = "measured",
    printed: str = "the paper (other slices)",
) -> Path:
    """A panel for each column: a dot and its interval for each row, from the top.

    Args:
      rows: one or more.
      columns: key -> the panel's title.
      path: PNG or SVG to write.
      title: above all.
      measured: what the dots and intervals are, for the legend.
      printed: what the diamonds are.
    """
    with drawing(path, width=9.0, height=0.42 * len(rows) + 1.45) as figure:
        grid = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for axes, (key, text) in zip(grid, columns.items(), strict=True):
            for position, row in enumerate(rows):
                if key in row.measured:
                    draw_number(axes, position, row.measured[key])
                if key in row.printed:
                    axes.plot(row.printed[key], position, **PRINTED)
            axes.set_title(text)
            in_rows(axes)
        grid[0].set_yticks(range(len(rows)), [row.name for row in rows])
        grid[0].set_ylim(len(rows) - 0.4, -0.6)
        handles = grid[0].plot([], [], "o", color=MEASURED, label=measured)
        if any(row.printed for row in rows):
            handles += grid[0].plot([], [], **PRINTED, label=printed)
        figure.legend(handles=handles, loc="outside lower left", ncols=2)
        figure.suptitle(title, x=0.01, ha="left", size=10.5)
    return path


def draw_number(
    axes: Axes, position: int, number: Number, *, marker: str = "o", colour: str = MEASURED
) -> None:
    """A marker on its interval; nothing where the number is undefined."""
    if number.value is None:
        return
    if number.low is not None and number.high is not None:
        ends = [number.low, number.high]
        axes.plot(ends, [position] * 2, "|-", color=colour, markersize=9, markeredgewidth=1.6)
    axes.plot(number.value, position, marker, color=colour, markersize=5.5)


def in_rows(axes: Axes) -> None:
    """Set the axes for values across and names down."""
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))


def interval_note(metrics: Mapping[str, Any]) -> str:
    """`measured, 95% interval over patients`, for the legend."""
    if not metrics["intervals"]:
        return "measured"
    settings = metrics["intervals"]["settings"]
    return f"measured, {settings['confidence']:.0%} interval over {settings['unit']}s"
