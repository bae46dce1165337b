"""The trace of a search: what each trial was worth, and the best so far."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from mgajax.reporting.figures.style import FAINT, INK, TRAIN, VALIDATION, drawing


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
        for place, value in enumerate(values):
            if value is not None:
                fill = "full" if place >= initial else "none"
                axes.plot(place, value, "o", color=TRAIN, markersize=6, fillstyle=fill)
            else:
                at_the_top = axes.get_xaxis_transform()
                axes.plot(place, 0.97, "x", color=VALIDATION, markersize=7, transform=at_the_top)
        reached = [(place, value) for place, value in enumerate(best) if value is not None]
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
