"""The style that all figures share, without a change of pyplot's or any global state."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.style import context

from mgajax.files import replacing

INK = "#333333"
FAINT = "#8a8a8a"
GRID = "#e3e3e3"
CLASS_COLOURS = {"Normal": "#009E73", "COVID-19": "#D55E00", "CAP": "#0072B2"}
"""From Okabe and Ito's palette, told apart with any kind of colour vision."""

FURTHER_COLOURS = ("#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
TRAIN, VALIDATION = "#0072B2", "#D55E00"
FOUND, MISSED, SURPLUS = "#56B4E9", "#F0E442", "#D55E00"
"""Lesion pixels that were found, lesion pixels that were missed, predicted pixels of no lesion."""

DOTS_PER_INCH = 150
ANONYMOUS: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}
"""Metadata that files leave out, so that equal figures are equal files."""

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.hashsalt": "mgajax",
}


def class_colour(name: str, code: int) -> str:
    """The colour of a class, the same in every figure; other names take further colours."""
    return CLASS_COLOURS.get(name, FURTHER_COLOURS[code % len(FURTHER_COLOURS)])


@contextmanager
def drawing(path: Path, *, width: float, height: float) -> Iterator[Figure]:
    """A figure that is written to `path` when the block ends without an error.

    The file depends on what is drawn alone (no date, no version), and an older file stays until
    the new one is complete. Missing folders are made.

    Args:
      path: where to write: SVG if it ends so, else PNG; without an ending, both of that name.
      width: in inches, at 150 dots an inch.
      height: in inches.
    """
    with context(["default", STYLE]):
        figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        for file in (path,) if path.suffix else figure_files(path):
            save(figure, file)
            figure.set_layout_engine("none")  # laid out once: that takes as long as drawing


def figure_files(path: Path) -> tuple[Path, ...]:
    """The files of a figure that is drawn to a path without an ending; the PNG first."""
    return tuple(path.with_name(f"{path.name}.{kind}") for kind in ANONYMOUS)


def save(figure: Figure, path: Path) -> None:
    """Render a figure to a file."""
    kind = "svg" if path.suffix == ".svg" else "png"
    with replacing(path) as partial:
        figure.savefig(partial, format=kind, metadata=ANONYMOUS[kind])


def bare(axes: Axes) -> Axes:
    """Axes without ticks, grid or frame, for pictures."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def with_interval(value: float | int | None, span: dict | None, *, digits: int = 3) -> str:
    """`0.951 [0.930, 0.968]`; a dash for what is undefined."""
    if value is None:
        return "–"
    text = f"{value:,.{digits}f}"
    if not span or span["low"] is None:
        return text
    return f"{text} [{span['low']:.{digits}f}, {span['high']:.{digits}f}]"


def slices_label(metrics: dict) -> str:
    """`test split: 1,238 slices of 310 patients`, with as much as is known; `set NAME: …` of another."""
    if "set" in metrics:
        where, nobody = f"set {metrics['set']}: ", " of unknown patients"
    else:
        where, nobody = f"{metrics['split']} split: " if "split" in metrics else "", ""
    people = f" of {metrics['patients']:,} patients" if metrics.get("patients") else nobody
    return f"{where}{metrics['n']:,} slices{people}"


def label_sentence(metrics: dict) -> str:
    """`slices_label`, as a caption begins with it."""
    label = slices_label(metrics)
    return label[:1].upper() + label[1:]
