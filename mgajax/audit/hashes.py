"""Perceptual hashes, and all pairs of slices whose hashes differ in few bits.

A hash holds the signs of the lowest spatial frequencies of a window's local contrast: one cosine
transform, 256 bits. The distances of all pairs are counted outright, on all cores: 146 million
pairs of 17,104 slices take seconds, and no pair is missed that an index by buckets would miss.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8, UInt64
from scipy import fft

from mgajax.audit.windows import local_contrast

BITS = 256
SIZE = 32
"""Pixels a side of the windows that are hashed."""

SURROUNDINGS = 4.0
BLOCK = 48
"""Rows compared at a time: small enough for the caches."""


@dataclass(frozen=True)
class Near:
    """Pairs of rows with similar hashes; `distances` counts the bits that differ."""

    first: Int32[np.ndarray, "m"]
    second: Int32[np.ndarray, "m"]
    distances: UInt8[np.ndarray, "m"]


def hashes(pictures: Float32[np.ndarray, "n s s"]) -> UInt64[np.ndarray, "n words"]:
    """A hash of each picture of `SIZE` pixels a side."""
    waves = fft.dctn(local_contrast(pictures, coarse=SURROUNDINGS), axes=(1, 2), norm="ortho")
    rows, columns = _lowest_frequencies()
    signs = np.ascontiguousarray(waves[:, rows, columns] > 0)
    return np.packbits(signs, axis=1).view(np.uint64)


def near_pairs(
    first: UInt64[np.ndarray, "n words"],
    second: UInt64[np.ndarray, "n words"],
    *,
    groups: Int32[np.ndarray, "n"],
    limit: int,
    most: int,
) -> Near:
    """The `most` nearest rows of `second` for each row of `first`, within `limit` bits.

    Args:
      first, second: two hashes of the same n slices.
      groups: slices of one group (person) are never paired.
      limit: the largest distance.
      most: pairs kept for each row of `first`.
    """
    starts = range(0, len(first), BLOCK)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = list(
            pool.map(
                lambda at: _nearest(first, second, at=at, groups=groups, limit=limit, most=most),
                starts,
            )
        )
    return joined(blocks)


def joined(parts: list[Near]) -> Near:
    """The pairs of several searches, one after another."""
    return Near(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.distances for part in parts]),
    )


def _nearest(
    first: np.ndarray, second: np.ndarray, *, at: int, groups: np.ndarray, limit: int, most: int
) -> Near:
    distances = _distances(first[at : at + BLOCK], second)
    rows, columns = np.nonzero(distances <= limit)
    others = groups[rows + at] != groups[columns]
    rows, columns = rows[others], columns[others]
    found = distances[rows, columns]
    order = np.lexsort((found, rows))
    rows, columns, found = rows[order], columns[order], found[order]
    kept = _rank_in_run(rows) < most
    return Near(
        (rows[kept] + at).astype(np.int32),
        columns[kept].astype(np.int32),
        found[kept],
    )


def _distances(
    first: UInt64[np.ndarray, "b words"], second: UInt64[np.ndarray, "n words"]
) -> UInt8[np.ndarray, "b n"]:
    """Bits that differ, at most 255."""
    total = np.zeros((len(first), len(second)), np.uint8)
    for word in range(first.shape[1]):
        bits = np.bitwise_count(first[:, word, None] ^ second[None, :, word])
        total += np.minimum(bits, np.uint8(63))
    return total


def _rank_in_run(sorted_values: np.ndarray) -> np.ndarray:
    """0, 1, 2 … within each run of equal values."""
    if not len(sorted_values):
        return sorted_values
    starts = np.flatnonzero(np.r_[True, sorted_values[1:] != sorted_values[:-1]])
    lengths = np.diff(np.r_[starts, len(sorted_values)])
    return np.arange(len(sorted_values)) - np.repeat(starts, lengths)


def strongest(near: Near, *, most: int) -> Bool[np.ndarray, "m"]:
    """Which pairs are among the `most` nearest of either of their slices."""
    kept = np.zeros(len(near.first), bool)
    for side in (near.first, near.second):
        order = np.lexsort((near.distances, side))
        kept[order[_rank_in_run(side[order]) < most]] = True
    return kept


def _lowest_frequencies() -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the `BITS` lowest frequencies, the mean left out."""
    pairs: Iterator[tuple[int, int]] = ((u, v) for u in range(SIZE) for v in range(SIZE) if u + v)
    chosen = sorted(pairs, key=lambda pair: (sum(pair), pair))[:BITS]
    return np.array(chosen).T[0], np.array(chosen).T[1]
