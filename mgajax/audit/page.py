"""An audit as one HTML file: no scripts, nothing from outside, the found pairs side by side."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image

from mgajax import __version__
from mgajax.audit.page_parts import STYLE, association_part, shortcut_part, table
from mgajax.audit.result import AuditResult, Pair, Slice
from mgajax.reporting.figures.style import class_colour
from mgajax.schema import CLASS_NAMES

MOST_PAIRS = 60
"""Pairs shown as pictures; the JSON file lists all."""

LONGER_SIDE = 168
"""Pixels of a shown thumbnail."""


def audit_page(
    result: AuditResult,
    *,
    thumbnails: UInt8[np.ndarray, "n t t"],
    shapes: Int32[np.ndarray, "n 2"],
) -> str:
    """The whole page.

    Args:
      result: what was found.
      thumbnails: of all slices, squeezed into squares.
      shapes: height and width that they had.
    """

    def pictures(pairs: Sequence[Pair]) -> str:
        return _pairs(pairs, thumbnails=thumbnails, shapes=shapes)

    between = sorted(result.pairs, key=lambda pair: (not pair.leaks, not pair.is_conflict))
    parts = [
        _verdict(result),
        _part("Patients in several splits", _split_patients(result)),
        _part("Same picture, two people or two classes", pictures(between)),
        _part("Ids that look like one person", _identities(result)),
        _part("Folder contradicts the table", _listed(result.torn_labels)),
        _part("Copies within a patient", pictures(result.own_copies), note=OWN),
        _part("People with slices in several classes", _listed(result.two_classes)),
        _part("Damage and oddities", _findings(result)),
        _part("Does the archive tell the class?", association_part(result.association)),
        _part("Does the background tell the class?", shortcut_part(result.shortcut)),
        _part("How this was found", f"<p>{escape(_method(result))}</p>"),
    ]
    title = f"Audit of {escape(result.directory)}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f"<body><main><h1>{title}</h1>\n"
        + "\n".join(filter(None, parts))
        + "\n</main></body></html>\n"
    )


OWN = "The same person's, in the same class: no leak of their own, but these slices count twice."


def _verdict(result: AuditResult) -> str:
    word, kind = ("clean", "clean") if result.is_clean else ("not clean", "leaks")
    split = f"split: {escape(result.split)}" if result.split else "no split is known"
    numbers = {
        "patients in several splits": len(result.split_patients),
        "pairs that leak": len(result.leaking_pairs),
        "label conflicts": result.conflicts,
        "copies across patients": len(result.pairs),
        "copies within a patient": len(result.own_copies),
        "damaged or missing": result.damaged,
    }
    fatal = {"patients in several splits", "pairs that leak", "label conflicts"}
    tiles = "".join(
        f'<div class="tile{" bad" if name in fatal and count else ""}"><b>{count:,}</b>{name}</div>'
        for name, count in numbers.items()
    )
    return (
        f'<p class="verdict {kind}">{word}</p><p>{escape(result.kind)}: {result.slices:,} slices of '
        f'{result.patients:,} patients; {split}.</p><div class="tiles">{tiles}</div>'
    )


def _part(title: str, content: str, *, note: str = "") -> str:
    """A section; nothing where there is no content."""
    if not content:
        return ""
    words = f"<p>{escape(note)}</p>" if note else ""
    return f"<section><h2>{escape(title)}</h2>{words}{content}</section>"


def _split_patients(result: AuditResult) -> str:
    rows = [
        [one.patient, ", ".join(f"{split} {count:,}" for split, count in one.slices.items())]
        for one in result.split_patients
    ]
    return table(["patient", "slices"], rows) if rows else ""


def _identities(result: AuditResult) -> str:
    rows = [
        [*one.patients, f"{one.pairs:,}", f"{one.correlation:.3f}"] for one in result.identities
    ]
    return table(["id", "other id", "pairs", "mean correlation"], rows) if rows else ""


def _findings(result: AuditResult) -> str:
    rows = [
        [
            finding.kind.meaning,
            f"{finding.count:,}" + (" (damage)" if finding.kind.is_damage else ""),
            ", ".join(finding.examples),
        ]
        for finding in result.findings
    ]
    return table(["what", "count", "examples"], rows) if rows else ""


def _listed(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - MOST_PAIRS:,} more" if len(names) > MOST_PAIRS else ""
    return f"<p>{', '.join(escape(name) for name in names[:MOST_PAIRS])}{more}</p>"


def _pairs(
    pairs: Sequence[Pair],
    *,
    thumbnails: UInt8[np.ndarray, "n t t"],
    shapes: Int32[np.ndarray, "n 2"],
) -> str:
    if not pairs:
        return ""
    figures = "".join(
        _figure(
            pair, (_picture(thumbnails[s.row], shapes[s.row]) for s in (pair.first, pair.second))
        )
        for pair in pairs[:MOST_PAIRS]
    )
    more = len(pairs) - MOST_PAIRS
    rest = f"<p>{more:,} more are listed in the JSON file.</p>" if more > 0 else ""
    return f'<div class="pairs">{figures}</div>{rest}'


def _figure(pair: Pair, pictures: Iterable[str]) -> str:
    marks = ["leaks"] if pair.leaks else []
    marks += ["two classes"] if pair.is_conflict else []
    tags = "".join(f'<span class="tag">{mark}</span>' for mark in marks)
    sides = "".join(
        f'<div class="side"><img alt="" src="{picture}">{_caption(one)}</div>'
        for one, picture in zip((pair.first, pair.second), pictures, strict=True)
    )
    head = f"{escape(pair.words)}; correlation {pair.correlation:.3f}"
    return f'<figure><figcaption>{head} {tags}</figcaption><div class="row">{sides}</div></figure>'


def _caption(one: Slice) -> str:
    colour = class_colour(one.label, CLASS_NAMES.index(one.label))
    split = f" · {one.split}" if one.split else ""
    return (
        f'<div class="name">{escape(one.file_name)}</div><div>{escape(one.patient)}</div>'
        f'<div><b style="color:{colour}">{escape(one.label)}</b>{split}</div>'
    )


def _picture(thumbnail: UInt8[np.ndarray, "t t"], shape: Int32[np.ndarray, "2"]) -> str:
    """A thumbnail in its slice's proportions, as a data URL."""
    height, width = (round(LONGER_SIDE * side / shape.max()) for side in shape.tolist())
    image = Image.fromarray(thumbnail).resize((max(1, width), max(1, height)))
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _method(result: AuditResult) -> str:
    limits = result.thresholds
    return (
        "Equal pixels by a hash of the decoded picture. Near-duplicates by perceptual hashes of the "
        "frame, the body and the lungs in all eight orientations, and with up to "
        f"{limits['crop_searched']:.0%} cut off each side of the body: pairs of two people that "
        f"differ in at most {limits['hash_bits']:.0f} of 256 bits are aligned, and count from a "
        f"correlation of local contrast of {limits['correlation']:.2f}. One person's slices are "
        "only searched for equal pixels, since neighbours are alike by nature. Where no split is "
        "known, a picture under two people counts as a leak: a split by patient may part them. "
        f"mgajax {__version__}."
    )
