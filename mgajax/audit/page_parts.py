"""The look of the audit's page, its tables, and its two parts on what gives the class away."""

from collections.abc import Sequence
from html import escape

from mgajax.audit.association import Association
from mgajax.audit.shortcut import BalancedAccuracy, Shortcut
from mgajax.reporting.figures.style import CLASS_COLOURS, FAINT, GRID, INK, VALIDATION
from mgajax.schema import CLASS_NAMES

BAD, GOOD = VALIDATION, CLASS_COLOURS["Normal"]
BAR = CLASS_COLOURS["CAP"]

STYLE = f"""
body{{font:14px/1.45 "DejaVu Sans",Verdana,sans-serif;color:{INK};background:#fff;margin:0}}
main{{max-width:1080px;margin:0 auto;padding:24px}}
h1{{font-size:20px;overflow-wrap:anywhere}} h2{{font-size:16px;margin:32px 0 8px}}
.verdict{{display:inline-block;padding:4px 14px;border-radius:4px;color:#fff;font-weight:bold}}
.clean{{background:{GOOD}}} .leaks{{background:{BAD}}}
.tiles{{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px}}
.tile{{border:1px solid {GRID};border-radius:4px;padding:10px;font-size:12px}}
.tile b{{display:block;font-size:22px}} .tile.bad{{border-color:{BAD}}} .tile.bad b{{color:{BAD}}}
table{{border-collapse:collapse;width:100%}}
th,td{{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid {GRID};
vertical-align:top;overflow-wrap:anywhere}}
th{{color:{FAINT};font-weight:normal}} td.number,th.number{{text-align:right}}
.pairs{{display:grid;grid-template-columns:repeat(auto-fill,minmax(380px,1fr));gap:16px}}
figure{{margin:0;border:1px solid {GRID};border-radius:4px;padding:10px;font-size:12px}}
figcaption{{margin-bottom:8px}} .row{{display:flex;gap:12px}} .side{{flex:1;min-width:0}}
.side img{{display:block;max-width:100%;margin-bottom:4px;background:#000}}
.name{{overflow-wrap:anywhere}}
.tag{{background:{BAD};color:#fff;border-radius:3px;padding:1px 6px;margin-left:4px}}
.scale{{position:relative;height:18px;background:#f4f4f4;min-width:260px}}
.scale i{{position:absolute;top:7px;height:4px;background:{BAR}}}
.scale u{{position:absolute;top:3px;width:4px;height:12px;margin-left:-2px;background:{INK}}}
.scale s{{position:absolute;top:0;bottom:0;border-left:2px dashed {FAINT}}}
"""


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: frozenset[int] = frozenset()
) -> str:
    """A table of texts; the columns in `numbers` are set to the right."""

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=number' if at in numbers else ''}>{escape(text)}</{tag}>"
            for at, text in enumerate(row)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{cells(heads, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def association_part(association: Association) -> str:
    """Cramér's V and the counts behind it."""
    by_slice, by_patient = association.v_slices, association.v_patients
    rows = [
        [source, *(_count(*pair) for pair in zip(slices, patients, strict=True))]
        for source, slices, patients in zip(
            association.sources, association.slices, association.patients, strict=True
        )
    ]
    words = (
        f"Cramér’s V of source and class, corrected for bias: {_number(by_slice)} over slices, "
        f"{_number(by_patient)} over patients (0: independent, 1: the source decides the class). "
        "Cells: slices / patients."
    )
    numbers = frozenset(range(1, len(CLASS_NAMES) + 1))
    return f"<p>{words}</p>" + table(["source", *CLASS_NAMES], rows, numbers=numbers)


def shortcut_part(shortcut: Shortcut) -> str:
    """What a small model reaches without the body, with intervals, against chance."""
    if shortcut.background is None:
        return f"<p>Not checked: {escape(shortcut.left_out)}.</p>"
    told = {"all of the background": shortcut.background, **shortcut.families}
    if shortcut.source is not None:
        told["for comparison: the source’s name"] = shortcut.source
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{_scale(one, shortcut.chance)}</td>"
        f"<td class=number>{one.accuracy:.3f} [{one.low:.3f}, {one.high:.3f}]</td></tr>"
        for name, one in told.items()
    )
    left = f" Left out: {escape(shortcut.left_out)}." if shortcut.left_out else ""
    verdict = (
        "The background tells the class better than chance: a model can be right for the wrong "
        "reason. Remove the background (the default preparation) and test on unseen sources."
        if shortcut.is_above_chance
        else "The background does not tell the class better than chance."
    )
    return (
        f"<p>{verdict} Balanced accuracy of a small random forest that sees no pixel of the body, "
        f"over {', '.join(shortcut.classes)}; cross-validated over whole patients, 95 % intervals "
        f"over patients; dashed: chance, {shortcut.chance:.3f}.{left}</p><table><tbody>{rows}"
        "</tbody></table>"
    )


def _scale(told: BalancedAccuracy, chance: float) -> str:
    return (
        f'<div class="scale"><s style="left:{chance:.1%}"></s>'
        f'<i style="left:{told.low:.1%};width:{told.high - told.low:.1%}"></i>'
        f'<u style="left:{told.accuracy:.1%}"></u></div>'
    )


def _count(slices: int, patients: int) -> str:
    return f"{slices:,} / {patients:,}" if slices else "–"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
