"""`mgajax segment`: a lesion mask for every slice that has no annotated one (Paper §5.1, end).

Slices of every class get one, Normal ones too, since training needs to know for each slice whether
there is a lesion.

Pictures are streamed from the stored PNGs. A prepared cache would be read only once, would have the
classifier's preparation if it exists, and takes 9 GB for the curated set at 512 × 512; decoding on
threads keeps up with the network without it.
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
from mgajax.errors import ConfigError, DataError, quantity
from mgajax.inference.mask_folder import MaskFolder, claim_masks, mask_names
from mgajax.inference.segmenter import (
    LesionMap,
    Segmenter,
    StoredSlice,
    UnreadableSlice,
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
    """The result of a call of `segment`.

    Attributes:
      folder: the folder of masks.
      total: slices of the data set.
      annotated: slices without a new mask, since they have an annotated one.
      earlier: masks of earlier calls.
      written: masks written by this call.
      damaged: slices that cannot be decoded: why, by file name.
    """

    folder: Path
    total: int
    annotated: int
    earlier: int
    written: int = 0
    damaged: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def masks(self) -> int:
        """Masks in the folder."""
        return self.earlier + self.written

    @property
    def finished(self) -> bool:
        """Whether all slices are done; otherwise the same call continues there."""
        return self.annotated + self.masks + len(self.damaged) == self.total

    def to_json(self) -> dict[str, Any]:
        """The manifest's account of the work of all calls."""
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

    The best checkpoint of the run is used, on all devices, in batches of its `eval_batch_size`. The
    same call continues one that was stopped or killed; finished slices are not redone. SIGTERM and
    Ctrl-C finish the started batches and stop.

    Args:
      workdir: the run of a segmenter, made by `mgajax train`.
      data: a built data set of slices, as for `read_table`.
      out: the folder of masks, see `mask_folder`; made, or continued.
      scales: see `make_segmenter`.
      kind: "binary" writes 255 where the probability of lesion reaches `threshold`, else 0; "soft"
        writes the probability times 255, rounded.
      threshold: in (0, 1), applied at the slice's own pixels.
      overrides: `--config.key=value` for keys of the run that do not change numbers, such as
        `--config.eval_batch_size=4`.

    Raises:
      ConfigError: no segmenter's run, invalid scales or threshold, or `out` holds masks of another
        origin or is being written by another process.
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
    about = _describe_run(trained, workdir=workdir, made_by=made_by)
    defaults = configs.flatten(configs.segmentation(trained.config.model.name))
    with (
        claim_masks(out, made_by=made_by, defaults=defaults) as folder,
        Interruption() as interruption,
    ):
        before, rows = _survey(table, names, folder=folder)
        folder.describe(about | before.to_json())
        segmented = segmenter.stream(
            _read_slices(table, rows=rows), stop=lambda: interruption.requested is not None
        )
        write = functools.partial(
            _write, folder=folder, names=names, kind=kind, threshold=threshold
        )
        written = track(map_ordered(write, segmented), description="segmenting", total=len(rows))
        summary = _count(before, written, file_names=table.file_names)
        folder.describe(about | summary.to_json())
    _check_some_decoded(summary, data=data)
    return summary


def _check_some_decoded(summary: SegmentSummary, *, data: Path) -> None:
    if summary.damaged and not summary.masks:
        raise DataError(
            f"{data}: none of {quantity(len(summary.damaged), 'slice')} can be decoded "
            f"(such as {': '.join(next(iter(summary.damaged.items())))}); build the data set again"
        )


def _survey(
    table: SliceTable, names: Sequence[str], *, folder: MaskFolder
) -> tuple[SegmentSummary, list[int]]:
    """The present state, and the rows of the slices that remain."""
    unannotated = np.flatnonzero(table.mask_origins != ANNOTATED).tolist()
    rows = [row for row in unannotated if not folder.holds(names[row])]
    summary = SegmentSummary(
        folder=folder.root,
        total=len(table),
        annotated=len(table) - len(unannotated),
        earlier=len(unannotated) - len(rows),
    )
    return summary, rows


def _made_by(
    segmenter: Segmenter, table: SliceTable, *, kind: MaskKind, threshold: float
) -> dict[str, Any]:
    """What decides the masks' content, as read back from JSON."""
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
    plain: dict[str, Any] = json.loads(json.dumps(decisive))
    return plain


def _digest(trained: TrainedNetwork) -> str:
    """sha256 of the network's parameters and running statistics, by name."""
    digest = hashlib.sha256()
    leaves = flax.traverse_util.flatten_dict(trained.variables, sep="/")
    for name in sorted(leaves):
        values = np.ascontiguousarray(jax.device_get(leaves[name]))
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _describe_run(
    trained: TrainedNetwork, *, workdir: Path, made_by: dict[str, Any]
) -> dict[str, Any]:
    return {
        "model": trained.config.model.name,
        "workdir": str(workdir.resolve()),
        "made_by": made_by,
        "config": json.loads(trained.config.to_json()),
        "provenance": configs.provenance(),
    }


def _read_slices(table: SliceTable, *, rows: Sequence[int]) -> Iterator[StoredSlice]:
    for row, image, _ in iter_encoded(table.directory, rows=rows):
        yield StoredSlice(row, image, str(table.flags[row]))


def _write(
    result: LesionMap | UnreadableSlice,
    *,
    folder: MaskFolder,
    names: Sequence[str],
    kind: MaskKind,
    threshold: float,
) -> UnreadableSlice | None:
    """Write the mask of a slice; returns a slice that cannot be decoded."""
    if isinstance(result, UnreadableSlice):
        return result
    pixels = mask_pixels(result.restore(), kind=kind, threshold=threshold)
    folder.write(names[result.prepared.row], pixels)
    return None


def mask_pixels(
    lesion: Float32[np.ndarray, "h w"], *, kind: MaskKind, threshold: float
) -> UInt8[np.ndarray, "h w"]:
    """Probabilities of lesion as a mask's grey levels; see `segment`."""
    if kind == "soft":
        return np.rint(lesion * np.float32(255)).astype(np.uint8)
    return np.where(lesion >= threshold, np.uint8(255), np.uint8(0))


def _count(
    before: SegmentSummary, results: Iterable[UnreadableSlice | None], *, file_names: np.ndarray
) -> SegmentSummary:
    """Run through the results and count them."""
    written, damaged = 0, {}
    for unreadable in results:
        if unreadable is None:
            written += 1
            continue
        name = str(file_names[unreadable.row])
        damaged[name] = unreadable.reason
        say(f"slice {name} cannot be decoded ({unreadable.reason}); it gets no mask")
    return dataclasses.replace(before, written=written, damaged=damaged)
