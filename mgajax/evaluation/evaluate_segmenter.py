"""From a segmenter's checkpoint to numbers, tables and pictures, at each slice's own pixels.

The annotation is the stored mask, not the prepared one: what the preparation cuts off or blurs counts
against the model. Slices are read one after another; only their counts stay in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from mgajax.data.preparation import decode, restore
from mgajax.data.table import iter_encoded
from mgajax.evaluation.evaluation_report import Evaluation, JudgedSlices, report_head
from mgajax.evaluation.remarks import remarks
from mgajax.evaluation.segmentation import THRESHOLD, metrics_from_counts
from mgajax.evaluation.segmentation_counts import (
    PIXELS,
    SegmentationCounts,
    collect_counts,
    count_slice,
)
from mgajax.files import cell, write_csv, write_json
from mgajax.paper import model_name
from mgajax.reporting.figures.evaluation_figures import SEGMENTATION_TITLES, training_curves
from mgajax.reporting.figures.segmentation_figures import slice_dice_figure
from mgajax.reporting.figures.segmentation_panels import segmentation_panel
from mgajax.reporting.tables.metrics_tables import segmentation_table
from mgajax.training.metrics_log import METRICS_FILE, read_rows
from mgajax.training.run import Run
from mgajax.training.state import TrainState
from mgajax.training.steps import weight_name
from mgajax.training.tasks import CROSS_ENTROPY

PANEL_SLICES = 6
LESION_LEVEL = 128
"""Lowest grey level of a stored mask that is lesion."""


@dataclass(frozen=True)
class SlicePrediction:
    """One slice in its own pixels.

    Attributes:
      row: of the table.
      image: the stored picture, undecoded.
      truth: bool [h, w], the stored mask.
      predicted: bool [h, w].
      cross_entropy: mean over the prepared slice's pixels.
      pixels: how many those are.
    """

    row: int
    image: bytes
    truth: Bool[np.ndarray, "h w"]
    predicted: Bool[np.ndarray, "h w"]
    cross_entropy: float
    pixels: float


def evaluate_segmenter(
    run: Run, slices: JudgedSlices, *, state: TrainState, step: int, out: Path, folder: Path
) -> Evaluation:
    """Evaluate one state of a segmentation run; each slice counts exactly once.

    Args:
      run: of the task "segmentation".
      slices: which, each with a known mask.
      state: what to evaluate.
      step: of that state.
      out: the JSON file.
      folder: where the per-slice table and the figures go; it exists.
    """
    rows, name = np.sort(slices.rows), slices.name
    slice_counts, losses = [], []
    for slice_ in segment_slices(run, state, rows, description="segmenting"):
        slice_counts.append(count_slice(slice_.predicted, slice_.truth))
        losses.append((slice_.cross_entropy * slice_.pixels, slice_.pixels))
    counts, (loss, pixels) = collect_counts(slice_counts), np.sum(losses, axis=0)
    table = run.data.table
    metrics = metrics_from_counts(
        counts, table.patients[rows], sources=table.sources[rows], seed=run.config.seed
    )
    report = report_head(run, slices, step=step, cross_entropy=float(loss / pixels))
    report |= {"slices_without_mask": slices.without_mask, "threshold": THRESHOLD}
    if not slices.is_split:
        report["remarks"] = remarks(report)
    metrics = report | metrics
    files = [
        write_json(metrics, out),
        write_csv(_lines(run, counts, rows, name), folder / f"{name}_slices.csv"),
        _panel(run, state, counts, rows, folder / f"{name}_panel.png"),
        slice_dice_figure(
            counts.scores()["dice"],
            sources=table.sources[rows],
            metrics=metrics,
            path=folder / f"{name}_dice.png",
        ),
    ]
    if slices.is_split:
        files.append(_training_curves(run, folder, step=step))
    return Evaluation(metrics=metrics, table=segmentation_table(metrics), files=tuple(files))


def _training_curves(run: Run, folder: Path, *, step: int) -> Path:
    return training_curves(
        read_rows(run.workdir / METRICS_FILE),
        path=folder / "training_curves.png",
        checkpoint_step=step,
        titles=SEGMENTATION_TITLES,
    )


def segment_slices(
    run: Run, state: TrainState, rows: Int[np.ndarray, "n"], *, description: str | None = None
) -> Iterator[SlicePrediction]:
    """The segmentation of each of `rows`, which ascend."""
    data = run.data
    stored = iter_encoded(data.table.directory, rows=rows.tolist())
    for chosen, outputs in run.stream(state, rows, description=description):
        losses = outputs[CROSS_ENTROPY], outputs[weight_name(CROSS_ENTROPY)]
        for row, lesion, loss, pixels in zip(chosen, outputs["lesion"], *losses, strict=True):
            stored_row, image, mask = next(stored)
            if stored_row != row:
                raise RuntimeError(f"row {row} was predicted, but row {stored_row} was read")
            truth = decode(mask, flags="", settings=data.settings) >= LESION_LEVEL
            probabilities = restore(
                lesion,
                box=data.boxes[row],
                height=truth.shape[0],
                width=truth.shape[1],
                settings=data.settings,
                flags=str(data.table.flags[row]),
            )
            predicted = probabilities >= THRESHOLD
            yield SlicePrediction(int(row), image, truth, predicted, float(loss), float(pixels))


def _lines(
    run: Run, counts: SegmentationCounts, rows: np.ndarray, split: str
) -> Iterator[list[Any]]:
    """The per-slice table: names, pixel counts, scores (empty where undefined)."""
    table, scores = run.data.table, counts.scores()
    yield ["file_name", "split", "patient", "source", *PIXELS, *scores]
    for index, row in enumerate(rows):
        names = [table.file_names[row], split, table.patients[row], table.sources[row]]
        pixels = [int(getattr(counts, name)[index]) for name in PIXELS]
        yield [*names, *pixels, *(cell(score[index]) for score in scores.values())]


def _panel(
    run: Run, state: TrainState, counts: SegmentationCounts, rows: np.ndarray, path: Path
) -> Path:
    """Segment a few slices again, and draw them."""
    sources, dice = run.data.table.sources[rows], counts.scores()["dice"]
    chosen = panel_slices(dice, sources=sources, has_lesion=counts.has_lesion)
    by_row = {slice_.row: slice_ for slice_ in segment_slices(run, state, np.sort(rows[chosen]))}
    slices = [by_row[int(row)] for row in rows[chosen]]
    model = model_name(run.config.model.name)
    return segmentation_panel(
        [decode(slice_.image, flags="", settings=run.data.settings) for slice_ in slices],
        [slice_.truth for slice_ in slices],
        {model: [slice_.predicted for slice_ in slices]},
        dice={model: dice[chosen]},
        captions=sources[chosen].tolist(),
        path=path,
        title="Median to worst Dice of each source",
    )


def panel_slices(
    dice: np.ndarray, *, sources: np.ndarray, has_lesion: Bool[np.ndarray, "n"]
) -> Int[np.ndarray, "m"]:
    """Up to `PANEL_SLICES` slices to show, from each source's median Dice down to its worst.

    The three sources with the most lesions have equal shares; slices without a lesion are shown
    only where there are no others.
    """
    candidates = np.flatnonzero(has_lesion) if has_lesion.any() else np.arange(len(dice))
    names, sizes = np.unique(sources[candidates], return_counts=True)
    largest = names[np.argsort(-sizes, kind="stable")][:3]
    chosen = []
    for name in largest:
        rows = candidates[sources[candidates] == name]
        rows = rows[np.argsort(dice[rows], kind="stable")]
        ranks = np.linspace((len(rows) - 1) / 2, 0, PANEL_SLICES // len(largest)).round()
        chosen += [rows[int(rank)] for rank in dict.fromkeys(ranks.tolist())]
    return np.array(chosen, np.int64)
