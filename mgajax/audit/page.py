"""An audit as one HTML file, without scripts or files of others: the pairs side by side."""

import io
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image

from mgajax import __version__
from mgajax.audit.association import Association
from mgajax.audit.audit_result import AuditResult, Pair, ReportedSlice
from mgajax.audit.background_shortcut import Shortcut
from mgajax.errors import quantity
from mgajax.reporting.figures.style import VALIDATION, class_colour
from mgajax.reporting.html.blocks import (
    Answer,
    Block,
    Card,
    Cell,
    Gallery,
    Note,
    Row,
    Section,
    ShareBar,
    Table,
    Tag,
    Thumbnail,
    Tiles,
)
from mgajax.reporting.html.page import html_page, png_url
from mgajax.reporting.tables.number import Number
from mgajax.schema import CLASS_NAMES

MOST_PAIRS = 60
"""Pairs shown as pictures; the JSON file lists all."""

LONGER_SIDE = 168
"""Pixels of a shown thumbnail."""

WITHIN = "Of one person, in one class: no leak by themselves, but these slices count twice."

SHARED = "test, but train the segmenter"


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
      shapes: height and width of each slice.
    """
    galleries = partial(_pairs, picture=lambda row: _picture(thumbnails[row], shapes[row]))
    across = sorted(result.pairs, key=lambda pair: (not pair.leaks, not pair.is_conflict))
    copies = galleries(result.copies_within)
    parts: dict[str, Sequence[Block]] = {
        "Patients in several splits": _split_patients(result),
        "Test patients who train the segmenter": _shared_patients(result),
        "Same picture, two people or two classes": galleries(across),
        "Ids that look like one person": _identities(result),
        "Folder contradicts the table": _list_names(result.contradicted_labels),
        "Copies within a patient": [WITHIN, *copies] if copies else [],
        "People with slices in several classes": _list_names(result.multi_class_patients),
        "Damage and oddities": _findings(result),
        "Does the archive tell the class?": _association(result.association),
        "Does the background tell the class?": _shortcut(result.shortcut),
        "How this was found": [_method(result)],
    }
    sections = [Section(heading, tuple(blocks)) for heading, blocks in parts.items() if blocks]
    return html_page(f"Audit of {result.directory}", [Section("", _verdict(result)), *sections])


def _verdict(result: AuditResult) -> tuple[Block, ...]:
    split = f"split: {result.split}" if result.split else "no split is known"
    counts = {
        "patients in several splits": len(result.split_patients),
        SHARED: len(result.shared_patients),
        "pairs that leak": len(result.leaking_pairs),
        "label conflicts": result.conflicts,
        "copies across patients": len(result.pairs),
        "copies within a patient": len(result.copies_within),
        "damaged or missing": result.damaged,
    }
    if not result.trained_on:
        del counts[SHARED]
    fatal = ("patients in several splits", SHARED, "pairs that leak", "label conflicts")
    return (
        Answer("clean" if result.is_clean else "not clean", result.is_clean),
        f"{result.kind}: {quantity(result.slices, 'slice')} of "
        f"{quantity(result.patients, 'patient')}; {split}.",
        Tiles(counts, frozenset(name for name in fatal if counts.get(name))),
    )


def _split_patients(result: AuditResult) -> list[Block]:
    rows = [
        (person.patient, ", ".join(f"{split} {count:,}" for split, count in person.slices.items()))
        for person in result.split_patients
    ]
    return _table(("patient", "slices"), rows)


def _shared_patients(result: AuditResult) -> list[Block]:
    rows = [
        (shared.patient, Number(shared.tested, digits=0), Number(shared.trained, digits=0))
        for shared in result.shared_patients
    ]
    return _table(("patient", "test slices here", f"slices in {result.trained_on}"), rows)


def _identities(result: AuditResult) -> list[Block]:
    rows = [
        (*pair.patients, Number(pair.pairs, digits=0), Number(pair.correlation))
        for pair in result.identities
    ]
    return _table(("id", "other id", "pairs", "mean correlation"), rows)


def _findings(result: AuditResult) -> list[Block]:
    rows = [
        (
            finding.kind.meaning,
            f"{finding.count:,}" + (" (damage)" if finding.kind.is_damage else ""),
            ", ".join(finding.examples),
        )
        for finding in result.findings
    ]
    return _table(("what", "count", "examples"), rows)


def _table(heads: tuple[str, ...], rows: Sequence[Row]) -> list[Block]:
    """Nothing where there is no row."""
    return [Table(heads, tuple(rows))] if rows else []


def _list_names(names: Sequence[str]) -> list[Block]:
    if not names:
        return []
    more = f" and {len(names) - MOST_PAIRS:,} more" if len(names) > MOST_PAIRS else ""
    return [f"{', '.join(names[:MOST_PAIRS])}{more}"]


def _pairs(pairs: Sequence[Pair], *, picture: Callable[[int], str]) -> list[Block]:
    if not pairs:
        return []
    cards = tuple(_card(pair, picture=picture) for pair in pairs[:MOST_PAIRS])
    hidden = len(pairs) - MOST_PAIRS
    notes = [f"{hidden:,} more are listed in the JSON file."] if hidden > 0 else []
    return [Gallery(cards), *notes]


def _card(pair: Pair, *, picture: Callable[[int], str]) -> Card:
    marks = {"leaks": pair.leaks, "two classes": pair.is_conflict}
    return Card(
        head=(
            f"{pair.difference}; correlation {pair.correlation:.3f}",
            *(Tag(mark, VALIDATION) for mark, holds in marks.items() if holds),
        ),
        sides=tuple(_side(part, picture=picture) for part in (pair.first, pair.second)),
    )


def _side(part: ReportedSlice, *, picture: Callable[[int], str]) -> tuple[Cell, ...]:
    label = Tag(part.label, class_colour(part.label, CLASS_NAMES.index(part.label)))
    return (
        Thumbnail(picture(part.row), alt=part.file_name),
        part.file_name,
        part.patient,
        label,
        *([Note(part.split)] if part.split else []),
    )


def _picture(thumbnail: UInt8[np.ndarray, "t t"], shape: Int32[np.ndarray, "2"]) -> str:
    """A thumbnail in its slice's proportions, as a data URL."""
    height, width = (round(LONGER_SIDE * side / shape.max()) for side in shape.tolist())
    image = Image.fromarray(thumbnail).resize((max(1, width), max(1, height)))
    file = io.BytesIO()
    image.save(file, "PNG")
    return png_url(file.getvalue())


def _association(association: Association) -> list[Block]:
    """Cramér's V and the counts behind it."""
    rows = [
        (source, *(_count(*pair) for pair in zip(slices, patients, strict=True)))
        for source, slices, patients in zip(
            association.sources, association.slices, association.patients, strict=True
        )
    ]
    explanation = (
        f"Cramér’s V of source and class, corrected for bias: {Number(association.v_slices)} over "
        f"slices, {Number(association.v_patients)} over patients (0: independent, 1: the source "
        "decides the class). Cells: slices / patients."
    )
    right = frozenset(range(1, len(CLASS_NAMES) + 1))
    return [explanation, Table(("source", *CLASS_NAMES), tuple(rows), right=right)]


def _count(slices: int, patients: int) -> str:
    return f"{slices:,} / {patients:,}" if slices else "–"


def _shortcut(shortcut: Shortcut) -> list[Block]:
    """What a small model reaches without the body, with intervals, against chance."""
    if shortcut.background is None:
        return [f"Not checked: {shortcut.left_out}."]
    accuracies = {"all of the background": shortcut.background, **shortcut.families}
    if shortcut.source is not None:
        accuracies["for comparison: the source’s name"] = shortcut.source
    rows = tuple(
        (
            name,
            ShareBar(score.accuracy, score.low, score.high, mark=shortcut.chance),
            Number(score.accuracy, score.low, score.high),
        )
        for name, score in accuracies.items()
    )
    exclusions = f" Left out: {shortcut.left_out}." if shortcut.left_out else ""
    verdict = (
        "The background tells the class better than chance: a model can be right for the wrong "
        "reason. Remove the background (the default preparation) and test on unseen sources."
        if shortcut.is_above_chance
        else "The background does not tell the class better than chance."
    )
    explanation = (
        f"{verdict} Balanced accuracy of a small random forest that sees no pixel of the body, over "
        f"{', '.join(shortcut.classes)}; cross-validated over whole patients, 95 % intervals over "
        f"patients; dashed: chance, {shortcut.chance:.3f}.{exclusions}"
    )
    return [explanation, Table(("seen", "balanced accuracy", "value"), rows)]


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
