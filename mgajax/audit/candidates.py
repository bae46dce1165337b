"""Pairs of slices that may be copies: by hashes of several windows in several orientations."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float32, Int8, Int32, UInt8, UInt64

from mgajax.audit.anchors import ANCHORS
from mgajax.audit.hashes import SIZE, NearPairs, hashes, joined, near_pairs, strongest
from mgajax.audit.orientations import ORIENTATIONS
from mgajax.audit.windows import cut, inset
from mgajax.progress import map_ordered, track

LIMIT = 76
"""Hashes that differ in more of their 256 bits are not looked at further."""

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
    """Pairs worth aligning: the first's window against the second, turned.

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
    """How one slice is laid over another: an anchor of both, the second turned, the first
    with margins of it cut off.
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
    """Pairs of slices of different groups (people) that look alike at a glance.

    Args:
      thumbnails: of whole frames.
      anchors: windows that a copy keeps.
      groups: whose slice each is.
    """
    views = list(_views(anchors.shape[1]))
    squares, plain = _NOTHING, _NOTHING
    pairs, numbers = [], []
    for number, view in enumerate(track(views, description="comparing hashes")):
        if view == _View(view.anchor):  # the first of its anchor
            squares = _cut_out(thumbnails, anchors[:, view.anchor])
            plain = _hash(squares)
        turned = ORIENTATIONS[view.orientation].pictures(squares)
        near = near_pairs(
            _hash(squares, margins=view.margins) if any(view.margins) else plain,
            _hash(turned) if view.orientation else plain,
            groups=groups,
            limit=LIMIT,
            most=MOST_A_VIEW,
        )
        pairs.append(near)
        numbers.append(np.full(len(near.first), number, np.int32))
    near, seen_in = _best_view(joined(pairs), np.concatenate(numbers))
    return _laid_over(near, seen_in, views=views, anchors=anchors)


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
    some = np.ascontiguousarray(squares).astype(np.float32)
    whole = np.tile(np.array([0, 0, 1, 1], np.float32), (len(some), 1))
    return hashes(cut(some, inset(whole, margins), size=SIZE))


def _best_view(near: NearPairs, views: np.ndarray) -> tuple[NearPairs, np.ndarray]:
    """Each pair once, in the view where it is nearest; few pairs a slice."""
    low, high = np.minimum(near.first, near.second), np.maximum(near.first, near.second)
    order = np.lexsort((near.distances, high, low))
    first = np.r_[True, np.diff(low[order]) != 0] if len(order) else np.zeros(0, bool)
    if len(order):
        first[1:] |= np.diff(high[order]) != 0
    kept = order[first]
    near = NearPairs(near.first[kept], near.second[kept], near.distances[kept])
    strong = strongest(near, most=MOST)
    near = NearPairs(near.first[strong], near.second[strong], near.distances[strong])
    return near, views[kept][strong]


def _laid_over(
    near: NearPairs, numbers: np.ndarray, *, views: list[_View], anchors: np.ndarray
) -> Candidates:
    windows = np.empty((len(numbers), 4), np.float32)
    targets = np.empty((len(numbers), 4), np.float32)
    turned = np.array([view.orientation for view in views], np.int8)[numbers]
    for number, view in enumerate(views):
        here = numbers == number
        windows[here] = inset(anchors[near.first[here], view.anchor], view.margins)
        orientation = ORIENTATIONS[view.orientation]
        targets[here] = orientation.windows(anchors[near.second[here], view.anchor])
    return Candidates(
        first=near.first,
        second=near.second,
        windows=windows,
        targets=targets,
        orientations=turned,
        distances=near.distances,
    )
