"""Exact slice counts from whole patients: a subset-sum table and a stratified random walk.

To divide a class's patients into train, validation and test with given slice counts is a subset-sum
problem in two sums (validation and test; the rest is train). For patients in a fixed order the table
holds, before each patient, every pair of sums that the remaining patients can make, as one big-integer
bit set. A walk through the patients then assigns each to a part at random, weighted by what its (class,
source) stratum still lacks there, but only to parts after which the wanted pair is still possible. So the
counts are exact, each seed gives another solution, and the sources are as balanced as the patients'
sizes allow.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

from mgajax.data.patient_walk import choose_part, quotas, sort_largest_first, walk_by_need

TRAIN, VALIDATION, TEST = range(3)

TABLE_BITS = 1 << 30
"""Size limit of one class's table (128 MB). The curated set's largest class needs half."""

WALKS = 8
"""Walks tried for each class by default."""

GUIDED_PINS = 16
ALL_PINS = 3**8
"""Tries for patients with slices in several classes: guided ones, then all if at most this many."""


@dataclass(frozen=True)
class SumTable:
    """Which (validation, test) sums the patients from a position on can make.

    Attributes:
      layers: n + 1 bit sets; bit `v * width + t` of layer i is set when patients i.. can make
        validation sum v and test sum t.
      width: test sums run over [0, width).
      height: validation sums run over [0, height).
    """

    layers: Sequence[bytes]
    width: int
    height: int

    def holds(self, position: int, validation: int, test: int) -> bool:
        """Whether patients from `position` on can make exactly these sums."""
        if not (0 <= validation < self.height and 0 <= test < self.width):
            return False
        bit = validation * self.width + test
        return bool(self.layers[position][bit >> 3] >> (bit & 7) & 1)

    def closest(self, validation: int, test: int) -> tuple[int, int, int]:
        """The reachable pair closest to the wanted one: (validation, test, distance).

        The distance is the sum over all three parts of |slices - wanted slices|.
        """
        if self.holds(0, validation, test):
            return validation, test, 0
        bits = np.unpackbits(np.frombuffer(self.layers[0], np.uint8), bitorder="little")
        reached = bits[: self.height * self.width].reshape(self.height, self.width)
        over_v = np.arange(self.height)[:, None] - validation
        over_t = np.arange(self.width)[None, :] - test
        distance = np.abs(over_v) + np.abs(over_t) + np.abs(over_v + over_t)
        distance[reached == 0] = np.iinfo(distance.dtype).max
        best = int(distance.argmin())
        return best // self.width, best % self.width, int(distance.flat[best])


def make_sum_table(
    sizes: Sequence[int], *, open_parts: Bool[np.ndarray, "m 3"], goal: Int[np.ndarray, " 3"]
) -> SumTable:
    """The table for patients of `sizes` slices, in the order of the walk.

    Sums are kept up to the goal plus the largest patient, or plus all patients who may not
    train where these have more. The pair closest to the goal lies within: a part that exceeds
    its count by more has a patient who can be moved to train without adding to the distance.

    Args:
      sizes: slices of each patient, all > 0.
      open_parts: the parts that each may go to.
      goal: sums of train, validation and test; negative ones count as 0.
    """
    held_out = sum(size for size, parts in zip(sizes, open_parts, strict=True) if not parts[TRAIN])
    over = max(*sizes, held_out) if len(sizes) else 0
    total = sum(sizes)
    height = min(max(int(goal[VALIDATION]), 0) + over, total) + 1
    width = min(max(int(goal[TEST]), 0) + over, total) + 1
    every = (1 << height * width) - 1
    comb = every // ((1 << width) - 1)  # bit 0 of every row
    columns = {size: (((1 << width) - 1) >> size << size) * comb for size in set(sizes)}
    layer, layers = 1, []
    length = (height * width + 7) // 8
    layers.append(layer.to_bytes(length, "little"))
    for size, parts in zip(reversed(sizes), open_parts[::-1].tolist(), strict=True):
        in_validation = layer << size * width & every if parts[VALIDATION] else 0
        # Bits that moved into the next row are dropped.
        in_test = layer << size & columns[size] if parts[TEST] else 0
        layer = (layer if parts[TRAIN] else 0) | in_validation | in_test
        layers.append(layer.to_bytes(length, "little"))
    return SumTable(layers[::-1], width, height)


def assign_exactly(
    *,
    counts: Int[np.ndarray, "p k s"],
    targets: Int[np.ndarray, "k 3"],
    open_parts: Bool[np.ndarray, "p 3"],
    rng: np.random.Generator,
    walks: int = WALKS,
) -> Int64[np.ndarray, " p"]:
    """Assign whole patients so that each class has its target slices in train, validation, test.

    When the targets cannot be met, the counts with the smallest sum of deviations are taken. Both are
    proven for sets of single-class patients whose tables fit `TABLE_BITS`; in larger sets the largest
    patients are assigned by need first. Patients with slices in several classes are assigned before
    the others, so that every class stays solvable: all combinations are tried up to `ALL_PINS`, else a
    sample (then, and for the closest counts with such patients, the answer is the best one found).

    Args:
      counts: slices of each patient by class and source.
      targets: wanted slices by class and part; each row sums to the class's slices.
      open_parts: the parts that each patient may go to, one at least.
      rng: source of the choice among the solutions.
      walks: solutions tried for each class; the one with the best source balance is kept.

    Returns:
      The part of each patient: 0 train, 1 validation, 2 test.
    """
    by_class = counts.sum(axis=2)
    sizes = by_class.sum(axis=1)
    need = quotas(counts, targets)
    spanning = np.flatnonzero((by_class > 0).sum(axis=1) > 1)
    parts, tails = _place_largest(counts, need, targets=targets, open_parts=open_parts, rng=rng)
    open_targets = targets - _count_by_part(by_class, parts)
    tables = [
        make_sum_table(sizes[tail].tolist(), open_parts=open_parts[tail], goal=want)
        for tail, want in zip(tails, open_targets, strict=True)
    ]
    pins = _assign_spanning(
        counts[spanning],
        open_parts=open_parts[spanning],
        need=need,
        tables=tables,
        targets=open_targets,
        rng=rng,
    )
    parts[spanning] = pins
    for patient, part in zip(spanning, pins, strict=True):
        need[..., part] -= counts[patient]
    remaining = targets - _count_by_part(by_class, parts)
    for tail, table, want in zip(tails, tables, remaining, strict=True):
        parts[tail] = _best_walk(
            counts[tail],
            need,
            open_parts=open_parts[tail],
            table=table,
            goal=want,
            rng=rng,
            walks=walks,
        )
    return parts


def _place_largest(
    counts: Int[np.ndarray, "p k s"],
    need: Float64[np.ndarray, "k s 3"],
    *,
    targets: Int[np.ndarray, "k 3"],
    open_parts: Bool[np.ndarray, "p 3"],
    rng: np.random.Generator,
) -> tuple[Int64[np.ndarray, " p"], list[list[int]]]:
    """Assign the single-class patients that no table has room for; updates `need`.

    Returns:
      The part of each patient, -1 for those not assigned; and by class the others, largest first.
    """
    by_class = counts.sum(axis=2)
    sizes = by_class.sum(axis=1)
    single = (by_class > 0).sum(axis=1) == 1
    parts = np.full(len(counts), -1, np.int64)
    tails: list[list[int]] = []
    for label in range(counts.shape[1]):
        order = sort_largest_first(
            np.flatnonzero(single & (by_class[:, label] > 0)), sizes, rng=rng
        )
        cut = len(order) - _table_patients(sizes[order], targets[label])
        placed = walk_by_need(counts, need, order=order[:cut], rng=rng, open_parts=open_parts)
        parts = np.maximum(parts, placed)
        tails.append(order[cut:])
    return parts, tails


def _count_by_part(
    by_class: Int[np.ndarray, "p k"], parts: Int64[np.ndarray, " p"]
) -> Int64[np.ndarray, "k 3"]:
    return np.stack([by_class[parts == part].sum(axis=0) for part in range(3)], axis=1)


def _table_patients(sizes: Int[np.ndarray, " m"], targets: Int[np.ndarray, " 3"]) -> int:
    """How many of the last (smallest) patients of a class have a table within `TABLE_BITS`."""
    number = np.arange(1, len(sizes) + 1)
    smallest_first = sizes[::-1]
    slices = np.cumsum(smallest_first)
    shares = targets / max(int(sizes.sum()), 1)
    height = slices * shares[VALIDATION] + smallest_first + 1
    width = slices * shares[TEST] + smallest_first + 1
    return int(np.count_nonzero(number * height * width <= TABLE_BITS))


def _assign_spanning(
    counts: Int[np.ndarray, "m k s"],
    *,
    open_parts: Bool[np.ndarray, "m 3"],
    need: Float64[np.ndarray, "k s 3"],
    tables: Sequence[SumTable],
    targets: Int[np.ndarray, "k 3"],
    rng: np.random.Generator,
) -> Int64[np.ndarray, " m"]:
    """Parts for the patients with several classes, so that every class stays solvable."""
    by_class = counts.sum(axis=2)

    def missing(pins: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, "k 3"]:
        return targets - _count_by_part(by_class, pins)

    def walk_once() -> Int64[np.ndarray, " m"]:
        order = sort_largest_first(np.arange(len(counts)), by_class.sum(axis=1), rng=rng)
        return walk_by_need(counts, need.copy(), order=order, rng=rng, open_parts=open_parts)

    first = [walk_once() for _ in range(GUIDED_PINS if len(counts) else 1)]
    for pins in itertools.chain(first, _all_pins(open_parts, rng)):
        remaining = missing(pins)
        if all(
            table.holds(0, int(w[1]), int(w[2])) for table, w in zip(tables, remaining, strict=True)
        ):
            return pins
    distances = [
        sum(
            table.closest(int(w[1]), int(w[2]))[2]
            for table, w in zip(tables, missing(pins), strict=True)
        )
        for pins in first
    ]
    return first[int(np.argmin(distances))]


def _all_pins(
    open_parts: Bool[np.ndarray, "m 3"], rng: np.random.Generator
) -> Iterator[Int64[np.ndarray, " m"]]:
    """All combinations of open parts in random order; of more than `ALL_PINS` some random ones."""
    number = len(open_parts)
    if 3**number > ALL_PINS:
        pins = rng.integers(0, 3, (ALL_PINS, number), dtype=np.int64)
    elif number:
        combinations = np.array(list(itertools.product(range(3), repeat=number)), np.int64)
        pins = rng.permutation(combinations)
    else:
        return
    yield from pins[open_parts[np.arange(number), pins].all(axis=1)]


def _best_walk(
    counts: Int[np.ndarray, "m k s"],
    need: Float64[np.ndarray, "k s 3"],
    *,
    open_parts: Bool[np.ndarray, "m 3"],
    table: SumTable,
    goal: Int[np.ndarray, " 3"],
    rng: np.random.Generator,
    walks: int,
) -> Int64[np.ndarray, " m"]:
    """Of `walks` exact walks the one whose strata miss their quotas least."""
    validation, test, _ = table.closest(int(goal[VALIDATION]), int(goal[TEST]))
    touched = (counts.sum(axis=0) > 0)[:, :, None]
    best, least = np.zeros(len(counts), np.int64), np.inf
    for _ in range(walks):
        left = need.copy()
        parts = _exact_walk(
            counts,
            left,
            open_parts=open_parts,
            table=table,
            validation=validation,
            test=test,
            rng=rng,
        )
        miss = float((np.where(touched, left, 0.0) ** 2 / (np.abs(need) + 1.0)).sum())
        if miss < least:
            best, least = parts, miss
    return best


def _exact_walk(
    counts: Int[np.ndarray, "m k s"],
    need: Float64[np.ndarray, "k s 3"],
    *,
    open_parts: Bool[np.ndarray, "m 3"],
    table: SumTable,
    validation: int,
    test: int,
    rng: np.random.Generator,
) -> Int64[np.ndarray, " m"]:
    """Assign the patients so that validation and test get exactly these sums; updates `need`."""
    parts = np.zeros(len(counts), np.int64)
    for position, slices in enumerate(counts):
        size = int(slices.sum())
        after = {
            TRAIN: (validation, test),
            VALIDATION: (validation - size, test),
            TEST: (validation, test - size),
        }
        is_solvable = np.array([table.holds(position + 1, *sums) for sums in after.values()])
        possible = is_solvable & open_parts[position]
        part = choose_part(slices, need, rng=rng, open_parts=possible)
        validation, test = after[part]
        need[..., part] -= slices
        parts[position] = part
    return parts
