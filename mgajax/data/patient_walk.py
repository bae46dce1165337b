"""Placing whole patients into parts one by one, so that strata come out even.

A stratum is a (class, source) pair; a part is a split or a fold. Nothing here is exact: see
`mgajax.data.exact_counts` for that.
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

    A part that the patient would overshoot by more than half of its slices is taken only when all
    open parts are like that; then the part that lacks the most.

    Args:
      slices: the patient's slices by stratum, some > 0.
      need: slices that each part still lacks, by stratum; may be negative.
      rng: one number is drawn from it.
      open_parts: parts that may be taken, at least one.
    """
    weights = slices / slices.sum()
    lack = np.tensordot(weights, need, axes=slices.ndim)
    fits = open_parts & (lack >= np.tensordot(weights, slices, axes=slices.ndim) / 2)
    draw = rng.random()
    if not fits.any():
        lack = np.where(open_parts, lack, -np.inf)
        most = np.flatnonzero(lack == lack.max())
        return int(most[int(draw * len(most))])
    fitting = np.flatnonzero(fits)
    chances = np.cumsum(lack[fitting])
    drawn = int(np.searchsorted(chances[:-1], draw * chances[-1], side="right"))
    return int(fitting[drawn])


def walk_by_need(
    counts: Int[np.ndarray, "p k s"],
    need: Float64[np.ndarray, "k s parts"],
    *,
    order: Sequence[int],
    rng: np.random.Generator,
    open_parts: Bool[np.ndarray, "p parts"],
) -> Int64[np.ndarray, " p"]:
    """Place the patients of `order` one after the other by `choose_part`; `need` is updated.

    Args:
      counts: slices of each patient by class and source.
      need: slices that each part still lacks.
      order: the patients to place, in this order.
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


def deal(
    counts: Int64[np.ndarray, "p k s"], *, hands: int, rng: np.random.Generator
) -> Int64[np.ndarray, " p"]:
    """Deal patients into `hands` even parts, roughly by falling size.

    Each patient goes where its stratum, its class and the slices of all classes, added up, are
    fewest so far. Sizes are shaken by up to a half first: another seed deals another way.
    """
    sizes = counts.sum(axis=(1, 2))
    order = np.argsort(-sizes * rng.uniform(0.5, 1.0, len(sizes)), kind="stable")
    names = rng.permutation(hands)
    held = np.zeros((*counts.shape[1:], hands), np.int64)
    parts = np.zeros(len(counts), np.int64)
    for patient in order:
        slices = counts[patient]
        stratum = np.tensordot(slices, held, axes=2) / sizes[patient]
        label = slices.sum(axis=1) @ held.sum(axis=1) / sizes[patient]
        fewest = int((stratum + label + held.sum(axis=(0, 1))).argmin())
        held[..., fewest] += slices
        parts[patient] = names[fewest]
    return parts


def largest_first(
    patients: Int[np.ndarray, " m"], sizes: Int[np.ndarray, " p"], *, rng: np.random.Generator
) -> list[int]:
    """`patients` by falling size, equals in random order: small ones come last, to even out."""
    ties = rng.random(len(patients))
    return [int(one) for one in patients[np.lexsort((ties, -sizes[patients]))]]


def quotas(
    counts: Int[np.ndarray, "p k s"], targets: Int[np.ndarray, "k parts"]
) -> Float64[np.ndarray, "k s parts"]:
    """Slices that each stratum should give to each part: its share of the class's targets."""
    slices = counts.sum(axis=0)
    totals = np.maximum(slices.sum(axis=1), 1)
    return slices[:, :, None] * (targets / totals[:, None])[:, None, :]


def cover(
    parts: Int64[np.ndarray, " p"],
    by_class: Int64[np.ndarray, "p k"],
    *,
    orders: Sequence[Sequence[int]],
    open_parts: Bool[np.ndarray, "p parts"],
) -> None:
    """Give each class at least one patient in each of its first parts; `parts` is updated.

    A class with m patients reaches the first m parts of its order. Patients come from parts that
    have one to spare, single-class patients first, then small ones.

    Args:
      parts: the part of each patient.
      by_class: slices of each patient by class.
      orders: for each class the parts that it should reach, most important first.
      open_parts: the parts that each patient may go to; a part that none may enter stays empty.
    """
    sizes = by_class.sum(axis=1)
    spans = (by_class > 0).sum(axis=1)
    for members, order in zip((by_class > 0).T, orders, strict=True):
        wanted = list(order[: int(members.sum())])
        for part in wanted:
            if (members & (parts == part)).any():
                continue
            spare = members & ~np.isin(
                parts, [w for w in wanted if (parts[members] == w).sum() < 2]
            )
            movable = np.flatnonzero(spare & open_parts[:, part])
            if not movable.size:
                continue
            parts[movable[np.lexsort((sizes[movable], spans[movable]))[0]]] = part
