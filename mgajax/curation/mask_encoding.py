"""How the masks of the sources code lesions: black and white, class labels, or 0 and 1."""

from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8

MAX_LABEL = 10
"""A mask whose largest value is in 2..MAX_LABEL holds class labels, not grey levels."""

GROUND_GLASS, CONSOLIDATION, EFFUSION = 1, 2, 3
"""Labels of MedSeg's masks."""

MEDSEG_LESIONS: dict[str, tuple[int, ...]] = {
    "lesion": (GROUND_GLASS, CONSOLIDATION, EFFUSION),
    "background": (GROUND_GLASS, CONSOLIDATION),
}
"""The labels of lesion, by what pleural effusion counts as. It is lesion in the paper's Fig. 1; masks
made from Inf-Net's leave it out."""

LESION_LABELS: dict[str, tuple[int, ...]] = {"medseg": MEDSEG_LESIONS["lesion"], "jun": (3,)}
"""The labels of lesion in multi-class masks of a finished set. Jun's combined file: 3 infection (1 and 2
are the lungs). Elsewhere every label except 0 is lesion. (`mgajax curate --effusion background` makes
a set of black and white masks without effusion.)"""

LARGEST_LABEL: dict[str, int] = {"medseg": 3, "jun": 3}
"""The largest class label of a source's masks. For other sources it is unknown."""

WHITE = 224
MID_GREYS = range(32, WHITE)
"""Grey levels that are neither black nor white, even in a lossy copy of a black and white mask."""

MAX_MID_GREY = 0.01
"""Share of a mask that blurred edges may turn to mid grey (see `is_black_and_white`)."""

MaskEncoding = Literal["binary", "grey", "labels"]


def mask_encoding(largest_values: list[int]) -> MaskEncoding:
    """How the masks of one source code lesions, by the largest value in each of them.

    All at most 1: binary. Any above `MAX_LABEL`: grey levels. Otherwise: class labels. The rule
    looks at all masks of a source, since a single multi-class mask may happen to hold 0 and 1 only.
    """
    largest = max(largest_values, default=0)
    if largest <= 1:
        return "binary"
    return "grey" if largest > MAX_LABEL else "labels"


def is_black_and_white(histogram: Int64[np.ndarray, "256"]) -> bool:
    """Whether a mask of grey levels holds black and white, apart from blurred edges.

    It does not if mid grey covers more than `MAX_MID_GREY` of it, and more than white does: that is a
    photograph, or class codes written as shades of grey, for which no threshold is right.
    """
    mid = int(histogram[MID_GREYS.start : MID_GREYS.stop].sum())
    return mid <= max(MAX_MID_GREY * int(histogram.sum()), int(histogram[WHITE:].sum()))


def fits_encoding(largest: int, *, encoding: MaskEncoding, source: str) -> bool:
    """Whether a mask's largest value fits this coding.

    2..`MAX_LABEL` does not fit grey masks: a mask of labels would be empty when cut at 127. Labels are
    at most `LARGEST_LABEL`.
    """
    if encoding == "grey":
        return largest <= 1 or largest > MAX_LABEL
    return largest <= LARGEST_LABEL.get(source, MAX_LABEL)


def binary_mask(
    values: UInt8[np.ndarray, "h w"], *, encoding: MaskEncoding, source: str
) -> UInt8[np.ndarray, "h w"]:
    """Lesion as 255, the rest as 0.

    Grey masks are cut above 127 (lossy copies blur their edges); a 0/1 mask among grey ones counts as
    0/1. Labels follow `LESION_LABELS`.
    """
    if encoding == "labels" and source in LESION_LABELS:
        lesion = np.isin(values, LESION_LABELS[source])
    elif encoding == "grey" and values.max(initial=0) > 1:
        lesion = values > 127
    else:
        lesion = values > 0
    return np.where(lesion, np.uint8(255), np.uint8(0))
