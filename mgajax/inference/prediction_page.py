"""The pages: one a scan, with a slider over its slices, and an overview. No network is needed.

Pictures lie beside the pages and are loaded as they are looked at, so that a page of 600 slices
opens at once; the folder of results is moved or sent as a whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

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
    by_patient,
    measured,
    no_class,
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
"""What may lie over a slice, in the order in which it is laid."""

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
      scan: what was found.
      layers: the folders of pictures, see `scanning.layer_names`.
      notes: how the numbers are meant.
    """
    count = len(scan.slices)
    shown = np.unique(np.linspace(1, count, min(count, MOST_THUMBNAILS)).round().astype(int))
    area, lines = _strip(scan)
    return html_page(
        scan.name,
        [Section("", tuple(map(Note, notes)))],
        trail=[Link("all scans", "../index.html")],
        banner=RESEARCH_USE,
        template="scan.html",
        about=f"patient {scan.patient} · {count} slices · {scan.kind}",
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
        thumbnails=shown.tolist(),
        scan={"first": _key_slice(scan), "slices": [_entry(part, scan) for part in scan.slices]},
    )


def overview_page(
    scans: Sequence[ScanResult], *, problems: Sequence[Problem], notes: Sequence[str]
) -> str:
    """The page that links to the scans' own."""
    heads = ("scan", "", "class", "lesion", "share of lung", "warnings")
    trouble: tuple[Block, ...] = (Items(tuple(map(str, problems))),)
    several = [patient for patient in by_patient(scans) if len(patient.scans) > 1]
    patients = Table(("patient", "scans", "class, over all scans"), tuple(map(_patient, several)))
    sections = [
        Section("", (Table(heads, tuple(map(_row, scans))),)),
        *([Section("Patients with several scans", (patients,))] if several else []),
        *([Section("Input that could not be taken as it is", trouble)] if problems else []),
        Section("How to read this", (*notes, Facts(FILES))),
    ]
    return html_page("Predictions", sections, banner=RESEARCH_USE)


def _row(scan: ScanResult) -> Row:
    found = measured(scan)
    page = f"{scan.name}/index.html"
    picture = f"{scan.name}/slices/{_key_slice(scan):04}.jpg"
    about = f"{scan.patient}, {len(scan.slices)} slices, {scan.kind}"
    return (
        (Link(scan.name, page), Note(about)),
        Thumbnail(picture, alt=f"Slice {_key_slice(scan)} of {scan.name}", href=page),
        _bars(None if scan.members is None else scan.members.mean(axis=0)) or _unclassed(scan),
        _volume(found, pixels=scan.lesion_pixels),
        "–" if found.share is None else f"{found.share:.1%}",
        Caution(_warned(scan)),
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
    """A bar a class; nothing without a classifier."""
    if chances is None:
        return None
    return Bars(
        tuple(
            Bar(name, chance, CLASS_COLOURS[name])
            for name, chance in zip(CLASS_NAMES, chances.tolist(), strict=True)
        )
    )


def _unclassed(scan: ScanResult) -> str:
    """Why a scan has no class; nothing without a classifier, or where it has one."""
    return "" if scan.counted else no_class(scan)


def _summary(scan: ScanResult) -> Facts:
    rows: dict[str, Cell] = {}
    if told := _unclassed(scan):
        rows["class"] = told
    if scan.members is not None:
        mean, interval = scan.members.mean(axis=0), spread(scan.members)
        for code, name in enumerate(CLASS_NAMES):
            low_high = (
                "" if interval is None else f" [{interval[0][code]:.1%}, {interval[1][code]:.1%}]"
            )
            rows[name] = f"{mean[code]:.1%}{low_high}"
    if scan.lesion_pixels is not None:
        found = measured(scan)
        rows["lesion"] = _volume(found, pixels=scan.lesion_pixels)
        if found.share is not None:
            rows["share of lung"] = f"{found.share:.1%}"
    if warned := _warned(scan):
        rows["warnings"] = warned
    return Facts(rows)


def _strip(scan: ScanResult) -> tuple[str, list[dict[str, str]]]:
    """Over the slider: the lesion's area by slice, and a line for the chance of each class."""
    count = len(scan.slices)
    x = np.linspace(0, 1000, count) if count > 1 else np.array([500.0])
    known = np.array([part.lesion_pixels or 0 for part in scan.slices], np.float64)
    area = _points(x, known / known.max()) if known.max() > 0 else ""
    said = [part.members is not None for part in scan.slices]
    members = [part.members for part in scan.slices if part.members is not None]
    if not members:
        return area, []
    chances = np.stack([member.mean(axis=0) for member in members])
    return area, [
        {"points": _points(x[said], chances[:, code]), "colour": CLASS_COLOURS[name]}
        for code, name in enumerate(CLASS_NAMES)
    ]


def _points(x: np.ndarray, shares: np.ndarray) -> str:
    return " ".join(f"{a:.1f},{100 - 100 * b:.1f}" for a, b in zip(x, shares, strict=True))


def _entry(one: SliceResult, scan: ScanResult) -> dict[str, Any]:
    """What the script shows of a slice."""
    place = "" if one.position is None else f", {one.position:.1f} mm"
    found = measured(one)
    lesion = (
        "" if one.lesion_pixels is None else f" · lesion {_volume(found, pixels=one.lesion_pixels)}"
    )
    return {
        "text": f"Slice {one.number} of {len(scan.slices)}: {one.name}{place}{lesion}",
        "warnings": "; ".join(f"{oddity}: {oddity.meaning}" for oddity in one.oddities),
        "chances": [] if one.members is None else one.members.mean(axis=0).round(5).tolist(),
    }


def _key_slice(scan: ScanResult) -> int:
    """Where to begin: the largest lesion in a chest, else the middle."""
    parts = scan.chests or scan.slices
    largest = max(parts, key=lambda one: one.lesion_pixels or 0)
    return largest.number if largest.lesion_pixels else parts[len(parts) // 2].number


def _volume(found: Volumes, *, pixels: int | None) -> str:
    if pixels is None:
        return "–"
    return f"{pixels:,} pixels" if found.lesion_ml is None else f"{found.lesion_ml:.2f} ml"


def _warned(scan: ScanResult) -> str:
    """How many slices have which warning."""
    return "; ".join(
        f"{oddity}: {count} of {len(scan.slices)}" for oddity, count in scan.oddities.items()
    )
