"""The same picture twice: equal pixels, and near-duplicates that were turned, cropped or recoded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int32
from threadpoolctl import threadpool_limits

from mgajax.audit.alignment import align
from mgajax.audit.candidates import Candidates, find_candidates
from mgajax.audit.thumbnail_windows import ORIENTATIONS
from mgajax.progress import map_ordered, track

SAME = 0.84
"""Agreement (see `alignment.agreement`) from which two slices are the same picture.

Measured on 140 real slices of 76 people from all seven archives, and on copies made of them: none of
the 9,375 pairs of two people gets as far as the last stage. Copies that were turned, brightened by a
gamma of 0.6 or saved as JPEG of quality 30 are all found (0.87 and more), of those halved in size or
cut by up to 10 % on each side 99 and 96 %; docs/how-to/audit.md has the table. Among 146 million pairs of
drawn people, who share a skeleton and differ only in their lungs, 13 count as the same.
"""

CROPPED = 0.04
"""A window that differs from the other's by more than this share is called cropped."""

CHUNK = 64
"""Pairs aligned at a time."""


@dataclass(frozen=True)
class Copy:
    """Two slices that show the same.

    Attributes:
      first, second: rows.
      kind: "exact" for equal pixels, "near" for alike after alignment.
      difference: how the second differs, e.g. "upside down, cropped".
      correlation: of local contrast once aligned, see `alignment.agreement`; 1 for equal pixels.
    """

    first: int
    second: int
    kind: Literal["exact", "near"]
    difference: str
    correlation: float


def exact_copies(pixels: Sequence[str]) -> list[Copy]:
    """Each slice with the first one of equal pixels.

    Args:
      pixels: `Fingerprint.pixels` of each slice.
    """
    first: dict[str, int] = {}
    copies = []
    for row, digest in enumerate(pixels):
        original = first.setdefault(digest, row)
        if original != row:
            copies.append(Copy(original, row, "exact", "equal pixels", 1.0))
    return copies


def near_copies(
    thumbnails: np.ndarray, anchors: Float32[np.ndarray, "n 3 4"], *, people: Int32[np.ndarray, "n"]
) -> list[Copy]:
    """Slices of different people that show the same, equal pixels included; most similar first.

    One person's slices are never compared: neighbours are alike by nature.

    Args:
      thumbnails: uint8 [n, t, t].
      anchors: see `fingerprints.anchor_windows`.
      people: whose slice each is.
    """
    with threadpool_limits(1):  # threads share out the chunks, not the products of small matrices
        candidates = find_candidates(thumbnails, anchors, groups=people)
        chunks = list(_chunks(candidates))
        results = map_ordered(lambda chunk: _align(thumbnails, candidates, chunk), chunks)
        alignments = list(track(results, description="comparing slices", total=len(chunks)))
    copies = []
    for chunk, (windows, scores) in zip(chunks, alignments, strict=True):
        for index in np.flatnonzero(scores >= SAME):
            pair = int(chunk[index])
            copies.append(
                Copy(
                    int(candidates.first[pair]),
                    int(candidates.second[pair]),
                    "near",
                    _describe(candidates, pair, windows[index]),
                    float(scores[index]),
                )
            )
    return sorted(copies, key=lambda copy: -copy.correlation)


def _chunks(candidates: Candidates) -> Iterator[Int32[np.ndarray, "c"]]:
    """Numbers of pairs, a chunk of one orientation at a time."""
    for orientation in range(len(ORIENTATIONS)):
        pairs = np.flatnonzero(candidates.orientations == orientation).astype(np.int32)
        for start in range(0, len(pairs), CHUNK):
            yield pairs[start : start + CHUNK]


def _align(
    thumbnails: np.ndarray, candidates: Candidates, pairs: Int32[np.ndarray, "c"]
) -> tuple[Float32[np.ndarray, "c 4"], Float32[np.ndarray, "c"]]:
    orientation = ORIENTATIONS[int(candidates.orientations[pairs[0]])]
    second = thumbnails[candidates.second[pairs]].astype(np.float32)
    return align(
        thumbnails[candidates.first[pairs]].astype(np.float32),
        np.ascontiguousarray(orientation.pictures(second)),
        windows=candidates.windows[pairs],
        targets=candidates.targets[pairs],
    )


def _describe(candidates: Candidates, pair: int, window: Float32[np.ndarray, "4"]) -> str:
    """How the two differ: in orientation, and whether one shows more than the other.

    The window of the first shows what the target of the second shows; scaled up to the whole frames
    they are of one size unless something was cut off or added.
    """
    target = candidates.targets[pair]
    scale = (window[2:] - window[:2]) / np.maximum(target[2:] - target[:2], np.float32(1e-3))
    shift = window[:2] - target[:2] * scale
    edges = np.concatenate([shift, shift + scale - 1])
    orientation = ORIENTATIONS[int(candidates.orientations[pair])].name
    cropped = "cropped" if np.abs(edges).max() > CROPPED else ""
    recoded = "recoded" if candidates.orientations[pair] == 0 and not cropped else ""
    turned = orientation if candidates.orientations[pair] else ""
    return ", ".join(filter(None, (turned, cropped, recoded)))
