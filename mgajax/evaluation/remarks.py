"""What a reader must know of a run's numbers on another set, in sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

from mgajax.schema import CLASS_NAMES, COVID

FILES_NAMED = 5
"""Unreadable files that a sentence names; all are in the JSON."""


def remarks(metrics: Mapping[str, Any]) -> list[str]:
    """The sentences, made of the report that they stand in.

    Args:
      metrics: of another set, as the JSON holds it.
    """
    return [
        *_about_people(metrics),
        *_about_files(metrics),
        *_about_classes(metrics),
        *metrics["set_notes"],
    ]


def _about_people(metrics: Mapping[str, Any]) -> Iterator[str]:
    people = metrics["people"]
    if people["number"] is None:
        yield (
            "No patient is known: intervals are over slices, too narrow where a patient has several, "
            "and whether someone of this set trained the run cannot be told."
        )
        return
    number, shared = f"{people['number']:,}", people["in_training"]
    if not shared:
        yield (
            f"By their ids, none of the set's {number} people is one of the {people['trained_on']:,} who "
            "trained the run; a person under two ids is not found."
        )
    elif metrics["left_out_slices"]:
        yield (
            f"Left out: {metrics['left_out_slices']:,} slices of {shared:,} of the set's {number} people "
            "who trained the run."
        )
    else:
        yield (
            f"LEAK: {shared:,} of the set's {number} people trained the run "
            f"({', '.join(people['named'])}{', …' if shared > len(people['named']) else ''}); the numbers "
            "are too good."
        )
    if people["in_validation"]:
        yield (
            f"{people['in_validation']:,} of the set's people are in the run's validation split, by which "
            "its checkpoint was chosen."
        )


def _about_files(metrics: Mapping[str, Any]) -> Iterator[str]:
    files = metrics["unreadable_files"]
    if files:
        more = f"; and {len(files) - FILES_NAMED:,} more" if len(files) > FILES_NAMED else ""
        yield f"Not read, and not counted: {len(files):,} files: {'; '.join(files[:FILES_NAMED])}{more}."


def _about_classes(metrics: Mapping[str, Any]) -> Iterator[str]:
    if "called" not in metrics:
        return
    present = [name for name in CLASS_NAMES if metrics["class_counts"][name]["slices"]]
    absent = [name for name in CLASS_NAMES if name not in present]
    if absent:
        yield (
            f"The set has no {' and no '.join(absent)}: what needs a slice of it is undefined (–), such as "
            "its recall and ROC AUC, and means over classes that need them."
        )
    if len(present) == 1:
        binary = (
            "specificity" if present[0] == CLASS_NAMES[COVID] else f"recall of {CLASS_NAMES[COVID]}"
        )
        yield f"All its slices are {present[0]}: {binary} and every ROC AUC are undefined."
    called = {name: row["slices"] for name, row in metrics["called"].items() if row["slices"]}
    if len(called) == 1:
        (name,) = called
        yield f"Every slice is called {name}: the run tells no class of this set apart by its decision."
