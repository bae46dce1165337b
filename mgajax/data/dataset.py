"""A data set for training and evaluation: prepared slices, their split, and which masks are known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int

from mgajax.data.cache import PreparedSet, open_prepared_set
from mgajax.data.preparation import Preparation
from mgajax.data.splits import Split, assert_patient_disjoint
from mgajax.data.table import SliceTable
from mgajax.errors import DataError
from mgajax.progress import say
from mgajax.schema import MASK_ORIGINS, NORMAL

NORMAL_MASKS = ("empty", "unknown")
"""How a Normal slice without a mask is read: as empty of lesions, or as unknown."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset(PreparedSet):
    """A prepared data set with its split, for training, evaluation and explanation.

    Attributes:
      split: of the slices.
      mask_weights: 1 where a slice's lesion mask is known, else 0; see `known_masks`.
      is_example: whether a slice is used: it could be decoded, and its mask is known if the task needs
        masks.
    """

    split: Split
    mask_weights: Float32[np.ndarray, "n"]
    is_example: Bool[np.ndarray, "n"]

    def rows(self, split: str) -> Int[np.ndarray, "_"]:
        """Rows of a split's examples."""
        rows = self.split.indices(split)
        return rows[self.is_example[rows]]

    def find_rows(self, file_names: Sequence[str]) -> Int[np.ndarray, "_"]:
        """Rows of the slices of these file names, in the same order."""
        row_of = {name: row for row, name in enumerate(self.table.file_names.tolist())}
        return np.array([row_of[name] for name in file_names], np.int64)

    def has_true_mask(self, rows: Int[np.ndarray, "k"]) -> Bool[np.ndarray, "k"]:
        """Whether a slice's lesion mask is known and no network predicted it, so that results may be
        measured by it."""
        return (self.mask_weights[rows] > 0) & (self.table.mask_origins[rows] != "predicted")


def open_dataset(
    directory: Path | str,
    *,
    settings: Preparation,
    choose_split: Callable[[PreparedSet], Split],
    cache_dir: Path | str | None = None,
    normal_mask: str = "empty",
    mask_origins: Sequence[str] = MASK_ORIGINS[1:],
    needs_masks: bool = False,
    needs_lungs: bool = False,
) -> Dataset:
    """Open a built data set; its slices are prepared the first time.

    Args:
      directory: as for `read_table`.
      settings: of the preparation.
      choose_split: gives the split of the prepared slices; its notes are shown.
      cache_dir: see `open_prepared_set`.
      normal_mask: how a Normal slice without a mask is read, one of `NORMAL_MASKS`.
      mask_origins: origins of the lesion masks that are used.
      needs_masks: a slice without a known lesion mask is no example.
      needs_lungs: find the lungs, too.

    Raises:
      DataError: the data set cannot be read or prepared, or no training slice is left.
      LeakageError: a patient is in two splits, and the split is not marked as leaking.
    """
    prepared = open_prepared_set(
        directory, settings=settings, cache_dir=cache_dir, lungs=needs_lungs
    )
    split = choose_split(prepared)
    for note in split.notes:
        say(f"split: {note}")
    assert_patient_disjoint(split, prepared.table.patients)
    weights = known_masks(prepared.table, normal_mask=normal_mask, mask_origins=mask_origins)
    data = Dataset(
        **vars(prepared),
        split=split,
        mask_weights=weights,
        is_example=prepared.usable & (weights > 0) if needs_masks else prepared.usable,
    )
    if len(data.rows("train")) == 0:
        raise DataError(
            f"{data.table.directory}, split {split.name}: no usable training slice (readable, and "
            "with an annotated lesion mask if lesions are segmented); choose another "
            "--config.split or --data"
        )
    return data


def known_masks(
    table: SliceTable, *, normal_mask: str, mask_origins: Sequence[str]
) -> Float32[np.ndarray, "n"]:
    """1 where a slice's lesion mask is known, else 0.

    The paper supervises attention with a mask on every slice of every class (§5.1, end). Where
    masks have not been predicted yet, a Normal slice counts as known to be empty unless
    `normal_mask` is `unknown`: a slice without disease has no lesion.

    Args:
      table: the slices.
      normal_mask: how a Normal slice without a mask is read, one of `NORMAL_MASKS`.
      mask_origins: origins of the masks that are used.
    """
    known = np.isin(table.mask_origins, mask_origins)
    if normal_mask == "empty":
        nobody = table.mask_origins == MASK_ORIGINS[0]
        known = known | (nobody & (table.labels == NORMAL))
    return known.astype(np.float32)
