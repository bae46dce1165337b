"""The data sets of the experiment: real ones built from downloads, or drawn ones instead."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from mgajax.data.table import SliceTable, read_table
from mgajax.experiments.real.folds import usable_classes
from mgajax.experiments.real.stage_times import SUFFIX, StageTimes
from mgajax.schema import MASK_ORIGINS, NORMAL

SLICES, LESIONS, DRAWN = "covid_ct_slices", "covid_ct_lesions", "ct_phantom"

Build = Callable[..., Path]
"""`build(name, data_dir=..., **options)`: builds a set once, gives its folder; real sets need
`manual_dir`."""


@dataclass
class RealSets:
    """The data sets that networks are trained and tested on.

    Attributes:
      slices: download of the classification set; None: step 2 has no slices.
      lesions: download of the annotated pairs; None: step 1 has none.
      build: builds a data set.
      folder: gets built sets.
      stand_in: options of the drawn set that stands in for both where no download is given.
      times: gets the seconds of building.
    """

    slices: Path | None
    lesions: Path | None
    build: Build
    folder: Path
    stand_in: Mapping[str, Any]
    times: StageTimes = field(default_factory=StageTimes)
    _tables: dict[Path, SliceTable] = field(default_factory=dict, repr=False)

    @property
    def are_drawn(self) -> bool:
        """Whether no download was given."""
        return self.slices is None and self.lesions is None

    def slice_set(self, *, masks: Path | None = None) -> Path | None:
        """The classification set; `masks` is a folder of masks for slices without an annotated one."""
        options = {"masks": str(masks)} if masks is not None else {}
        if self.are_drawn:
            return self._build(DRAWN, **self.stand_in, **options)
        if self.slices is None:
            return None
        return self._build(SLICES, manual_dir=self.slices, **options)

    def lesion_set(self) -> Path | None:
        """The annotated slices, with the Normal ones of the classification set beside them."""
        if self.are_drawn:
            return self.slice_set()
        if self.lesions is None:
            return None
        healthy = {"healthy": str(self.slices)} if self.slices is not None else {}
        return self._build(LESIONS, manual_dir=self.lesions, **healthy)

    def drawn_set(self, options: Mapping[str, Any]) -> Path:
        """A drawn set for pretraining."""
        return self._build(DRAWN, **options)

    def _build(self, name: str, **options: Any) -> Path:
        """Build a data set; the date of its files tells whether this call built it."""
        began = time.time()
        place = self.build(name, data_dir=self.folder, **options)
        stage = f"building {name}{' with predicted masks' if 'masks' in options else ''}"
        seconds_file = place.parent / f"{place.name}{SUFFIX}"
        self.times.count(stage, seconds_file)
        if (place / "dataset_info.json").stat().st_mtime >= began:
            self.times.add(stage, seconds_file, seconds=time.time() - began)
        return place

    def table(self, place: Path) -> SliceTable:
        """The columns of a built set, read once."""
        if place not in self._tables:
            self._tables[place] = read_table(place)
        return self._tables[place]

    def tables(self) -> dict[str, SliceTable]:
        """The columns of the available sets, by the names `slices` and `lesions`."""
        places = {"slices": self.slice_set(), "lesions": self.lesion_set()}
        return {name: self.table(place) for name, place in places.items() if place is not None}


def used_rows(
    tables: Mapping[str, SliceTable],
) -> tuple[dict[str, Bool[np.ndarray, "_"]], list[str]]:
    """The rows that are used, and notes on why others are not.

    Of the classification set: slices of classes with enough patients. Of the lesion set: annotated and
    Normal slices.
    """
    used: dict[str, Bool[np.ndarray, "_"]] = {}
    notes: list[str] = []
    for name, table in tables.items():
        if name == "slices":
            used[name], notes = usable_classes(table)
        else:
            used[name] = (table.mask_origins == MASK_ORIGINS[1]) | (table.labels == NORMAL)
    return used, notes
