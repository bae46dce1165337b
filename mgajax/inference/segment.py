"""`mgajax segment`: a lesion mask for every slice that has no annotated one (Paper §5.1, end).

Slices of every class get one, Normal ones too: attention is to be guided, or to be left alone, on
all of them.

Pictures are streamed from the stored PNGs. A prepared cache would be read once and thrown away,
is bound to the classifier's preparation where there is one already, and takes 9 GB for the curated
set at 512 × 512; decoding on threads keeps up with the network without it.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import flax.traverse_util
import jax
import numpy as np
from jaxtyping import Float32, UInt8

from mgajax import config as configs
from mgajax.data.table import SliceTable, iter_encoded, read_table
from mgajax.errors import ConfigError, DataError
from mgajax.inference.mask_folder import MaskFolder, claimed, mask_names
from mgajax.inference.segmenter import (
    LesionMap,
    Segmenter,
    StoredSlice,
    Unreadable,
    make_segmenter,
)
from mgajax.progress import map_ordered, say, track
from mgajax.schema import MASK_ORIGINS
from mgajax.training.interruption import Interruption
from mgajax.training.trained import TrainedNetwork, load_trained

MaskKind = Literal["binary", "soft"]

ANNOTATED = MASK_ORIGINS[1]

DECISIVE = ("model.", "preparation.")
"""Keys of a run's configuration that, with its parameters, decide what it predicts."""


@dataclass(frozen=True)
class SegmentSummary:
    """What a call of `segment` did.

    Attributes:
      folder: the folder of masks.
      total: slices of the data set.
      annotated: slices left alone, since they have an annotated mask.
      kept: masks that were there already.
      written: masks written by this call.
      damaged: file name of each slice that cannot be decoded, and why.
    """

    folder: Path
    total: int
    annotated: int
    kept: int
    written: int = 0
    damaged: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def masks(self) -> int:
        """Masks in the folder."""
        return self.kept + self.written

    @property
    def finished(self) -> bool:
        """Whether all slices were reached; otherwise the same call goes on from there."""
        return self.annotated + self.masks + len(self.damaged) == self.total

    def to_json(self) -> dict[str, Any]:
        """What the manifest says of the work done, whatever number of calls it took."""
        counts = {
            "slices": self.total,
            "annotated": self.annotated,
            "masks": self.masks,
            "damaged": len(self.damaged),
        }
        return {"counts": counts, "damaged": dict(self.damaged), "finished": self.finished}


def segment(
    workdir: Path,
    *,
    data: Path,
    out: Path,
    scales: Sequence[float] | None = None,
    kind: MaskKind = "binary",
    threshold: float = 0.5,
    overrides: Sequence[str] = (),
) -> SegmentSummary:
    """Write a lesion mask, at the slice's own pixels, for every slice without an annotated one.

    The best checkpoint of the run is used, on all devices, in batches of its `eval_batch_size`. A
    call that was stopped or killed is taken up by the same call; finished slices are not redone.
    SIGTERM and Ctrl-C finish the batches in flight and stop.

    Args:
      workdir: the run of a segmenter, made by `mgajax train`.
      data: a built data set of slices, as for `read_table`.
      out: the folder of masks, see `mask_folder`; made, or taken up.
      scales: see `make_segmenter`.
      kind: "binary" writes 255 where the probability of lesion reaches `threshold`, else 0; "soft"
        writes the probability times 255, rounded.
      threshold: in (0, 1), applied after the way back to the slice's pixels.
      overrides: `--config.key=value` for keys of the run that do not change numbers, such as
        `--config.eval_batch_size=4`.

    Raises:
      ConfigError: no segmenter's run, scales or a threshold that cannot be, or `out` holds masks
        of another origin or is being written by another process.
      CheckpointError: nothing saved in `workdir` yet.
      DataError: the data set cannot be read, two slices share a name, or no slice can be decoded.
    """
    if not 0.0 < threshold < 1.0:
        raise ConfigError(f"threshold={threshold}: expected a probability between 0 and 1")
    trained = load_trained(workdir, overrides=overrides)
    segmenter = make_segmenter(trained, scales=scales)
    table = read_table(data)
    names = mask_names(table.file_names.tolist())
    made_by = _made_by(segmenter, table, kind=kind, threshold=threshold)
    about = _about(trained, workdir=workdir, made_by=made_by)
    with claimed(out, made_by=made_by) as folder, Interruption() as interruption:
        begun, todo = _survey(table, names, folder=folder)
        folder.describe(about | begun.to_json())
        segmented = segmenter.stream(
            _stored(table, rows=todo), stop=lambda: interruption.requested is not None
        )
        write = functools.partial(
            _write, folder=folder, names=names, kind=kind, threshold=threshold
        )
        done = track(map_ordered(write, segmented), description="segmenting", total=len(todo))
        summary = _counted(begun, done, file_names=table.file_names)
        folder.describe(about | summary.to_json())
    if summary.damaged and not summary.masks:
        raise DataError(
            f"{data}: none of {len(summary.damaged)} slices can be decoded "
            f"({next(iter(summary.damaged.items()))}, ...); build the data set again"
        )
    return summary


def _survey(
    table: SliceTable, names: Sequence[str], *, folder: MaskFolder
) -> tuple[SegmentSummary, list[int]]:
    """What there is, and the rows of the slices that are still to be done."""
    lacking = np.flatnonzero(table.mask_origins != ANNOTATED).tolist()
    todo = [row for row in lacking if not folder.holds(names[row])]
    summary = SegmentSummary(
        folder=folder.root,
        total=len(table),
        annotated=len(table) - len(lacking),
        kept=len(lacking) - len(todo),
    )
    return summary, todo


def _made_by(
    segmenter: Segmenter, table: SliceTable, *, kind: MaskKind, threshold: float
) -> dict[str, Any]:
    """What decides the masks' content, as JSON would give it back."""
    trained = segmenter.trained
    flat = configs.flatten(trained.config)
    decisive = {key: value for key, value in flat.items() if key.startswith(DECISIVE)} | {
        "checkpoint_step": trained.step,
        "parameters": _digest(trained),
        "scales": segmenter.scales,
        "kind": kind,
        "threshold": threshold if kind == "binary" else None,
        "data_fingerprint": table.fingerprint,
    }
    found: dict[str, Any] = json.loads(json.dumps(decisive))
    return found


def _digest(trained: TrainedNetwork) -> str:
    """sha256 of the network's parameters and running statistics, by name."""
    digest = hashlib.sha256()
    leaves = flax.traverse_util.flatten_dict(trained.variables, sep="/")
    for name in sorted(leaves):
        values = np.ascontiguousarray(jax.device_get(leaves[name]))
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _about(trained: TrainedNetwork, *, workdir: Path, made_by: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": trained.config.model.name,
        "workdir": str(workdir.resolve()),
        "made_by": made_by,
        "config": json.loads(trained.config.to_json()),
        "provenance": configs.provenance(),
    }


def _stored(table: SliceTable, *, rows: Sequence[int]) -> Iterator[StoredSlice]:
    for row, image, _ in iter_encoded(table.directory, rows=rows):
        yield StoredSlice(row, image, str(table.flags[row]))


def _write(
    found: LesionMap | Unreadable,
    *,
    folder: MaskFolder,
    names: Sequence[str],
    kind: MaskKind,
    threshold: float,
) -> Unreadable | None:
    """Write the mask of a slice; gives back the slice that has none to write."""
    if isinstance(found, Unreadable):
        return found
    pixels = mask_pixels(found.restored(), kind=kind, threshold=threshold)
    folder.write(names[found.prepared.row], pixels)
    return None


def mask_pixels(
    lesion: Float32[np.ndarray, "h w"], *, kind: MaskKind, threshold: float
) -> UInt8[np.ndarray, "h w"]:
    """Probabilities of lesion as a mask's grey levels; see `segment`."""
    if kind == "soft":
        return np.rint(lesion * np.float32(255)).astype(np.uint8)
    return np.where(lesion >= threshold, np.uint8(255), np.uint8(0))


def _counted(
    begun: SegmentSummary, done: Iterable[Unreadable | None], *, file_names: np.ndarray
) -> SegmentSummary:
    """See the work through and count it."""
    written, damaged = 0, {}
    for unreadable in done:
        if unreadable is None:
            written += 1
            continue
        name = str(file_names[unreadable.row])
        damaged[name] = unreadable.reason
        say(f"slice {name} cannot be decoded ({unreadable.reason}); it gets no mask")
    return dataclasses.replace(begun, written=written, damaged=damaged)
