"""An audit on one screen."""

from mgajax.audit.audit_result import AuditResult, Pair
from mgajax.audit.background_shortcut import BalancedAccuracy
from mgajax.errors import quantity

EXAMPLES = 3
"""Findings of a kind that are named; the files list all."""


def summary(result: AuditResult) -> str:
    """The main findings as plain text, no trailing newline."""
    split = f"split: {result.split}" if result.split else "no split known"
    lines = [
        f"{result.directory}: {quantity(result.slices, 'slice')} of "
        f"{quantity(result.patients, 'patient')}, {split}",
        _line("patients in several splits", len(result.split_patients)),
        *(
            f"    {person.patient}: "
            + ", ".join(f"{split_name} {count:,}" for split_name, count in person.slices.items())
            for person in result.split_patients[:EXAMPLES]
        ),
        *_shared_patient_lines(result),
        _line("same picture, two patients", sum(_is_of_two_people(pair) for pair in result.pairs)),
        _line("  of these, leaking", len(result.leaking_pairs)),
        *_example_lines([pair for pair in result.pairs if _is_of_two_people(pair)]),
        _line("label conflicts", result.conflicts),
        *_example_lines(
            [pair for pair in result.pairs if pair.is_conflict and not _is_of_two_people(pair)]
        ),
        *(
            f"    {name}: folder contradicts table"
            for name in result.contradicted_labels[:EXAMPLES]
        ),
        _line("copies within a patient", len(result.copies_within)),
        *_example_lines(result.copies_within),
        _line("damaged or missing", result.damaged),
        *(
            f"    {finding.kind.meaning}: {finding.count:,} (e.g. {finding.examples[0]})"
            for finding in result.findings
            if finding.kind.is_damage
        ),
        *_shortcut_lines(result),
        "clean: no leakage found" if result.is_clean else "NOT CLEAN: see above",
    ]
    return "\n".join(lines)


def _shared_patient_lines(result: AuditResult) -> list[str]:
    """Patients who test here and train the segmenter; nothing if no segmenter was given."""
    if not result.trained_on:
        return []
    shared = result.shared_patients
    return [
        _line("test, but train segmenter", len(shared)),
        *(
            f"    {person.patient}: {quantity(person.tested, 'test slice')} here, "
            f"{quantity(person.trained, 'training slice')} of the segmenter"
            for person in shared[:EXAMPLES]
        ),
    ]


def _line(name: str, count: int) -> str:
    return f"  {name:<28}{count:,}"


def _is_of_two_people(pair: Pair) -> bool:
    return pair.first.patient != pair.second.patient


def _example_lines(pairs: list[Pair] | tuple[Pair, ...]) -> list[str]:
    return [
        f"    {pair.first.file_name} = {pair.second.file_name} ({pair.difference}, "
        f"{pair.correlation:.3f})"
        for pair in pairs[:EXAMPLES]
    ]


def _shortcut_lines(result: AuditResult) -> list[str]:
    shortcut, value = result.shortcut, result.association.v_slices
    strength = "–" if value is None else f"{value:.2f}"
    lines = [f"  {'source tells class':<28}Cramér's V {strength}"]
    if shortcut.background is None:
        return [*lines, f"  {'background tells class':<28}not checked ({shortcut.left_out})"]
    note = "above chance" if shortcut.is_above_chance else "not above chance"
    return [
        *lines,
        f"  {'background tells class':<28}{_interval(shortcut.background)}, {note} "
        f"({shortcut.chance:.2f})",
    ]


def _interval(accuracy: BalancedAccuracy) -> str:
    return f"{accuracy.accuracy:.2f} [{accuracy.low:.2f}, {accuracy.high:.2f}]"
