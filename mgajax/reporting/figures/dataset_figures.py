"""Pictures of a data set: whose slices they are, and what preparation makes of them."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, PercentFormatter, StrMethodFormatter

from mgajax.reporting.figures.style import FAINT, INK, bare, class_colour, drawing

BAR = "#56B4E9"
UNKNOWN = "#d9d9d9"
SEXES = {"M": "male", "F": "female", "": "unknown"}
AGE_STEP = 5
MOST_FINDINGS = 12
LEAST_ROWS = 6
"""A panel has room for at least so many bars, so that a few bars do not fill it."""

LEAST = 0.8
"""Where the logarithmic axis of counts begins: below 1, so that a single slice has a bar."""


def statistics_figure(
    *,
    countries: Mapping[str, int],
    genders: Mapping[str, Mapping[str, int]],
    ages: Mapping[str, Int[np.ndarray, "_"]],
    findings: Mapping[str, int],
    reports: int,
    path: Path,
    note: str = "",
) -> Path:
    """The paper's Figure 4: countries, sexes and ages by class, and findings of the CT reports.

    Args:
      countries: country -> slices, in the order drawn; "" is unknown.
      genders: class -> {"M", "F", ""} -> slices.
      ages: class -> ages in years, one a slice.
      findings: finding -> reports that name it, in the order drawn.
      reports: how many slices have a report.
      path: PNG to write.
      note: added to the title.
    """
    total = sum(countries.values())
    with drawing(path, width=9.8, height=7.4) as figure:
        grid = figure.subplots(
            2, 2, width_ratios=(1.25, 1), gridspec_kw={"wspace": 0.04, "hspace": 0.05}
        )
        _countries(grid[0, 0], countries)
        _sexes(grid[0, 1], genders)
        _ages(grid[1, 0], ages)
        _findings(grid[1, 1], findings, reports=reports)
        figure.suptitle(f"{total:,} slices{note}", x=0.01, ha="left", size=10.5)
    return path


def preparation_panel(
    before: Sequence[UInt8[np.ndarray, "_ _"]],
    after: Sequence[UInt8[np.ndarray, "_ _"]],
    *,
    titles: Sequence[str],
    classes: Sequence[str],
    path: Path,
) -> Path:
    """The paper's Figure 3: a slice of each source (a) as published and (b) as prepared.

    Args:
      before: grey values, of any sizes.
      after: the same slices, prepared.
      titles: one a column, e.g. sources.
      classes: class names, one a column.
      path: PNG to write.
    """
    n = len(before)
    width = 1.5 * n + 0.4
    with drawing(path, width=width, height=3.75) as figure:
        grid = figure.subplots(2, n, squeeze=False)
        for column in range(n):
            for row, image in enumerate((before[column], after[column])):
                _in_square(bare(grid[row, column]), image)
            name = classes[column]
            grid[0, column].set_title(titles[column], loc="center")
            grid[1, column].set_xlabel(name, color=class_colour(name, column), weight="bold")
        grid[0, 0].set_ylabel("(a) published")
        grid[1, 0].set_ylabel("(b) prepared")
        title = "One slice of each source; background removed, cropped, grey levels stretched"
        figure.suptitle(textwrap.fill(title, int(12 * width)), x=0.01, ha="left", size=10.5)
    return path


def _in_square(axes: Axes, image: np.ndarray) -> None:
    """A picture in the middle of a square, so that titles of wide and tall ones stand level."""
    height, width = image.shape
    half = max(height, width) / 2
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_xlim(width / 2 - 0.5 - half, width / 2 - 0.5 + half)
    axes.set_ylim(height / 2 - 0.5 + half, height / 2 - 0.5 - half)


def _countries(axes: Axes, countries: Mapping[str, int]) -> None:
    """Bars on a logarithmic axis, for the largest country has thousands and the smallest two."""
    names = [name or "unknown" for name in countries]
    counts = list(countries.values())
    positions = np.arange(len(names))[::-1]
    colours = [UNKNOWN if not name else BAR for name in countries]
    axes.barh(
        positions, [count - LEAST for count in counts], left=LEAST, color=colours, height=0.72
    )
    for position, count in zip(positions, counts, strict=True):
        axes.text(count * 1.12, position, f"{count:,}", va="center", size=8, color=INK)
    axes.set_xscale("log")
    axes.set_xlim(LEAST, max(counts, default=1) * 6)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_yticks(positions, names)
    axes.set_ylim(min(0, len(names) - LEAST_ROWS) - 0.6, len(names) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.minorticks_off()
    axes.grid(axis="y", visible=False)
    country_count = sum(bool(name) for name in countries)
    axes.set_title(f"(a) {country_count} countries")
    axes.set_xlabel("slices (logarithmic)")


def _sexes(axes: Axes, genders: Mapping[str, Mapping[str, int]]) -> None:
    names = [name for name, counts in genders.items() if sum(counts.values())]
    positions = np.arange(len(names))[::-1]
    for position, name in zip(positions, names, strict=True):
        counts = genders[name]
        total, left = sum(counts.values()), 0.0
        for key, alpha in (("M", 0.9), ("F", 0.45), ("", 1.0)):
            share = counts.get(key, 0) / total
            colour = UNKNOWN if key == "" else class_colour(name, 0)
            axes.barh(position, share, left=left, color=colour, alpha=alpha, height=0.6)
            if share > 0.09:
                label = f"{SEXES[key]}\n{counts[key]:,}"
                dark = key == "M"
                axes.text(
                    left + share / 2,
                    position,
                    label,
                    ha="center",
                    va="center",
                    size=8,
                    color="white" if dark else INK,
                )
            left += share
    axes.set_yticks(positions, names)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_title("(b) sex by class")
    axes.set_xlabel("share of slices")


def _ages(axes: Axes, ages: Mapping[str, np.ndarray]) -> None:
    """Distributions one above the other, each scaled to its own peak, with the median."""
    known_ages = [(name, values) for name, values in ages.items() if len(values)]
    edges = np.arange(0, 106, AGE_STEP)
    for base, (name, values) in enumerate(reversed(known_ages)):
        counts, _ = np.histogram(values, bins=edges)
        heights = 0.7 * counts / counts.max()
        colour = class_colour(name, base)
        axes.stairs(heights + base, edges, baseline=base, fill=True, color=colour, alpha=0.35)
        axes.stairs(heights + base, edges, baseline=None, color=colour, linewidth=1.3)
        median = float(np.median(values))
        axes.plot([median, median], [base, base + 0.76], color=INK, linewidth=1.2)
        text = f"median {median:g}, {len(values):,} slices"
        axes.text(104, base + 0.8, text, ha="right", size=8, color=INK)
    names = [name for name, _ in reversed(known_ages)]
    axes.set_yticks(np.arange(len(names)) + 0.3, names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, 105)
    axes.set_ylim(0, max(1, len(names)))
    axes.xaxis.set_major_locator(FixedLocator(np.arange(0, 101, 20).tolist()))
    axes.set_title("(c) age by class")
    axes.set_xlabel("years; each class to its own peak")


def _findings(axes: Axes, findings: Mapping[str, int], *, reports: int) -> None:
    counts = dict(list(findings.items())[:MOST_FINDINGS])
    axes.set_title(f"(d) CT findings in {reports:,} reports")
    if not counts:
        bare(axes).text(0.5, 0.5, "no report texts", ha="center", color=FAINT)
        return
    positions = np.arange(len(counts))[::-1]
    shares = [count / reports for count in counts.values()]
    axes.barh(positions, shares, color=class_colour("COVID-19", 1), alpha=0.75, height=0.72)
    for position, share in zip(positions, shares, strict=True):
        axes.text(share + 0.012, position, f"{share:.0%}", va="center", size=8, color=INK)
    axes.set_yticks(positions, list(counts))
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, min(1.12, max(shares) * 1.18 + 0.02))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("share of slices of COVID-19 with a report")
