"""Splits by shares of a pool of patients: fractions for data-size curves, folds, left-out sources.

See `mgajax.data.splits`.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64

from mgajax.data.columns import SliceColumns
from mgajax.data.count_splits import TABLE2_COUNTS
from mgajax.data.patient_groups import Split, assert_patient_disjoint, group_patients
from mgajax.data.patient_walk import cover_classes, deal_evenly
from mgajax.errors import ConfigError, DataError, nearest

TABLE2_VALIDATION: float = float(TABLE2_COUNTS[:, 1].sum() / TABLE2_COUNTS[:, :2].sum())
"""Validation's share of train + validation in Table 2 (0.245), used where the paper gives none."""


def fraction_split(table: SliceColumns, *, base: Split, fraction: float, seed: int) -> Split:
    """Train on a fraction of `base`'s train + validation, validate on the rest; test is `base`'s.

    Paper §6.3 (10-90 %, and 70-30). Each seed has one order of the patients, with the sources evenly
    mixed, and the first ones train. So the training set at 20 % is part of the one at 30 %, and a
    curve over fractions shows the effect of the added patients alone. A class misses its fraction by
    at most half of the patient at the cut; but its first patient always trains and, where it has two,
    its last one always validates. Rows left out of `base` stay out.

    Args:
      table: the slices [n].
      base: fixes the test set.
      fraction: training's share of train + validation, in (0, 1).
      seed: the order.

    Raises:
      ConfigError: fraction outside (0, 1).
      DataError: `base` has no rows in train or validation.
      LeakageError: a patient of `base` is in two splits, declared or not.
    """
    if not 0.0 < fraction < 1.0:
        raise ConfigError(f"fraction={fraction!r} is not in (0, 1); for example 0.7 for 70-30")
    assert_patient_disjoint(replace(base, leaks=False), table.patients)
    groups = group_patients(table)
    pool = (base.assignment == 0) | (base.assignment == 1)
    if not pool.any():
        raise DataError(f"split {base.name!r} has no train or validation rows to take a share of")
    parts = _first_part(groups.counts_in(pool), fraction=fraction, rng=np.random.default_rng(seed))
    assignment = np.where(pool, parts[groups.rows], base.assignment).astype(np.int8)
    return Split(f"fraction-{fraction:g}", assignment, groups.missing_classes(assignment))


def k_fold(table: SliceColumns, *, k: int, fold: int, seed: int) -> Split:
    """Fold `fold` of `k` as the test set; over all folds every patient is tested exactly once.

    The folds are even in each class and source. A class with fewer patients than folds is absent from
    some test sets (see the notes). Table 2's share of the other folds validates.

    Args:
      table: the slices [n].
      k: number of folds, >= 2.
      fold: which one is the test set, 0..k-1.
      seed: the folds; keep it the same over them.

    Raises:
      ConfigError: k or fold out of range.
      DataError: fewer patients than folds; see also `group_patients`.
    """
    if k < 2:
        raise ConfigError(f"k={k} folds are too few; use at least 2")
    if not 0 <= fold < k:
        raise ConfigError(f"fold={fold} is not in 0..{k - 1}; folds count from 0")
    groups = group_patients(table)
    if len(groups.keys) < k:
        raise DataError(f"{len(groups.keys)} patients cannot make k={k} folds; use fewer folds")
    folds = _folds(groups.counts, k=k, rng=np.random.default_rng([seed, k]))
    rest = np.where((folds == fold)[:, None, None], 0, groups.counts)
    rng = np.random.default_rng([seed, k, fold])
    remaining = _first_part(rest, fraction=1.0 - TABLE2_VALIDATION, rng=rng)
    parts = np.where(folds == fold, 2, remaining)
    assignment = parts[groups.rows]
    return groups.split(f"fold-{fold}-of-{k}", parts, notes=groups.missing_classes(assignment))


def leave_one_source_out(table: SliceColumns, *, source: str, seed: int) -> Split:
    """Test on all slices of one source, train and validate on the patients of the others.

    A person who is also in another source (a merged double identity) is tested with the slices of
    `source`; the other slices are left out, since they would leak. Table 2's share of the other
    sources validates.

    Args:
      table: the slices [n].
      source: the source to test on.
      seed: the division of the others.

    Raises:
      ConfigError: `source` is not in the data set.
      DataError: there is no other source; see also `group_patients`.
    """
    groups = group_patients(table)
    if source not in groups.sources:
        known = [str(name) for name in groups.sources]
        raise ConfigError(f"source={source!r} is not in the data set; {nearest(source, known)}")
    test = table.sources == source
    is_tested = groups.counts_in(test).sum(axis=(1, 2)) > 0
    rest = np.where(is_tested[:, None, None], 0, groups.counts)
    if not rest.any():
        raise DataError(f"all patients are in source={source!r}; nothing is left to train on")
    parts = _first_part(rest, fraction=1.0 - TABLE2_VALIDATION, rng=np.random.default_rng(seed))
    elsewhere = is_tested[groups.rows] & ~test
    assignment = np.where(test, 2, np.where(elsewhere, -1, parts[groups.rows])).astype(np.int8)
    notes = list(groups.missing_classes(assignment))
    if elsewhere.any():
        notes.append(
            f"{elsewhere.sum()} slices of {source}'s patients in other sources are left out"
        )
    return Split(f"leave-out-{source}", assignment, tuple(notes))


def _folds(
    counts: Int64[np.ndarray, "p k s"], *, k: int, rng: np.random.Generator
) -> Int64[np.ndarray, " p"]:
    folds = deal_evenly(counts, parts=k, rng=rng)
    by_class = counts.sum(axis=2)
    fills_all = (by_class > 0).sum(axis=0) >= k
    orders = [range(k) if fills else () for fills in fills_all]
    cover_classes(folds, by_class, orders=orders, open_parts=np.ones((len(counts), k), bool))
    return folds


def _first_part(
    counts: Int64[np.ndarray, "p k s"], *, fraction: float, rng: np.random.Generator
) -> Int64[np.ndarray, " p"]:
    """0 for the patients in the first `fraction` of their class's order, 1 for the others.

    Each patient counts in the class and source of most of its slices; patients without slices get 1.
    Within a stratum the order is random. Strata are merged by relative position, so that every prefix
    has the sources in proportion.
    """
    people, classes, sources = counts.shape
    sizes = counts.reshape(people, -1)
    stratum = sizes.argmax(axis=1)
    size = sizes.sum(axis=1)
    shuffled = rng.permutation(people)
    position = np.zeros(people)
    for number in range(classes * sources):
        members = shuffled[(stratum[shuffled] == number) & (size[shuffled] > 0)]
        position[members] = _midpoints(size[members])
    parts = np.ones(people, np.int64)
    for label in range(classes):
        members = shuffled[(stratum[shuffled] // sources == label) & (size[shuffled] > 0)]
        members = members[np.argsort(position[members], kind="stable")]
        if not members.size:
            continue
        parts[members] = _midpoints(size[members]) > fraction
        parts[members[-1]] = 1
        parts[members[0]] = 0
    return parts


def _midpoints(sizes: Int64[np.ndarray, " m"]) -> Float64[np.ndarray, " m"]:
    """The middle of each of the sizes laid end to end on [0, 1]."""
    return (np.cumsum(sizes) - sizes / 2) / max(int(sizes.sum()), 1)
