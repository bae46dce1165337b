"""Which whole numbers of slices can have given the percentages that a paper prints.

Whole slices leave few percentages possible: either some counts give all four of a row's numbers,
or the reading behind those counts is wrong.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

ROUNDED, TRUNCATED = 0.00505, 0.01
"""How far a percentage may be from its two printed decimals, either way or upwards."""

Counts: TypeAlias = tuple[int, int, int, int]
"""TP, FP, FN, TN."""

Size: TypeAlias = tuple[int, int]
"""All slices, and those of the class that counts as positive."""


def fitting_counts(
    printed: Mapping[str, float], *, slices: int, positives: Iterable[int]
) -> list[Counts]:
    """All (TP, FP, FN, TN) that give the four printed percentages, rounded or cut off.

    Args:
      printed: percent: "accuracy", "f1", "recall", "precision".
      slices: of the test set.
      positives: how many of them may be of the positive class.
    """
    return [
        (tp, fp, fn, slices - tp - fp - fn)
        for tp, fp, fn in _without_negatives(printed, positives=positives)
        if tp + fp + fn <= slices and _prints(1 - (fp + fn) / slices, printed["accuracy"])
    ]


def fitting_sizes(printed: Mapping[str, float], *, most: int) -> set[Size]:
    """All sizes of a test set, of at most `most` slices, of which some counts give the percentages."""
    found = set()
    for tp, fp, fn in _without_negatives(printed, positives=range(1, most + 1)):
        low, high = _bounds(printed["accuracy"])
        fewest = max(tp + fp + fn, math.floor((fp + fn) / (1 - low)))
        last = most if high >= 1 else min(most, math.ceil((fp + fn) / (1 - high)))
        found |= {
            (slices, tp + fn)
            for slices in range(max(fewest, 1), last + 1)
            if _prints(1 - (fp + fn) / slices, printed["accuracy"])
        }
    return found


def _without_negatives(
    printed: Mapping[str, float], *, positives: Iterable[int]
) -> Iterator[tuple[int, int, int]]:
    """(TP, FP, FN) that give recall, precision and F1; true negatives are in none of them."""
    least, most = _bounds(printed["precision"])
    low, high = _bounds(printed["recall"])
    for count in positives:
        for tp in range(max(1, math.ceil(low * count)), math.floor(high * count) + 1):
            fn = count - tp
            for fp in range(math.floor(tp / most) - tp, math.ceil(tp / least) - tp + 1):
                values = {
                    "recall": tp / count,
                    "precision": tp / (tp + fp),
                    "f1": 2 * tp / (2 * tp + fp + fn),
                }
                if all(_prints(value, printed[name]) for name, value in values.items()):
                    yield tp, fp, fn


def _bounds(printed: float) -> tuple[float, float]:
    """The shares between which a percentage was rounded or cut off, the upper one at most 1."""
    return (printed - ROUNDED) / 100, min((printed + TRUNCATED) / 100, 1.0)


def _prints(share: float, printed: float) -> bool:
    return -ROUNDED <= 100 * share - printed < TRUNCATED
