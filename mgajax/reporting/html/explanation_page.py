"""Explanations as one HTML file: no scripts, nothing from outside, pictures inside."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mgajax import __version__
from mgajax.reporting.figures.style import FAINT, GRID, INK, with_interval

STYLE = f"""
body{{font:14px/1.45 "DejaVu Sans",Verdana,sans-serif;color:{INK};margin:0}}
main{{max-width:1180px;margin:0 auto;padding:24px}}
h1{{font-size:20px}} h2{{font-size:16px;margin:32px 0 8px}}
img{{max-width:100%}} table{{border-collapse:collapse;width:100%}}
th,td{{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid {GRID}}}
th{{color:{FAINT};font-weight:normal}}
"""
NOTE = (
    "Attributions sum to the difference between the logit of the slice and that of the baseline, up "
    "to the gap below. Scores are means over the slices with an annotated lesion, with 95 % "
    "patient-bootstrap intervals. Research use only: not a medical device."
)


def explanation_page(
    pictures: Sequence[Path],
    *,
    title: str,
    scores: Sequence[tuple[Sequence[str], Sequence[Mapping[str, Any]]]],
    score_names: Sequence[str],
    methods: Sequence[Sequence[str]],
) -> str:
    """The page.

    Args:
      pictures: PNG files, in their order.
      title: the heading.
      scores: rows of (model, method, reading) and for each of `score_names` `mean`, `low`, `high`.
      score_names: columns.
      methods: rows of model, method, time a slice, gap.
    """
    rows = [
        [*key, *(with_interval(one["mean"], dict(one)) for one in cells)] for key, cells in scores
    ]
    heads = ["model", "method", "reading", *(name.replace("_", " ") for name in score_names)]
    parts = [
        f"<h1>{escape(title)}</h1><p>{NOTE}</p>",
        *(f'<p><img alt="{escape(path.stem)}" src="{_embedded(path)}"></p>' for path in pictures),
        f"<h2>Do the maps find the lesions?</h2>{_table(heads, rows)}",
        "<h2>Time and completeness</h2>"
        + _table(["model", "method", "time a slice", "largest gap / largest difference"], methods),
        f"<p>mgajax {__version__}</p>",
    ]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    return f"{head}<style>{STYLE}</style><main>{''.join(parts)}</main></html>"


def _embedded(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in cells) + "</tr>"

    return f"<table>{line(heads, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
