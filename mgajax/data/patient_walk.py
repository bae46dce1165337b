"""Assigning whole patients to parts one by one, so that strata are balanced.

A stratum is a (class, source) pair; a part is a split or a fold. Counts are approximate;
`mgajax.data.exact_counts` makes them exact.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64


def choose_part(
    slices: Int[np.ndarray, "*strata"],
    need: Float64[np.ndarray, "*strata parts"],
    *,
    rng: np.random.Generator,
    open_parts: Bool[np.ndarray, " parts"],
) -> int:
    """A part for one patient: at random, weighted by what its strata still lack in each part.

    A part that the patient would overfill by more than half of its slices is chosen only when all
    open parts are like that; then it is the part that lacks the most.

    Args:
      slices: the patient's slices by stratum, some > 0.
      need: slices that each part still lacks, by stratum; may be negative.
      rng: one number is drawn from it.
      open_parts: parts that may be taken, at least one.
    """
    weights = slices / slices.sum()
    lack = np.tensordot(weights, need, axes=slices.ndim)
    has_room = open_parts & (lack >= np.tensordot(weights, slices, axes=slices.ndim) / 2)
    draw = rng.random()
    if not has_room.any():
        lack = np.where(open_parts, lack, -np.inf)
        neediest = np.flatnonzero(lack == lack.max())
        return int(neediest[int(draw * len(neediest))])
    candidates = np.flatnonzero(has_room)
    chances = np.cumsum(lack[candidates])
    drawn = int(np.searchsorted(chances[:-1], draw * chances[-1], side="right"))
    return int(candidates[drawn])


def walk_by_need(
    counts: Int[np.ndarray, "p k s"],
    need: Float64[np.ndarray, "k s parts"],
    *,
    order: Sequence[int],
    rng: np.random.Generator,
    open_parts: Bool[np.ndarray, "p parts"],
) -> Int64[np.ndarray, " p"]:
    """Assign the patients of `order` one after another by `choose_part`; `need` is updated.

    Args:
      counts: slices of each patient by class and source.
      need: slices that each part still lacks.
      order: the patients to assign, in this order.
      rng: source of the choice.
      open_parts: the parts that each patient may go to.

    Returns:
      The part of each patient, int64 [p]; -1 for those not in `order`.
    """
    parts = np.full(len(counts), -1, np.int64)
    for patient in order:
        parts[patient] = choose_part(counts[patient], need, rng=rng, open_parts=open_parts[patient])
        need[..., parts[patient]] -= counts[patient]
    return parts


def deal_evenly(
    counts: Int64[np.ndarray, "p k s"], *, parts: int, rng: np.random.Generator
) -> Int64[np.ndarray, " p"]:
    """Deal patients into `parts` even parts, roughly by falling size.

    Each patient goes to the part with the smallest sum of slices of its stratum, of its class and of
    all classes so far. Sizes are first reduced at random by up to a half, so each seed deals
    differently.
    """
    sizes = counts.sum(axis=(1, 2))
    order = np.argsort(-sizes * rng.uniform(0.5, 1.0, len(sizes)), kind="stable")
    numbers = rng.permutation(parts)
    dealt = np.zeros((*counts.shape[1:], parts), np.int64)
    assigned = np.zeros(len(counts), np.int64)
    for patient in order:
        slices = counts[patient]
        stratum = np.tensordot(slices, dealt, axes=2) / sizes[patient]
        label = slices.sum(axis=1) @ dealt.sum(axis=1) / sizes[patient]
        fewest = int((stratum + label + dealt.sum(axis=(0, 1))).argmin())
        dealt[..., fewest] += slices
        assigned[patient] = numbers[fewest]
    return assigned


def sort_largest_first(
    patients: Int[np.ndarray, " m"], sizes: Int[np.ndarray, " p"], *, rng: np.random.Generator
) -> list[int]:
    """`patients` by falling size, equals in random order: the small ones come last, to balance parts."""
    ties = rng.random(len(patients))
    return [int(patient) for patient in patients[np.lexsort((ties, -sizes[patients]))]]


def quotas(
    counts: Int[np.ndarray, "p k s"], targets: Int[np.ndarray, "k parts"]
) -> Float64[np.ndarray, "k s parts"]:
    """Slices that each part should get of each stratum: its share of the class's targets."""
    slices = counts.sum(axis=0)
    totals = np.maximum(slices.sum(axis=1), 1)
    return slices[:, :, None] * (targets / totals[:, None])[:, None, :]


def cover_classes(
    parts: Int64[np.ndarray, " p"],
    by_class: Int64[np.ndarray, "p k"],
    *,
    orders: Sequence[Sequence[int]],
    open_parts: Bool[np.ndarray, "p parts"],
) -> None:
    """Give each class at least one patient in each of its first parts; `parts` is updated.

    A class with m patients reaches the first m parts of its order. Patients are moved from parts that
    keep one, single-class patients first, then small ones.

    Args:
      parts: the part of each patient.
      by_class: slices of each patient by class.
      orders: the parts that each class should reach, the most important first.
      open_parts: the parts that each patient may go to; a part that none may enter stays empty.
    """
    sizes = by_class.sum(axis=1)
    spans = (by_class > 0).sum(axis=1)
    for members, order in zip((by_class > 0).T, orders, strict=True):
        targets = list(order[: int(members.sum())])
        for part in targets:
            if (members & (parts == part)).any():
                continue
            spare = members & ~np.isin(
                parts, [other for other in targets if (parts[members] == other).sum() < 2]
            )
            movable = np.flatnonzero(spare & open_parts[:, part])
            if not movable.size:
                continue
            parts[movable[np.lexsort((sizes[movable], spans[movable]))[0]]] = part
