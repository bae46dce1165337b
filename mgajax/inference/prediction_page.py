"""The pages: one for each scan, with a slider over its slices, and an overview. They work offline.

Pictures lie beside the pages and are loaded when shown, so that a page of 600 slices opens at once;
the folder of results is moved or sent as a whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from mgajax.errors import quantity
from mgajax.inference.predictor import spread
from mgajax.inference.problems import RESEARCH_USE, Problem
from mgajax.inference.results import (
    PATIENTS,
    SCANS,
    SETTINGS_FILE,
    SLICES,
    PatientResult,
    ScanResult,
    SliceResult,
    Volumes,
    explain_no_class,
    group_by_patient,
    measure_volumes,
)
from mgajax.reporting.figures.style import CLASS_COLOURS, SURPLUS
from mgajax.reporting.html.blocks import (
    Bar,
    Bars,
    Block,
    Caution,
    Cell,
    Facts,
    Items,
    Link,
    Note,
    Row,
    Section,
    Table,
    Thumbnail,
)
from mgajax.reporting.html.page import html_page
from mgajax.schema import CLASS_NAMES

MOST_THUMBNAILS = 24

LAYERS: Mapping[str, str] = {
    "lesion": "lesion (predicted)",
    "attention": "attention of the network",
    "attribution": "attribution: red for the slice’s class, blue against",
}
"""The overlays of a slice, from bottom to top."""

SHOWN_AT_FIRST = "lesion"
LEGEND = "Lines: chance of each class by slice; shaded: area of lesion."
FILES = {
    "Slices": Link(SLICES, SLICES),
    "Scans": Link(SCANS, SCANS),
    "Patients": Link(PATIENTS, PATIENTS),
    "Settings": Link(SETTINGS_FILE, SETTINGS_FILE),
}


def scan_page(scan: ScanResult, *, layers: Sequence[str], notes: Sequence[str]) -> str:
    """The page of one scan, to lie in its folder.

    Args:
      scan: its results.
      layers: the folders of pictures, see `scanning.layer_names`.
      notes: what the numbers mean.
    """
    count = len(scan.slices)
    thumbnails = np.unique(np.linspace(1, count, min(count, MOST_THUMBNAILS)).round().astype(int))
    area, lines = _slider_chart(scan)
    return html_page(
        scan.name,
        [Section("", tuple(map(Note, notes)))],
        trail=[Link("all scans", "../index.html")],
        banner=RESEARCH_USE,
        template="scan.html",
        about=f"patient {scan.patient} · {quantity(count, 'slice')} · {scan.kind}",
        layers=[
            {"name": name, "text": text, "shown": name == SHOWN_AT_FIRST}
            for name, text in LAYERS.items()
            if name in layers
        ],
        area=area,
        area_colour=SURPLUS,
        lines=lines,
        legend=LEGEND,
        bars=_bars(np.zeros(len(CLASS_NAMES)) if lines else None),  # the script's
        summary=_summary(scan),
        thumbnails=thumbnails.tolist(),
        scan={
            "first": _key_slice(scan),
            "slices": [_script_entry(slice_, scan) for slice_ in scan.slices],
        },
    )


def overview_page(
    scans: Sequence[ScanResult], *, problems: Sequence[Problem], notes: Sequence[str]
) -> str:
    """The page that links to those of the scans."""
    heads = ("scan", "", "class", "lesion", "share of lung", "warnings")
    problem_items: tuple[Block, ...] = (Items(tuple(map(str, problems))),)
    patients = [patient for patient in group_by_patient(scans) if len(patient.scans) > 1]
    table = Table(("patient", "scans", "class, over all scans"), tuple(map(_patient, patients)))
    sections = [
        Section("", (Table(heads, tuple(map(_row, scans))),)),
        *([Section("Patients with several scans", (table,))] if patients else []),
        *([Section("Input that could not be taken as it is", problem_items)] if problems else []),
        Section("How to read this", (*notes, Facts(FILES))),
    ]
    return html_page("Predictions", sections, banner=RESEARCH_USE)


def _row(scan: ScanResult) -> Row:
    volumes = measure_volumes(scan)
    page = f"{scan.name}/index.html"
    picture = f"{scan.name}/slices/{_key_slice(scan):04}.jpg"
    about = f"{scan.patient}, {quantity(len(scan.slices), 'slice')}, {scan.kind}"
    return (
        (Link(scan.name, page), Note(about)),
        Thumbnail(picture, alt=f"Slice {_key_slice(scan)} of {scan.name}", href=page),
        _bars(None if scan.members is None else scan.members.mean(axis=0)) or _why_no_class(scan),
        _format_lesion(volumes, pixels=scan.lesion_pixels),
        "–" if volumes.share is None else f"{volumes.share:.1%}",
        Caution(_count_warnings(scan)),
    )


def _patient(patient: PatientResult) -> Row:
    """A patient with several scans: the mean over the chest slices of all of them."""
    pages = tuple(Link(scan.name, f"{scan.name}/index.html") for scan in patient.scans)
    members = patient.members
    return (
        patient.name,
        pages,
        _bars(None if members is None else members.mean(axis=0)) or "no class",
    )


def _bars(chances: Float[np.ndarray, "k"] | None) -> Bars | None:
    """A bar for each class; None without a classifier."""
    if chances is None:
        return None
    return Bars(
        tuple(
            Bar(name, chance, CLASS_COLOURS[name])
            for name, chance in zip(CLASS_NAMES, chances.tolist(), strict=True)
        )
    )


def _why_no_class(scan: ScanResult) -> str:
    """Why a scan has no class; "" where it has one."""
    return "" if scan.deciding_slices else explain_no_class(scan)


def _summary(scan: ScanResult) -> Facts:
    rows: dict[str, Cell] = {}
    if reason := _why_no_class(scan):
        rows["class"] = reason
    if scan.members is not None:
        mean, interval = scan.members.mean(axis=0), spread(scan.members)
        for code, name in enumerate(CLASS_NAMES):
            low_high = (
                "" if interval is None else f" [{interval[0][code]:.1%}, {interval[1][code]:.1%}]"
            )
            rows[name] = f"{mean[code]:.1%}{low_high}"
    if scan.lesion_pixels is not None:
        volumes = measure_volumes(scan)
        rows["lesion"] = _format_lesion(volumes, pixels=scan.lesion_pixels)
        if volumes.share is not None:
            rows["share of lung"] = f"{volumes.share:.1%}"
    if warnings := _count_warnings(scan):
        rows["warnings"] = warnings
    return Facts(rows)


def _slider_chart(scan: ScanResult) -> tuple[str, list[dict[str, str]]]:
    """The chart over the slider: the lesion's area by slice, and a line for the chance of each class."""
    count = len(scan.slices)
    x = np.linspace(0, 1000, count) if count > 1 else np.array([500.0])
    pixels = np.array([slice_.lesion_pixels or 0 for slice_ in scan.slices], np.float64)
    area = _points(x, pixels / pixels.max()) if pixels.max() > 0 else ""
    is_classified = [slice_.members is not None for slice_ in scan.slices]
    members = [slice_.members for slice_ in scan.slices if slice_.members is not None]
    if not members:
        return area, []
    chances = np.stack([member.mean(axis=0) for member in members])
    return area, [
        {"points": _points(x[is_classified], chances[:, code]), "colour": CLASS_COLOURS[name]}
        for code, name in enumerate(CLASS_NAMES)
    ]


def _points(x: np.ndarray, shares: np.ndarray) -> str:
    return " ".join(f"{a:.1f},{100 - 100 * b:.1f}" for a, b in zip(x, shares, strict=True))


def _script_entry(slice_: SliceResult, scan: ScanResult) -> dict[str, Any]:
    """The texts and chances of a slice, for the page's script."""
    position = "" if slice_.position is None else f", {slice_.position:.1f} mm"
    volumes = measure_volumes(slice_)
    lesion = (
        ""
        if slice_.lesion_pixels is None
        else f" · lesion {_format_lesion(volumes, pixels=slice_.lesion_pixels)}"
    )
    return {
        "text": f"Slice {slice_.number} of {len(scan.slices)}: {slice_.name}{position}{lesion}",
        "warnings": "; ".join(f"{oddity}: {oddity.meaning}" for oddity in slice_.oddities),
        "chances": [] if slice_.members is None else slice_.members.mean(axis=0).round(5).tolist(),
    }


def _key_slice(scan: ScanResult) -> int:
    """The number of the slice shown first: the largest lesion in a chest, else the middle."""
    slices = scan.chests or scan.slices
    largest = max(slices, key=lambda slice_: slice_.lesion_pixels or 0)
    return largest.number if largest.lesion_pixels else slices[len(slices) // 2].number


def _format_lesion(volumes: Volumes, *, pixels: int | None) -> str:
    if pixels is None:
        return "–"
    return f"{pixels:,} pixels" if volumes.lesion_ml is None else f"{volumes.lesion_ml:.2f} ml"


def _count_warnings(scan: ScanResult) -> str:
    """The number of slices with each warning."""
    return "; ".join(
        f"{oddity}: {count} of {len(scan.slices)}" for oddity, count in scan.oddities.items()
    )
