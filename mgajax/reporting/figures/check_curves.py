"""Curves of the checks that maps are put to: insertion, deletion, weight randomisation."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mgajax.reporting.figures.style import FAINT, FURTHER_COLOURS, INK, TRAIN, VALIDATION, drawing

COLOURS = (TRAIN, VALIDATION, "#009E73", *FURTHER_COLOURS)
TITLES = {
    "insertion": "insertion: high is good",
    "deletion": "deletion: low is good",
    "randomisation": "redrawn weights: near 0 is good",
}
LABELS = {
    "insertion": ("share of pixels inserted", "probability of the class"),
    "deletion": ("share of pixels deleted", "probability of the class"),
    "randomisation": ("layers redrawn so far", "rank correlation with the map"),
}


@dataclasses.dataclass(frozen=True)
class CheckCurve:
    """One line.

    Attributes:
      model: what the run is called; a row of the figure.
      method: title of the method; a line.
      kind: of check; a column.
      points: shares, or names of layers.
      means: at each point `mean`, `low` and `high`, None where unknown.
    """

    model: str
    method: str
    kind: str
    points: Sequence[str]
    means: Sequence[Mapping[str, Any]]


def check_curves(curves: Sequence[CheckCurve], *, path: Path) -> Path:
    """Models as rows, checks as columns, a line with its 95 % band for each method."""
    models = list(dict.fromkeys(curve.model for curve in curves))
    kinds = list(dict.fromkeys(curve.kind for curve in curves))
    methods = list(dict.fromkeys(curve.method for curve in curves))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(methods)}
    width, height = 3.9 * len(kinds), 2.9 * len(models) + 0.4
    with drawing(path, width=width, height=height) as figure:
        grid = figure.subplots(len(models), len(kinds), squeeze=False)
        for curve in curves:
            axes = grid[models.index(curve.model), kinds.index(curve.kind)]
            _line(axes, curve, colour=colours[curve.method])
        for row, model in enumerate(models):
            for column, kind in enumerate(kinds):
                _name(grid[row, column], kind, title=f"{model}\n{TITLES[kind]}")
        handles = [Line2D([], [], color=colours[name]) for name in methods]
        figure.legend(handles, methods, loc="outside lower center", ncols=len(methods))
    return path


def _line(axes: Axes, curve: CheckCurve, *, colour: str) -> None:
    shares = curve.kind != "randomisation"
    positions = [float(point) for point in curve.points] if shares else range(len(curve.points))
    centre, low, high = (
        np.array(
            [np.nan if mean[key] is None else mean[key] for mean in curve.means],
            np.float64,
        )
        for key in ("mean", "low", "high")
    )
    axes.fill_between(positions, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(positions, centre, color=colour, marker=None if shares else "o")
    if not shares:
        axes.set_xticks(list(positions), labels=list(curve.points), rotation=30, ha="right")


def _name(axes: Axes, kind: str, *, title: str) -> None:
    if kind == "randomisation":
        axes.axhline(0.0, color=FAINT, linestyle="--", linewidth=1.0)
    axes.set_title(title, color=INK)
    axes.set_xlabel(LABELS[kind][0])
    axes.set_ylabel(LABELS[kind][1])
