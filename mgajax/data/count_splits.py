"""Splits by slice counts: those of Table 2, or shares of each class.

See `mgajax.data.splits`.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from mgajax import paper
from mgajax.data.columns import SliceColumns
from mgajax.data.exact_counts import WALKS, assign_exactly
from mgajax.data.patient_groups import (
    PatientGroups,
    Split,
    class_counts,
    group_patients,
    patient_keys,
)
from mgajax.data.patient_walk import cover_classes
from mgajax.errors import ConfigError, DataError
from mgajax.schema import CLASS_NAMES, COVID, SPLITS

TABLE2_COUNTS: Int64[np.ndarray, "k 3"] = np.array(
    [[paper.TABLE2[split][name] for split in SPLITS] for name in CLASS_NAMES], np.int64
)
"""Slices by class (rows, in the order of the schema) and train, validation, test. Paper Table 2."""

LESION_COUNTS: Int64[np.ndarray, "k 3"] = np.array(
    [
        [paper.LESION_SPLIT[split] if label == COVID else 0 for split in SPLITS]
        for label in range(len(CLASS_NAMES))
    ],
    np.int64,
)
"""The same for the annotated slices of step 1, which are all COVID-19. Paper §5.1."""

TABLE2_FRACTIONS: tuple[float, float, float] = (
    int(TABLE2_COUNTS[:, 0].sum()) / int(TABLE2_COUNTS.sum()),
    int(TABLE2_COUNTS[:, 1].sum()) / int(TABLE2_COUNTS.sum()),
    int(TABLE2_COUNTS[:, 2].sum()) / int(TABLE2_COUNTS.sum()),
)
"""Table 2's shares of all slices: 0.700 train, 0.227 validation, 0.072 test."""

_LESION_WALKS = 50
"""More than for Table 2: a sixth of the patients have two thirds of the slices, so few solutions are
well balanced."""

_COVER_ORDER = (0, 2, 1)
"""Order in which parts get a patient of a small class: train, test, validation."""


def default_split(table: SliceColumns, *, seed: int) -> Split:
    """The split of a built data set: Table 2 where it applies.

    The full curated set (class counts of Table 1) gets Table 2's counts exactly. Any other set,
    and a full-sized one whose patients cannot meet them, gets Table 2's proportions by class.

    Raises:
      DataError: see `group_patients`.
    """
    groups = group_patients(table)
    return _by_published_counts(
        "table2", groups, counts=TABLE2_COUNTS, seed=seed, open_parts=groups.all_parts_open()
    )


def lesion_split(
    table: SliceColumns, *, seed: int, held_out: Collection[str] = frozenset()
) -> Split:
    """The split of the built lesion set: the paper's 2,329/200/200 where it applies.

    The full set gets exactly these counts, of whole patients and with its sources in proportion as far
    as whole patients allow. Any other set gets the same proportions. The paper does not say whether
    its split kept patients together; `leaking_slices` does not.

    Args:
      table: the annotated slices [n].
      seed: chooses among the solutions.
      held_out: patients who test a classifier that is guided by masks of this segmenter. They never
        train: they test or, where they have more slices than the test set, test and validate.

    Raises:
      DataError: see `group_patients`.
    """
    groups = group_patients(table)
    keys = patient_keys(np.array(sorted(held_out), np.str_))
    is_held_out = np.isin(groups.keys, keys)
    open_parts = groups.all_parts_open()
    open_parts[is_held_out, 0] = False
    slices = groups.counts.sum(axis=(1, 2))
    test = _shares_of(LESION_COUNTS)[COVID, 2] * slices.sum()
    open_parts[is_held_out, 1] = slices[is_held_out].sum() > test
    split = _by_published_counts(
        "lesions",
        groups,
        counts=LESION_COUNTS,
        seed=seed,
        walks=_LESION_WALKS,
        open_parts=open_parts,
    )
    if not held_out:
        return split
    note = f"{is_held_out.sum()} patients who test the classifier do not train here"
    return replace(split, notes=(*split.notes, note))


def table2_split(table: SliceColumns, *, seed: int) -> Split:
    """Exactly the slice counts of Table 2, with whole patients; one of very many solutions.

    The paper does not publish its assignment of patients. Each seed gives another one with the same
    counts, and the sources balanced as far as whole patients allow.

    Raises:
      DataError: the class counts are not those of the full set, or whole patients cannot make
        Table 2's; the class, its counts and the closest ones are named.
    """
    groups = group_patients(table)
    totals = groups.counts.sum(axis=(0, 2))
    for label in np.flatnonzero(TABLE2_COUNTS.sum(axis=1) != totals):
        raise DataError(
            f"split 'table2': {CLASS_NAMES[label]} {_format_counts(TABLE2_COUNTS[label])} sums to "
            f"{TABLE2_COUNTS[label].sum()}, but the data set has {totals[label]} slices of it; use "
            "split kind 'stratified' for a set of another size"
        )
    split = _split_by_counts(
        "table2", groups, targets=TABLE2_COUNTS, seed=seed, open_parts=groups.all_parts_open()
    )
    if split.notes:
        raise DataError(f"split 'table2': {split.notes[0]}; use split kind 'stratified'")
    return split


def stratified_split(
    table: SliceColumns,
    *,
    fractions: tuple[float, float, float] = TABLE2_FRACTIONS,
    seed: int,
) -> Split:
    """Whole patients, each class divided by `fractions`, its sources as far as possible too.

    A class's counts are the closest to its share that its patients can make (smallest sum of
    deviations over the splits; in practice exact from a few dozen patients on). A class with fewer
    patients than splits goes to train, then test, then validation, one patient each; with at least as
    many, every split gets one. The split's notes say what a class misses.

    Args:
      table: the slices [n].
      fractions: shares of train, validation, test; they sum to 1. Table 2's by default.
      seed: chooses among the solutions.

    Raises:
      ConfigError: `fractions` do not sum to 1, or one is negative.
      DataError: see `group_patients`.
    """
    groups = group_patients(table)
    if min(fractions) < 0 or abs(sum(fractions) - 1.0) > 1e-6:
        raise ConfigError(
            f"fractions={fractions} must be shares >= 0 that sum to 1, for example (0.7, 0.15, 0.15)"
        )
    shares = np.tile(np.array(fractions), (len(CLASS_NAMES), 1))
    return _split_by_shares(
        "stratified", groups, shares=shares, seed=seed, open_parts=groups.all_parts_open()
    )


def _by_published_counts(
    name: str,
    groups: PatientGroups,
    *,
    counts: Int64[np.ndarray, "k 3"],
    seed: int,
    open_parts: Bool[np.ndarray, "p 3"],
    walks: int = WALKS,
) -> Split:
    """Exactly `counts` for a set of their size; otherwise, or where impossible, their proportions."""
    if (groups.counts.sum(axis=(0, 2)) == counts.sum(axis=1)).all():
        split = _split_by_counts(
            name, groups, targets=counts, seed=seed, walks=walks, open_parts=open_parts
        )
        if not split.notes:
            return split
    shares = _shares_of(counts)
    return _split_by_shares("default", groups, shares=shares, seed=seed, open_parts=open_parts)


def _split_by_counts(
    name: str,
    groups: PatientGroups,
    *,
    targets: Int64[np.ndarray, "k 3"],
    seed: int,
    open_parts: Bool[np.ndarray, "p 3"],
    walks: int = WALKS,
) -> Split:
    """The closest counts to `targets`; a note for each class that misses them."""
    rng = np.random.default_rng(seed)
    parts = assign_exactly(
        counts=groups.counts, targets=targets, rng=rng, walks=walks, open_parts=open_parts
    )
    reached = class_counts(parts[groups.rows], groups.labels)
    notes = [
        f"{CLASS_NAMES[label]} cannot have {_format_counts(targets[label])} train/validation/test slices "
        f"with whole patients; closest: {_format_counts(reached[label])}"
        for label in np.flatnonzero((reached != targets).any(axis=1))
    ]
    return groups.split(name, parts, notes=notes)


def _split_by_shares(
    name: str,
    groups: PatientGroups,
    *,
    shares: Float64[np.ndarray, "k 3"],
    seed: int,
    open_parts: Bool[np.ndarray, "p 3"],
) -> Split:
    """Each class by its `shares` as closely as its patients allow, and in every part if possible."""
    totals = groups.counts.sum(axis=(0, 2))
    targets = np.floor(totals[:, None] * np.cumsum(shares, axis=1) + 0.5).astype(np.int64)
    targets[:, -1] = totals
    targets = np.diff(targets, axis=1, prepend=0)
    rng = np.random.default_rng(seed)
    parts = assign_exactly(counts=groups.counts, targets=targets, rng=rng, open_parts=open_parts)
    orders = [[part for part in _COVER_ORDER if share[part] > 0] for share in shares]
    cover_classes(parts, groups.counts.sum(axis=2), orders=orders, open_parts=open_parts)
    return groups.split(name, parts, notes=groups.missing_classes(parts[groups.rows]))


def _shares_of(counts: Int64[np.ndarray, "k 3"]) -> Float64[np.ndarray, "k 3"]:
    """Each class's shares; those of all classes together for a class that `counts` lacks."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.where(totals > 0, counts / np.maximum(totals, 1), counts.sum(axis=0) / counts.sum())


def _format_counts(counts: np.ndarray) -> str:
    return "/".join(str(int(count)) for count in counts)
