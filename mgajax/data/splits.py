"""Train, validation and test sets of whole patients: every kind of split.

Each takes the columns of the slices (`mgajax.data.columns`). The same columns and seed give the same
split, whatever the order of the rows. `make_split` makes the split of a configuration. Only
`leaking_slices` does not keep patients together; its name, its mark and its notes say so.
"""

import numpy as np

from mgajax.data.count_splits import (
    LESION_COUNTS,
    TABLE2_COUNTS,
    TABLE2_FRACTIONS,
    default_split,
    lesion_split,
    stratified_split,
    table2_split,
)
from mgajax.data.leaking_splits import leaking_slices
from mgajax.data.patient_groups import SPLIT_CODES, Split, assert_patient_disjoint
from mgajax.data.pool_splits import (
    TABLE2_VALIDATION,
    fraction_split,
    k_fold,
    leave_one_source_out,
)
from mgajax.data.split_csv import split_from_csv, write_split_csv
from mgajax.data.table import SliceTable
from mgajax.errors import ConfigError, DataError, nearest

__all__ = [
    "KINDS",
    "LESION_COUNTS",
    "TABLE2_COUNTS",
    "TABLE2_FRACTIONS",
    "TABLE2_VALIDATION",
    "Split",
    "assert_patient_disjoint",
    "default_split",
    "fraction_split",
    "k_fold",
    "leaking_slices",
    "leave_one_source_out",
    "lesion_split",
    "make_split",
    "split_from_csv",
    "stratified_split",
    "table2_split",
    "write_split_csv",
]

KINDS: tuple[str, ...] = (
    "built",
    "table2",
    "stratified",
    "fraction",
    "kfold",
    "leave_one_source_out",
    "csv",
    "leaking_slices",
)
"""Every kind of split by its name in a configuration."""


def make_split(
    table: SliceTable,
    *,
    kind: str,
    seed: int,
    fraction: float = 0.7,
    k: int = 5,
    fold: int = 0,
    source: str = "",
    path: str = "",
) -> Split:
    """The split of a configuration, checked for patients in two splits.

    Kinds, with the options that they read: built; table2; stratified; fraction (`fraction`); kfold
    (`k`, `fold`); leave_one_source_out (`source`); csv (`path`); leaking_slices.
    docs/reference/splits.md says what each does.

    Args:
      table: columns of the data set.
      kind: one of `KINDS`.
      seed: chooses among the possible splits, >= 0; unused by built and csv.
      fraction, k, fold, source, path: see the kinds; the others ignore them.

    Raises:
      ConfigError: an unknown kind, or an option out of range.
      DataError: the data set cannot be split like this.
      LeakageError: a patient is in two splits (kinds built and csv), and the split is not marked as
        leaking (`Split.leaks`).
    """
    if seed < 0:
        raise ConfigError(f"split seed={seed} is negative; use an integer >= 0")
    match kind:
        case "built":
            split = _built(table)
        case "table2":
            split = table2_split(table, seed=seed)
        case "stratified":
            split = stratified_split(table, seed=seed)
        case "fraction":
            split = fraction_split(table, base=_built(table), fraction=fraction, seed=seed)
        case "kfold":
            split = k_fold(table, k=k, fold=fold, seed=seed)
        case "leave_one_source_out":
            split = leave_one_source_out(table, source=source, seed=seed)
        case "csv":
            split = _from_csv(table, path=path)
        case "leaking_slices":
            split = leaking_slices(table, base=_built(table), seed=seed)
        case _:
            raise ConfigError(f"split kind={kind!r} is not known; {nearest(kind, KINDS)}")
    assert_patient_disjoint(split, table.patients)
    return split


def _built(table: SliceTable) -> Split:
    codes = table.built_split
    if not np.isin(codes, list(SPLIT_CODES.values())).all():
        raise DataError(
            f"built_split holds {sorted(set(codes.tolist()))}; expected {SPLIT_CODES}; rebuild the "
            "data set"
        )
    return Split("built", codes)


def _from_csv(table: SliceTable, *, path: str) -> Split:
    if not path:
        raise ConfigError("split kind='csv' reads a file, but path=''; set split.path to it")
    return split_from_csv(path, table=table)
