"""Opening a data set to learn from it: its slices prepared, dealt into splits, its masks judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int

from mgajax.data.cache import PreparedSet, prepared_set
from mgajax.data.preparation import Preparation
from mgajax.data.splits import Split, assert_patient_disjoint
from mgajax.data.table import SliceTable
from mgajax.errors import DataError
from mgajax.progress import say
from mgajax.schema import CLASS_NAMES, MASK_ORIGINS

NORMAL_MASKS = ("empty", "unknown")
"""What a Normal slice without a mask may say."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset(PreparedSet):
    """A prepared data set, dealt into splits: what training, evaluation and explanation read.

    Attributes:
      split: which slice is in which split.
      mask_weights: 1 where a slice's lesion mask is known, else 0; see `known_masks`.
      is_example: what can be learned from and measured by: a slice that could be decoded, of a known
        mask if the task needs it.
    """

    split: Split
    mask_weights: Float32[np.ndarray, "n"]
    is_example: Bool[np.ndarray, "n"]

    def rows(self, split: str) -> Int[np.ndarray, "_"]:
        """Rows of a split's examples."""
        chosen = self.split.indices(split)
        return chosen[self.is_example[chosen]]

    def rows_named(self, file_names: Sequence[str]) -> Int[np.ndarray, "_"]:
        """Rows of the slices of these names, in their order."""
        places = {name: row for row, name in enumerate(self.table.file_names.tolist())}
        return np.array([places[name] for name in file_names], np.int64)

    def has_true_mask(self, rows: Int[np.ndarray, "k"]) -> Bool[np.ndarray, "k"]:
        """Whether results may be measured by a slice's lesion mask: it is known, and no network
        predicted it."""
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
      settings: how slices are prepared.
      choose_split: the split of the prepared slices; its notes are said.
      cache_dir: see `prepared_set`.
      normal_mask: what a Normal slice without a mask says, one of `NORMAL_MASKS`.
      mask_origins: whose lesion masks count.
      needs_masks: a slice without a known lesion mask is no example.
      needs_lungs: find the lungs, too.

    Raises:
      DataError: the data set cannot be read or prepared, or no training slice is left.
      LeakageError: a patient stands in two splits, and the split does not say itself that it leaks.
    """
    prepared = prepared_set(directory, settings=settings, cache_dir=cache_dir, lungs=needs_lungs)
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
      normal_mask: what a Normal slice without a mask says, one of `NORMAL_MASKS`.
      mask_origins: whose masks count.
    """
    known = np.isin(table.mask_origins, mask_origins)
    if normal_mask == "empty":
        nobody = table.mask_origins == MASK_ORIGINS[0]
        known = known | (nobody & (table.labels == CLASS_NAMES.index("Normal")))
    return known.astype(np.float32)
