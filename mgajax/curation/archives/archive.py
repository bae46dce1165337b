"""The interface of every archive: units of work that yield slices.

A reader is one module with one function,

    find(files: Sequence[SourceFile], *, options: ReadOptions, findings: Findings) -> list[Unit]

which goes through the files of a download (see `packed.list_files`), reads the tables beside the
pictures, and returns the units to read. `find` opens no picture. A `Unit` is one volume, or the
pictures of one person; it is read in a worker process and holds at most one volume in memory.

A file that cannot be read is noted in `findings` as `Finding.DAMAGED_SOURCE` with its origin and
the reason, and left out; `read` raises `DataError` only where the whole unit is lost.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Num, UInt8

from mgajax.curation.archives.packed import SourceFile
from mgajax.curation.findings import Findings
from mgajax.imaging.windows import PixelUnit

UprightTurn = Literal["none", "flip_vertical"]
"""What makes a published slice upright: nothing, or `np.flipud`. Slices that need it were turned by
`rot90` although stored transposed, so text in them is mirrored, and a flip corrects both."""


@dataclass(frozen=True)
class ReadOptions:
    """The options of the readers.

    Attributes:
      unlabelled: for volumes of a wanted class whose slices have no labels and which the published
        set leaves out: "leave_out", or "select" by the rules of `selection`.
      effusion: whether pleural effusion counts as "lesion" (the paper's Fig. 1) or "background".
      afshar_labels: which slice labels of COVID-CT-MD: the "first" release, which the published set
        follows, or the "updated" one.
      second_copies: for a picture that one patient has twice (231 normals of COVID-CTset): "merge"
        leaves out the second, "keep" follows the published set.
      jun_infection: labels of infection in Jun's combined masks (unconfirmed; used only where the
        volume's own infection mask is missing).
      labels: file name -> whether to take it, by a radiologist; overrides everything.
    """

    unlabelled: Literal["leave_out", "select"] = "leave_out"
    effusion: Literal["lesion", "background"] = "lesion"
    afshar_labels: Literal["first", "updated"] = "first"
    second_copies: Literal["merge", "keep"] = "merge"
    jun_infection: tuple[int, ...] = (3,)
    labels: Mapping[str, bool] = field(default_factory=dict, repr=False)

    def verdict(self, file_name: str, by_source: bool | None, reason: str) -> "Verdict":
        """Whether to take a slice: by a radiologist's label if there is one, else by the source.

        A reader need not decode a slice that is not taken (`is_taken` False).
        """
        if file_name in self.labels:
            return Verdict(self.labels[file_name], "radiologist")
        return Verdict(by_source, reason)

    def has_label(self, prefix: str) -> bool:
        """Whether a radiologist's labels name a slice that begins with this prefix."""
        return any(name.startswith(prefix) for name in self.labels)


@dataclass(frozen=True)
class Verdict:
    """Whether a slice is taken (None: the rules of `selection` decide), and why."""

    is_taken: bool | None
    reason: str


@dataclass(frozen=True)
class RawSlice:
    """One slice as its archive holds it, in the orientation of the published set.

    Attributes:
      source: one of `SOURCES`.
      label: index into `CLASS_NAMES`.
      file_name: its name in the published set, e.g. `P001_69.png`.
      patient_id: as the published tables spell it.
      origin: path inside the raw folder, `archive.zip!member` for a zip's.
      slice_index: the number in its name, 1-based; None for single pictures.
      position: its number along the volume, so that neighbours differ by one; None likewise.
      values: `[h, w]`, stored values after rescale, in `unit`.
      unit: see `imaging.windows.PixelUnit`.
      mask: lesions, 0 or 255, of the same size; None where none are marked.
      is_selected_by_source: True where the source's label, mask or list takes this slice, False
        where it leaves it out, None where the source has none and the rules of `selection` decide.
      reason: for taking it or leaving it out, in a few words, e.g. "slice label".
      metadata: texts by the column names of the published tables ("Age", "Gender", "Country",
        "Slices", "Slice Thickness", ...), and others; absent where unknown.
      upright_turn: see `Turn`.
      published: the bytes of the published PNG where that is the source's own picture; else None,
        and it is rendered from `values`.
      lungs: lungs, 0 or 255, of the same size; None where the source does not mark them.
    """

    source: str
    label: int
    file_name: str
    patient_id: str
    origin: str
    slice_index: int | None
    values: Num[np.ndarray, "h w"]
    unit: PixelUnit
    position: int | None = None
    mask: UInt8[np.ndarray, "h w"] | None = None
    is_selected_by_source: bool | None = None
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    upright_turn: UprightTurn = "none"
    published: bytes | None = None
    lungs: UInt8[np.ndarray, "h w"] | None = None


SliceReader = Callable[[Findings], Iterator[RawSlice]]


@dataclass(frozen=True)
class Unit:
    """One piece of work for one process.

    Attributes:
      source: one of `SOURCES`.
      name: unique in the source, e.g. "P001"; a finished unit is recorded under it.
      read: `functools.partial` of a function at module level (it is pickled). It takes the findings,
        for damage, and yields the slices in order. A later run compares the `repr` of its arguments
        to see whether the unit is still the same, so they hold no sets and no open files.
    """

    source: str
    name: str
    read: SliceReader


class UnitFinder(Protocol):
    """The one function of a reader; see the module."""

    def __call__(
        self, files: Sequence[SourceFile], *, options: ReadOptions, findings: Findings
    ) -> list[Unit]: ...
