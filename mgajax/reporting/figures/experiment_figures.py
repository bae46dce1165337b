"""Figures of experiments: arms side by side, curves over a setting, and the trials of a search."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mgajax.reporting.figures.style import FAINT, INK, TRAIN, VALIDATION, drawing
from mgajax.reporting.tables.measurements import Measurement

COLOURS = (TRAIN, VALIDATION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MEASURED, PAPER = TRAIN, VALIDATION

Curves = Mapping[str, Mapping[str, Mapping[float, Measurement]]]
"""By metric, arm and place on the horizontal axis."""


def arms_figure(rows: Sequence[Measurement], *, path: Path) -> Path:
    """Arms down, a panel for each metric: mean with its interval, every seed, the paper's value.

    Args:
      rows: of one table.
      path: PNG to write.
    """
    names = list(dict.fromkeys(row.name for row in rows))
    metrics = list(dict.fromkeys(row.metric for row in rows))
    with drawing(path, width=2.1 * len(metrics) + 2.2, height=0.42 * len(names) + 1.5) as figure:
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, metrics, strict=True):
            for row in rows:
                if row.metric == metric:
                    _arm(axes, names.index(row.name), row)
            axes.set_title(metric)
            axes.grid(axis="y", visible=False)
            axes.xaxis.set_major_locator(MaxNLocator(3))
            if rows[0].scale == "percent":
                axes.xaxis.set_major_formatter(FuncFormatter(percent_label))
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        figure.suptitle(_legend(rows), x=0.01, ha="left", size=10)
    return path


def percent_label(share: float, place: int | None = None) -> str:
    """A share as a tick's label: whole percents without decimals, others with as many as they need."""
    return f"{100 * share:.4g}%"


def _arm(axes: Axes, position: int, row: Measurement) -> None:
    for value in row.seeds.values():
        axes.plot(value, position + 0.22, "o", color=FAINT, markersize=3, markeredgewidth=0)
    if row.paper is not None:
        axes.plot(row.paper, position, "D", color=PAPER, markersize=4.5)
    if row.value is None:
        axes.text(0.02, position, row.as_text(), transform=axes.get_yaxis_transform(), color=FAINT)
        return
    if row.span is not None:
        axes.plot(row.span, [position, position], color=MEASURED, linewidth=1.6)
    axes.plot(row.value, position, "o", color=MEASURED, markersize=5.5)


def _legend(rows: Sequence[Measurement]) -> str:
    seeds = max((len(row.seeds) for row in rows), default=0)
    values = f"Mean of {seeds} seeds" if seeds > 1 else "One seed"
    text = f"{values} with 95 % patient-bootstrap interval; grey: each seed"
    return f"{text}; diamond: the paper" if any(row.paper is not None for row in rows) else text


def curves_figure(
    curves: Curves,
    *,
    path: Path,
    label: str,
    title: str,
) -> Path:
    """A panel for each metric; in it a curve for each arm, with band (interval) and seeds as dots.

    Args:
      curves: see `Curves`.
      path: PNG to write.
      label: of the horizontal axis.
      title: above all.
    """
    across = min(3, len(curves))
    down = -(-len(curves) // across)
    with drawing(path, width=3.5 * across + 0.4, height=2.9 * down + 0.5) as figure:
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes, (metric, arms) in zip(panels, curves.items(), strict=False):
            for colour, (arm, points) in zip(COLOURS, arms.items(), strict=False):
                _curve(axes, points, colour=colour, name=arm)
            axes.set_title(metric)
            axes.set_xlabel(label)
            axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
        for axes in panels[len(curves) :]:
            axes.set_visible(False)
        panels[0].legend(loc="best", handlelength=1.4)
        figure.suptitle(title, x=0.01, ha="left", size=10, color=INK)
    return path


def _curve(axes: Axes, points: Mapping[float, Measurement], *, colour: str, name: str) -> None:
    values = {
        x: measurement.value
        for x, measurement in sorted(points.items())
        if measurement.value is not None
    }
    axes.plot([*values], [*values.values()], "o-", color=colour, markersize=4.5, label=name)
    spans = {
        x: measurement.span
        for x, measurement in sorted(points.items())
        if measurement.span is not None
    }
    low, high = ([span[end] for span in spans.values()] for end in (0, 1))
    axes.fill_between([*spans], low, high, color=colour, alpha=0.13, linewidth=0)
    for x, measurement in points.items():
        axes.plot(
            [x] * len(measurement.seeds),
            [*measurement.seeds.values()],
            ".",
            color=colour,
            alpha=0.5,
            ms=3.5,
        )


def tuning_figure(
    values: Sequence[float | None],
    *,
    best: Sequence[float | None],
    initial: int,
    label: str,
    path: Path,
) -> Path:
    """A dot for each trial, a line for the best so far, crosses for failures.

    Args:
      values: of each trial; None where it failed.
      best: best so far, after each trial; None before the first that succeeds.
      initial: trials before the first suggestion; the ones after it are filled.
      label: of the metric.
      path: see `style.drawing`.
    """
    with drawing(path, width=7.4, height=4.0) as figure:
        axes = figure.subplots()
        for number, value in enumerate(values):
            if value is not None:
                fill = "full" if number >= initial else "none"
                axes.plot(number, value, "o", color=TRAIN, markersize=6, fillstyle=fill)
            else:
                at_the_top = axes.get_xaxis_transform()
                axes.plot(number, 0.97, "x", color=VALIDATION, markersize=7, transform=at_the_top)
        reached = [(number, value) for number, value in enumerate(best) if value is not None]
        if reached:
            axes.step(*zip(*reached, strict=True), where="post", color=INK, linewidth=1.4)
        axes.plot([], [], "o", color=TRAIN, fillstyle="none", label="spread")
        axes.plot([], [], "o", color=TRAIN, label="suggested")
        axes.plot([], [], color=INK, label="best so far")
        if None in values:
            axes.plot([], [], "x", color=VALIDATION, linestyle="none", label="failed")
        if values and values[0] is not None:
            axes.axhline(
                values[0], color=FAINT, linestyle=(0, (4, 4)), linewidth=1, label="default"
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="trial; 0: the configuration as it stands", ylabel=label)
        figure.legend(loc="outside lower left", ncols=5)
        figure.suptitle("What each trial was worth", x=0.01, ha="left", size=10.5)
    return path
