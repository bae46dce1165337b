"""Pairs of slices that may be copies: by hashes of several windows in several orientations."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int8, Int32

from mgajax.audit.hashes import SIZE, Near, hashes, joined, near_pairs, strongest
from mgajax.audit.orientations import ORIENTATIONS, Orientation
from mgajax.audit.windows import cut, inset
from mgajax.progress import track

LIMIT = 76
"""Hashes that differ in more of their 256 bits are not looked at further."""

MOST_A_VIEW = 2
"""Pairs kept for each slice in each view."""

MOST = 6
"""Pairs kept for each slice over all views."""

CROPS: tuple[float, ...] = (0.0, 0.06, 0.12)
"""Shares that may be cut off each side of the body, in all combinations."""

CHUNK = 1024
"""Slices whose windows are cut at a time."""


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
    """How two slices are laid over each other: an anchor of both, the second turned, the first
    with margins of it cut off.
    """

    anchor: int
    orientation: int = 0
    margins: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def find_candidates(
    thumbnails: np.ndarray,
    anchors: Float32[np.ndarray, "n anchors 4"],
    *,
    groups: Int32[np.ndarray, "n"],
) -> Candidates:
    """Pairs of slices of different groups (people) that look alike at a glance.

    Args:
      thumbnails: uint8 [n, t, t].
      anchors: windows that a copy keeps.
      groups: whose slice each is.
    """
    views = list(_views(anchors.shape[1]))
    plain = [_hash(thumbnails, anchors[:, at]) for at in range(anchors.shape[1])]
    found, numbers = [], []
    for number, view in enumerate(track(views, description="comparing hashes")):
        second = plain[view.anchor]
        if any(view.margins):
            first = _hash(thumbnails, inset(anchors[:, view.anchor], view.margins))
        else:
            first = plain[view.anchor]
        if view.orientation:
            orientation = ORIENTATIONS[view.orientation]
            second = _hash(thumbnails, anchors[:, view.anchor], orientation=orientation)
        near = near_pairs(first, second, groups=groups, limit=LIMIT, most=MOST_A_VIEW)
        found.append(near)
        numbers.append(np.full(len(near.first), number, np.int32))
    near, seen_in = _best_view(joined(found), np.concatenate(numbers))
    return _laid_over(near, seen_in, views=views, anchors=anchors)


def _views(anchors: int) -> Iterator[_View]:
    for anchor in range(anchors):
        for orientation in range(len(ORIENTATIONS)):
            yield _View(anchor, orientation)
    for top, left, bottom, right in itertools.product(CROPS, repeat=4):
        if top or left or bottom or right:
            yield _View(1, margins=(top, left, bottom, right))


def _hash(
    thumbnails: np.ndarray, windows: np.ndarray, *, orientation: Orientation = ORIENTATIONS[0]
) -> np.ndarray:
    """Hashes of the windows, in chunks that fit the caches."""
    parts = []
    for at in range(0, len(thumbnails), CHUNK):
        some = orientation.pictures(thumbnails[at : at + CHUNK].astype(np.float32))
        parts.append(hashes(cut(some, orientation.windows(windows[at : at + CHUNK]), size=SIZE)))
    return np.concatenate(parts)


def _best_view(near: Near, views: np.ndarray) -> tuple[Near, np.ndarray]:
    """Each pair once, in the view where it is nearest; few pairs a slice."""
    low, high = np.minimum(near.first, near.second), np.maximum(near.first, near.second)
    order = np.lexsort((near.distances, high, low))
    first = np.r_[True, np.diff(low[order]) != 0] if len(order) else np.zeros(0, bool)
    if len(order):
        first[1:] |= np.diff(high[order]) != 0
    kept = order[first]
    near = Near(near.first[kept], near.second[kept], near.distances[kept])
    strong = strongest(near, most=MOST)
    near = Near(near.first[strong], near.second[strong], near.distances[strong])
    return near, views[kept][strong]


def _laid_over(
    near: Near, numbers: np.ndarray, *, views: list[_View], anchors: np.ndarray
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
