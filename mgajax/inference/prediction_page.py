"""The pages: one a scan, with a slider over its slices, and an overview. No network is needed.

Pictures lie beside the pages and are loaded as they are looked at, so that a page of 600 slices
opens at once; the folder of results is moved or sent as a whole.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources

import numpy as np
from jaxtyping import Float

from mgajax import __version__
from mgajax.inference.predictor import spread
from mgajax.inference.problems import RESEARCH_USE, Problem
from mgajax.inference.results import Measured, ScanResult, SliceResult, measured
from mgajax.reporting.figures.style import CLASS_COLOURS, FAINT, GRID, INK, SURPLUS, VALIDATION
from mgajax.schema import CLASS_NAMES

MOST_THUMBNAILS = 24

LAYERS: Mapping[str, str] = {
    "lesion": "lesion (predicted)",
    "attention": "attention of the network",
    "attribution": "attribution: red for the slice’s class, blue against",
}
"""What may lie over a slice, in the order in which it is laid."""

SHOWN_AT_FIRST = "lesion"

STYLE = f"""
body{{font:14px/1.45 "DejaVu Sans",Verdana,sans-serif;color:{INK};background:#fff;margin:0}}
main{{max-width:1080px;margin:0 auto;padding:0 24px 24px}} a{{color:{CLASS_COLOURS["CAP"]}}}
h1{{font-size:20px;overflow-wrap:anywhere;margin:18px 0 4px}} h2{{font-size:16px;margin:28px 0 8px}}
.use{{background:{VALIDATION};color:#fff;padding:6px 24px;font-weight:bold}}
.note{{color:{FAINT};font-size:12px}} .warn{{color:{VALIDATION}}}
.viewer{{display:grid;grid-template-columns:minmax(0,512px) 1fr;gap:24px;margin-top:14px}}
@media(max-width:760px){{.viewer{{grid-template-columns:1fr}}}}
.stage{{position:relative;background:#000;border-radius:4px;overflow:hidden;min-height:120px}}
.stage img{{display:block;width:100%}} .stage img+img{{position:absolute;inset:0;height:100%}}
.stage img[hidden]{{display:none}}
#slider{{width:100%;margin:10px 0 0;accent-color:{INK}}}
.strip{{width:100%;height:90px;display:block;background:#fafafa;border-bottom:1px solid {GRID}}}
.switches label{{display:block;margin:3px 0}} #now{{overflow-wrap:anywhere;min-height:3em}}
#warnings{{color:{VALIDATION};min-height:4.5em;margin:10px 0 0}} .switches{{margin-top:14px}}
.meter{{display:grid;grid-template-columns:84px 1fr 62px;gap:8px;align-items:center;margin:3px 0}}
.meter span{{background:{GRID};height:10px;border-radius:5px;overflow:hidden}}
.meter i{{display:block;height:100%}} .meter b{{text-align:right;font-weight:normal}}
.thumbs{{display:grid;grid-template-columns:repeat(auto-fill,minmax(76px,1fr));gap:6px}}
.thumbs button{{border:2px solid transparent;border-radius:4px;padding:0;background:none;
cursor:pointer;font-size:11px;color:{FAINT}}}
.thumbs img{{width:100%;display:block;background:#000}} .thumbs .chosen{{border-color:{VALIDATION}}}
table{{border-collapse:collapse;width:100%}}
th,td{{text-align:left;padding:6px 18px 6px 0;border-bottom:1px solid {GRID};vertical-align:top}}
th{{color:{FAINT};font-weight:normal}} td img{{width:72px;display:block;background:#000}}
td{{overflow-wrap:anywhere}}
"""


def scan_page(scan: ScanResult, *, layers: Sequence[str], notes: Sequence[str]) -> str:
    """The page of one scan, to lie in its folder.

    Args:
      scan: what was found.
      layers: the folders of pictures, see `scanning.layer_names`.
      notes: how the numbers are meant.
    """
    overlays = [name for name in LAYERS if name in layers]
    images = "".join(
        f'<img data-layer="{name}" alt=""{"" if name in ("slices", SHOWN_AT_FIRST) else " hidden"}>'
        for name in ("slices", *overlays)
    )
    switches = "".join(
        f'<label><input type="checkbox" value="{name}"{" checked" if name == SHOWN_AT_FIRST else ""}> '
        f"{LAYERS[name]}</label>"
        for name in overlays
    )
    bars = None if scan.members is None else np.zeros(len(CLASS_NAMES))  # the script fills them
    right = (
        f'<p id="now"></p>{_meters(bars)}<div class="switches">{switches}</div><p id="warnings"></p>'
        f"<h2>The whole scan</h2>{_summary(scan)}"
    )
    count = len(scan.slices)
    left = (
        f'<div class="stage">{images}</div><input id="slider" type="range" min="1" max="{count}" '
        f'value="1" aria-label="slice">{_strip(scan)}'
    )
    body = (
        f'<p><a href="../index.html">all scans</a></p><h1>{escape(scan.name)}</h1>'
        f'<p class="note">patient {escape(scan.patient)} · {count} slices · {scan.kind}</p>'
        f'<div class="viewer"><div>{left}</div><div>{right}</div></div>'
        f'<h2>Slices</h2><div class="thumbs">{_thumbnails(scan)}</div>'
        + "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    )
    script = resources.files("mgajax.inference").joinpath("viewer.js").read_text("utf-8")
    data = json.dumps({"first": _key_slice(scan), "slices": [_entry(s, scan) for s in scan.slices]})
    safe = data.replace("<", "\\u003c")
    return _page(scan.name, body + f"<script>const SCAN={safe};\n{script}</script>")


def overview_page(
    scans: Sequence[ScanResult], *, problems: Sequence[Problem], notes: Sequence[str]
) -> str:
    """The page that links to the scans' own."""
    heads = ["", "scan", "class", "lesion", "share of lung", "warnings"]
    rows = "".join(_row(scan) for scan in scans)
    listed = "".join(f"<li>{escape(str(problem))}</li>" for problem in problems)
    trouble = (
        f"<h2>Input that could not be taken as it is</h2><ul>{listed}</ul>" if problems else ""
    )
    body = (
        f"<h1>Predictions</h1><table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{rows}"
        f"</table>{trouble}<h2>How to read this</h2>"
        + "".join(f"<p>{escape(note)}</p>" for note in notes)
        + '<p>Tables: <a href="slices.csv">slices.csv</a>, <a href="patients.csv">patients.csv</a>; '
        'settings: <a href="predict.json">predict.json</a>.</p>'
    )
    return _page("Predictions", body)


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f'<body><div class="use">{RESEARCH_USE}</div><main>{body}'
        f'<p class="note">mgajax {__version__} · {RESEARCH_USE}</p></main></body></html>\n'
    )


def _row(scan: ScanResult) -> str:
    found = measured(scan, voxel_ml=scan.voxel_ml)
    link = f"{escape(scan.name)}/index.html"
    cells = [
        f'<a href="{link}"><img alt="" src="{escape(scan.name)}/slices/{_key_slice(scan):04}.jpg"></a>',
        f'<a href="{link}">{escape(scan.name)}</a><div class="note">{escape(scan.patient)}, '
        f"{len(scan.slices)} slices, {scan.kind}</div>",
        _meters(None if scan.members is None else scan.members.mean(axis=0)),
        _volume(found, pixels=scan.lesion_pixels),
        "–" if found.share is None else f"{found.share:.1%}",
        f'<span class="warn">{escape(_warned(scan))}</span>',
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _meters(chances: Float[np.ndarray, "k"] | None) -> str:
    """A bar a class; nothing without a classifier."""
    if chances is None:
        return ""
    return "".join(
        f'<div class="meter">{name}<span><i style="width:{chance:.1%};'
        f'background:{CLASS_COLOURS[name]}"></i></span><b>{chance:.1%}</b></div>'
        for name, chance in zip(CLASS_NAMES, chances, strict=True)
    )


def _summary(scan: ScanResult) -> str:
    rows = []
    if scan.members is not None:
        mean, interval = scan.members.mean(axis=0), spread(scan.members)
        for code, name in enumerate(CLASS_NAMES):
            low_high = (
                "" if interval is None else f" [{interval[0][code]:.1%}, {interval[1][code]:.1%}]"
            )
            rows.append((name, f"{mean[code]:.1%}{low_high}"))
    if scan.lesion_pixels is not None:
        found = measured(scan, voxel_ml=scan.voxel_ml)
        rows.append(("lesion", _volume(found, pixels=scan.lesion_pixels)))
        if found.share is not None:
            rows.append(("share of lung", f"{found.share:.1%}"))
    if warned := _warned(scan):
        rows.append(("warnings", warned))
    cells = "".join(f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{cells}</table>"


def _strip(scan: ScanResult) -> str:
    """Over the slider: the chance of each class but Normal, and the lesion's area, by slice."""
    count = len(scan.slices)
    x = np.linspace(0, 1000, count) if count > 1 else np.array([500.0])
    lines = []
    areas = [one.lesion_pixels for one in scan.slices]
    known = np.array([0 if area is None else area for area in areas], np.float64)
    if known.max() > 0:
        points = _points(x, known / known.max())
        lines.append(f'<polygon points="0,100 {points} 1000,100" fill="{SURPLUS}" opacity=".22"/>')
    members = [one.members for one in scan.slices if one.members is not None]
    if members:
        chances = np.stack([one.mean(axis=0) for one in members])
        lines += [
            f'<polyline points="{_points(x, chances[:, code])}" fill="none" '
            f'stroke="{CLASS_COLOURS[name]}" stroke-width="2" vector-effect="non-scaling-stroke"/>'
            for code, name in enumerate(CLASS_NAMES)
        ]
    mark = f'<line id="marker" y1="0" y2="100" stroke="{INK}" vector-effect="non-scaling-stroke"/>'
    legend = "Lines: chance of each class by slice; shaded: area of lesion."
    return (
        f'<svg class="strip" viewBox="0 -2 1000 104" preserveAspectRatio="none">{"".join(lines)}'
        f'{mark}</svg><p class="note">{legend} Wheel or arrow keys move, too.</p>'
    )


def _points(x: np.ndarray, shares: np.ndarray) -> str:
    return " ".join(f"{a:.1f},{100 - 100 * b:.1f}" for a, b in zip(x, shares, strict=True))


def _thumbnails(scan: ScanResult) -> str:
    count = len(scan.slices)
    chosen = np.unique(np.linspace(1, count, min(count, MOST_THUMBNAILS)).round().astype(int))
    return "".join(
        f'<button data-number="{number}"><img alt="slice {number}" loading="lazy" '
        f'src="slices/{number:04}.jpg">{number}</button>'
        for number in chosen.tolist()
    )


def _entry(one: SliceResult, scan: ScanResult) -> dict[str, object]:
    """What the script shows of a slice."""
    place = "" if one.position is None else f", {one.position:.1f} mm"
    found = measured(one, voxel_ml=scan.voxel_ml)
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
    largest = max(scan.counted, key=lambda one: one.lesion_pixels or 0)
    return largest.number if largest.lesion_pixels else scan.counted[len(scan.counted) // 2].number


def _volume(found: Measured, *, pixels: int | None) -> str:
    if pixels is None:
        return "–"
    return f"{pixels:,} pixels" if found.lesion_ml is None else f"{found.lesion_ml:.2f} ml"


def _warned(scan: ScanResult) -> str:
    """How many slices have which warning."""
    return "; ".join(
        f"{oddity}: {count} of {len(scan.slices)}" for oddity, count in scan.oddities.items()
    )
