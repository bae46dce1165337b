"""Perceptual hashes, and all pairs of slices whose hashes differ in few bits.

A hash holds the signs of the lowest spatial frequencies of a window's local contrast: one cosine
transform, 256 bits. The distances of all pairs are counted, on all cores: near ones differ in up to 76
bits, which is too far for an index by buckets.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt64
from scipy import fft

from mgajax.audit.thumbnail_windows import local_contrast

BITS = 256
SIZE = 32
"""Pixels a side of the windows that are hashed."""

SURROUNDINGS = 4.0
FIRST_WORD = 16
"""Most bits of the first 64, the lowest frequencies, that may differ; a first pass drops all other
pairs. Copies cropped between two of the windows that are tried differ in 10 (measured on the slices of
`copies.SAME`), and 97 % of the pairs of two people in more than 16.
"""

BLOCK = 8
"""Rows compared at a time: small enough for the caches."""


@dataclass(frozen=True)
class NearPairs:
    """Pairs of rows with similar hashes; `distances` counts the bits that differ."""

    first: Int32[np.ndarray, "m"]
    second: Int32[np.ndarray, "m"]
    distances: Int32[np.ndarray, "m"]


def hash_pictures(pictures: Float32[np.ndarray, "n s s"]) -> UInt64[np.ndarray, "n words"]:
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
) -> NearPairs:
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
                lambda start: _nearest(
                    first, second, start=start, groups=groups, limit=limit, most=most
                ),
                starts,
            )
        )
    return join_pairs(blocks)


def join_pairs(parts: list[NearPairs]) -> NearPairs:
    """The pairs of several searches, one after another."""
    return NearPairs(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.distances for part in parts]),
    )


def _nearest(
    first: np.ndarray, second: np.ndarray, *, start: int, groups: np.ndarray, limit: int, most: int
) -> NearPairs:
    """The pairs of one block of rows of `first`: by the first word, then by all of them."""
    block = first[start : start + BLOCK]
    first_word = np.bitwise_count(block[:, 0, None] ^ second[None, :, 0])
    rows, columns = np.nonzero(first_word <= FIRST_WORD)
    is_other = groups[rows + start] != groups[columns]
    rows, columns = rows[is_other], columns[is_other]
    other_words = np.bitwise_count(block[rows, 1:] ^ second[columns, 1:]).sum(
        axis=1, dtype=np.int32
    )
    distances = first_word[rows, columns] + other_words
    is_near = distances <= limit
    rows, columns, distances = rows[is_near], columns[is_near], distances[is_near]
    order = np.lexsort((distances, rows))
    chosen = order[_rank_in_run(rows[order]) < most]
    return NearPairs(
        (rows[chosen] + start).astype(np.int32), columns[chosen].astype(np.int32), distances[chosen]
    )


def _rank_in_run(sorted_values: np.ndarray) -> np.ndarray:
    """0, 1, 2 … within each run of equal values."""
    if not len(sorted_values):
        return sorted_values
    starts = np.flatnonzero(np.r_[True, sorted_values[1:] != sorted_values[:-1]])
    lengths = np.diff(np.r_[starts, len(sorted_values)])
    return np.arange(len(sorted_values)) - np.repeat(starts, lengths)


def find_strongest(pairs: NearPairs, *, most: int) -> Bool[np.ndarray, "m"]:
    """Which pairs are among the `most` nearest of either of their slices."""
    is_strong = np.zeros(len(pairs.first), bool)
    for rows in (pairs.first, pairs.second):
        order = np.lexsort((pairs.distances, rows))
        is_strong[order[_rank_in_run(rows[order]) < most]] = True
    return is_strong


@cache
def _lowest_frequencies() -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the `BITS` lowest frequencies, the mean left out."""
    pairs: Iterator[tuple[int, int]] = ((u, v) for u in range(SIZE) for v in range(SIZE) if u + v)
    chosen = sorted(pairs, key=lambda pair: (sum(pair), pair))[:BITS]
    return np.array(chosen).T[0], np.array(chosen).T[1]
