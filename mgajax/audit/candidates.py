"""Pairs of slices that may be copies: by hashes of several windows in several orientations."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float32, Int8, Int32, UInt8, UInt64

from mgajax.audit.fingerprints import ANCHORS
from mgajax.audit.hashes import (
    SIZE,
    NearPairs,
    find_strongest,
    hash_pictures,
    join_pairs,
    near_pairs,
)
from mgajax.audit.thumbnail_windows import ORIENTATIONS, cut, inset
from mgajax.progress import map_ordered, track

LIMIT = 76
"""Pairs whose hashes differ in more of their 256 bits are no candidates."""

MOST_A_VIEW = 2
"""Pairs kept for each slice in each view."""

MOST = 4
"""Pairs kept for each slice over all views."""

CROPS: tuple[float, ...] = (0.0, 0.06, 0.12)
"""Shares that may be cut off each side of the body, in all combinations."""

SQUARE = 64
"""Pixels a side of a cut-out anchor."""

CHUNK = 256
"""Slices that are hashed at a time."""

_NOTHING = np.zeros((0, 0, 0), np.uint8)


@dataclass(frozen=True)
class Candidates:
    """Pairs to align: a window of the first against the second, turned.

    Attributes:
      first, second: rows.
      windows: of the first.
      targets: of the second, once turned.
      orientations: index into `ORIENTATIONS`.
      distances: bits in which the hashes differ.
    """

    first: Int32[np.ndarray, "m"]
    second: Int32[np.ndarray, "m"]
    windows: Float32[np.ndarray, "m 4"]
    targets: Float32[np.ndarray, "m 4"]
    orientations: Int8[np.ndarray, "m"]
    distances: Int32[np.ndarray, "m"]


@dataclass(frozen=True)
class _View:
    """How one slice is compared with another: by an anchor of both, the second turned, margins of the
    first one's anchor cut off.
    """

    anchor: int
    orientation: int = 0
    margins: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def find_candidates(
    thumbnails: UInt8[np.ndarray, "n t t"],
    anchors: Float32[np.ndarray, "n anchors 4"],
    *,
    groups: Int32[np.ndarray, "n"],
) -> Candidates:
    """Pairs of slices of different groups (people) with similar hashes.

    Args:
      thumbnails: of whole frames.
      anchors: windows that a copy keeps.
      groups: whose slice each is.
    """
    views = list(_views(anchors.shape[1]))
    squares, plain_hashes = _NOTHING, _NOTHING
    pairs, view_indices = [], []
    for index, view in enumerate(track(views, description="comparing hashes")):
        if view == _View(view.anchor):  # the first of its anchor
            squares = _cut_out(thumbnails, anchors[:, view.anchor])
            plain_hashes = _hash(squares)
        turned = ORIENTATIONS[view.orientation].pictures(squares)
        view_pairs = near_pairs(
            _hash(squares, margins=view.margins) if any(view.margins) else plain_hashes,
            _hash(turned) if view.orientation else plain_hashes,
            groups=groups,
            limit=LIMIT,
            most=MOST_A_VIEW,
        )
        pairs.append(view_pairs)
        view_indices.append(np.full(len(view_pairs.first), index, np.int32))
    view_pairs, best_views = _choose_views(join_pairs(pairs), np.concatenate(view_indices))
    return _lay_over(view_pairs, best_views, views=views, anchors=anchors)


def _views(anchors: int) -> Iterator[_View]:
    """All views, those of one anchor together, the plain one first."""
    for anchor in range(anchors):
        for orientation in range(len(ORIENTATIONS)):
            yield _View(anchor, orientation)
        if ANCHORS[anchor] == "body":
            for top, left, bottom, right in itertools.product(CROPS, repeat=4):
                if any((top, left, bottom, right)):
                    yield _View(anchor, margins=(top, left, bottom, right))


def _cut_out(
    thumbnails: UInt8[np.ndarray, "n t t"], windows: Float32[np.ndarray, "n 4"]
) -> UInt8[np.ndarray, "n s s"]:
    """The windows as squares, which many views are then cut from."""
    parts = (
        (thumbnails[at : at + CHUNK], windows[at : at + CHUNK])
        for at in range(0, len(thumbnails), CHUNK)
    )
    return np.concatenate(list(map_ordered(_cut_part, parts)))


def _cut_part(part: tuple[np.ndarray, np.ndarray]) -> UInt8[np.ndarray, "c s s"]:
    thumbnails, windows = part
    return np.rint(cut(thumbnails.astype(np.float32), windows, size=SQUARE)).astype(np.uint8)


def _hash(
    squares: UInt8[np.ndarray, "n s s"],
    *,
    margins: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
) -> UInt64[np.ndarray, "n words"]:
    """Hashes of the squares without margins."""
    parts = (squares[at : at + CHUNK] for at in range(0, len(squares), CHUNK))
    return np.concatenate(list(map_ordered(partial(_hash_part, margins=margins), parts)))


def _hash_part(
    squares: UInt8[np.ndarray, "c s s"], *, margins: tuple[float, float, float, float]
) -> UInt64[np.ndarray, "c words"]:
    pictures = np.ascontiguousarray(squares).astype(np.float32)
    frames = np.tile(np.array([0, 0, 1, 1], np.float32), (len(pictures), 1))
    return hash_pictures(cut(pictures, inset(frames, margins), size=SIZE))


def _choose_views(pairs: NearPairs, views: np.ndarray) -> tuple[NearPairs, np.ndarray]:
    """Each pair once, in the view where it is nearest; few pairs a slice."""
    low, high = np.minimum(pairs.first, pairs.second), np.maximum(pairs.first, pairs.second)
    order = np.lexsort((pairs.distances, high, low))
    is_first = np.r_[True, np.diff(low[order]) != 0] if len(order) else np.zeros(0, bool)
    if len(order):
        is_first[1:] |= np.diff(high[order]) != 0
    unique = order[is_first]
    pairs = NearPairs(pairs.first[unique], pairs.second[unique], pairs.distances[unique])
    strong = find_strongest(pairs, most=MOST)
    pairs = NearPairs(pairs.first[strong], pairs.second[strong], pairs.distances[strong])
    return pairs, views[unique][strong]


def _lay_over(
    pairs: NearPairs, view_indices: np.ndarray, *, views: list[_View], anchors: np.ndarray
) -> Candidates:
    windows = np.empty((len(view_indices), 4), np.float32)
    targets = np.empty((len(view_indices), 4), np.float32)
    turned = np.array([view.orientation for view in views], np.int8)[view_indices]
    for index, view in enumerate(views):
        rows = view_indices == index
        windows[rows] = inset(anchors[pairs.first[rows], view.anchor], view.margins)
        orientation = ORIENTATIONS[view.orientation]
        targets[rows] = orientation.windows(anchors[pairs.second[rows], view.anchor])
    return Candidates(
        first=pairs.first,
        second=pairs.second,
        windows=windows,
        targets=targets,
        orientations=turned,
        distances=pairs.distances,
    )
