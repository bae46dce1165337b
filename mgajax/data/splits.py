"""Train, validation and test sets of whole patients: every way to make them.

All functions take the columns of a data set, one entry a row (slice): `labels` (class codes of
`mgajax.schema`), `patients` (source-qualified, double identities merged), `sources`. The same
columns and seed give the same split, whatever the order of the rows. `make_split` is the one
entry that a training configuration needs. The one exception from whole patients is
`leaking_slices`, which says so in its name, its mark and its notes.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, get_origin, runtime_checkable

import numpy as np

from mgajax.data.count_splits import (
    LESION_COUNTS,
    TABLE2_COUNTS,
    TABLE2_FRACTIONS,
    counts_split,
    default_split,
    lesion_split,
    stratified_split,
    table2_split,
)
from mgajax.data.leaking_splits import LEAKING_SLICES, leaking_slices
from mgajax.data.patient_groups import SPLIT_CODES, Split, assert_patient_disjoint, describe
from mgajax.data.pool_splits import (
    TABLE2_VALIDATION,
    fraction_split,
    k_fold,
    leave_one_source_out,
)
from mgajax.data.split_csv import split_from_csv, write_split_csv
from mgajax.errors import ConfigError, DataError, nearest

__all__ = [
    "KINDS",
    "LESION_COUNTS",
    "TABLE2_COUNTS",
    "TABLE2_FRACTIONS",
    "TABLE2_VALIDATION",
    "SliceColumns",
    "Split",
    "assert_patient_disjoint",
    "counts_split",
    "default_split",
    "describe",
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


@runtime_checkable
class SliceColumns(Protocol):
    """What a split needs of a built data set's table; one entry a row in each column."""

    @property
    def labels(self) -> np.ndarray:
        """Class codes, int32 [n]."""

    @property
    def patients(self) -> np.ndarray:
        """Patient ids, str [n]."""

    @property
    def sources(self) -> np.ndarray:
        """Sources, str [n]."""

    @property
    def file_names(self) -> np.ndarray:
        """File names, str [n], unique."""

    @property
    def built_split(self) -> np.ndarray:
        """The split written by the builder, int8 [n]; codes of `Split`."""


def make_split(table: SliceColumns, *, kind: str, seed: int, **options: Any) -> Split:
    """The split that a configuration asks for, checked for patients in two splits.

    | kind                 | options (defaults)                                                |
    |----------------------|-------------------------------------------------------------------|
    | built                | none: the one written in the data set                             |
    | table2               | none: Table 2's counts; the full set only                         |
    | stratified           | fractions (Table 2's)                                             |
    | fraction             | fraction; base (built), base_seed (0): where the test set is from |
    | kfold                | k (5), fold (0), validation (Table 2's share)                     |
    | leave_one_source_out | source; validation (Table 2's share)                              |
    | csv                  | path                                                              |
    | leaking_slices       | none: the built split's counts by class, of random slices         |

    Args:
      table: columns of the data set.
      kind: one of `KINDS`.
      seed: chooses among the possible splits, >= 0; unused by built and csv.
      options: those of the kind; an option that is None counts as not given, so that one
        configuration may list them all.

    Raises:
      ConfigError: unknown kind or option, an option missing, of the wrong type or out of range.
      DataError: the data set cannot be split like this.
      LeakageError: a patient stands in two splits (kinds built and csv), and the split is not
        marked as leaking (`Split.leaks`).
    """
    if kind not in KINDS:
        raise ConfigError(f"split kind={kind!r} is not known; {nearest(kind, list(KINDS))}")
    if seed < 0:
        raise ConfigError(f"split seed={seed} is negative; use an integer >= 0")
    given = {name: value for name, value in options.items() if value is not None}
    _check_options(kind, given)
    split = KINDS[kind](table, seed=seed, **given)
    assert_patient_disjoint(split, table.patients)
    return split


def _check_options(kind: str, options: Mapping[str, Any]) -> None:
    signature = inspect.signature(KINDS[kind]).parameters
    known = {name: one for name, one in signature.items() if name not in ("table", "seed")}
    for name, value in options.items():
        if name not in known:
            hint = nearest(name, list(known)) if known else "it takes no options"
            raise ConfigError(f"split option {name}={value!r} is not one of kind={kind!r}; {hint}")
        asked = get_origin(known[name].annotation) or known[name].annotation
        accepted = (int, float) if asked is float else asked
        text_for_other = isinstance(value, str) and asked is not str
        if isinstance(value, bool) or text_for_other or not isinstance(value, accepted):
            raise ConfigError(
                f"split option {name}={value!r} of kind={kind!r} is a {type(value).__name__}; "
                f"expected {asked.__name__}"
            )
    for name, one in known.items():
        if one.default is inspect.Parameter.empty and name not in options:
            raise ConfigError(f"split kind={kind!r} needs the option {name!r}; set it")


def _columns(table: SliceColumns) -> dict[str, np.ndarray]:
    return {"labels": table.labels, "patients": table.patients, "sources": table.sources}


def _built(table: SliceColumns, *, seed: int) -> Split:
    del seed
    codes = np.asarray(table.built_split)
    if not np.isin(codes, list(SPLIT_CODES.values())).all():
        raise DataError(
            f"built_split holds {sorted(set(codes.tolist()))}; expected {SPLIT_CODES}; rebuild the "
            "data set"
        )
    return Split("built", codes.astype(np.int8))


def _table2(table: SliceColumns, *, seed: int) -> Split:
    return table2_split(**_columns(table), seed=seed)


def _stratified(
    table: SliceColumns, *, seed: int, fractions: Sequence[float] = TABLE2_FRACTIONS
) -> Split:
    return stratified_split(**_columns(table), fractions=fractions, seed=seed)


def _fraction(
    table: SliceColumns, *, seed: int, fraction: float, base: str = "built", base_seed: int = 0
) -> Split:
    if base not in _BASES:
        raise ConfigError(f"split option base={base!r} is not known; {nearest(base, _BASES)}")
    return fraction_split(
        make_split(table, kind=base, seed=base_seed),
        **_columns(table),
        fraction=fraction,
        seed=seed,
    )


def _kfold(
    table: SliceColumns,
    *,
    seed: int,
    k: int = 5,
    fold: int = 0,
    validation: float = TABLE2_VALIDATION,
) -> Split:
    return k_fold(**_columns(table), k=k, fold=fold, seed=seed, validation=validation)


def _leave_one_source_out(
    table: SliceColumns, *, seed: int, source: str, validation: float = TABLE2_VALIDATION
) -> Split:
    return leave_one_source_out(**_columns(table), source=source, seed=seed, validation=validation)


def _csv(table: SliceColumns, *, seed: int, path: str) -> Split:
    del seed
    return split_from_csv(
        path, file_names=table.file_names, labels=table.labels, patients=table.patients
    )


def _leaking_slices(table: SliceColumns, *, seed: int) -> Split:
    return leaking_slices(
        _built(table, seed=seed),
        labels=table.labels,
        patients=table.patients,
        file_names=table.file_names,
        seed=seed,
    )


_BASES = ("built", "table2", "stratified")

KINDS: Mapping[str, Callable[..., Split]] = {
    "built": _built,
    "table2": _table2,
    "stratified": _stratified,
    "fraction": _fraction,
    "kfold": _kfold,
    "leave_one_source_out": _leave_one_source_out,
    "csv": _csv,
    LEAKING_SLICES: _leaking_slices,
}
"""Every kind of split by its name in a configuration."""
