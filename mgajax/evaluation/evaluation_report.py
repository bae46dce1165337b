"""The report of an evaluated run, whatever its task: the folder, what was written, its first keys."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from mgajax import config as configs
from mgajax.errors import DataError
from mgajax.training.checkpoints import CheckpointName
from mgajax.training.run import Run

EVALUATION_FOLDER = "evaluation"
"""Of results, in a run's folder."""


def results_folder(workdir: Path, *, checkpoint: CheckpointName = CheckpointName.BEST) -> Path:
    """Of the best checkpoint `evaluation/`; of another one a folder in it, of the checkpoint's name."""
    folder = workdir / EVALUATION_FOLDER
    return folder if checkpoint is CheckpointName.BEST else folder / checkpoint


@dataclass(frozen=True)
class Evaluation:
    """Results of an evaluation.

    Attributes:
      metrics: everything that was measured, as written to JSON.
      table: the main numbers for a terminal.
      files: what was written.
    """

    metrics: dict[str, Any]
    table: str
    files: tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class JudgedSlices:
    """Which slices a run is judged by, and what the report says of them.

    Attributes:
      name: of the split, or of another set; the names of all files begin with it.
      rows: of the run's table, one or more.
      origin: the part of the JSON that says where they are from.
      unreadable: how many more there would be, had they not been damaged.
      without_mask: how many more there would be, were their masks known.
      is_split: whether they are a part of the set that the run was trained on.
    """

    name: str
    rows: Int[np.ndarray, "n"]
    origin: dict[str, Any]
    unreadable: int
    without_mask: int
    is_split: bool = True


def slices_of_split(run: Run, split: str) -> JudgedSlices:
    """The examples of one split of a run's own set.

    Raises:
      DataError: there are none.
    """
    data = run.data
    rows = data.rows(split)
    if len(rows) == 0:
        raise DataError(f"{run.workdir}: split {split!r} has no slices; choose another --split")
    members = data.split.indices(split)
    unreadable = int((~data.usable[members]).sum())
    return JudgedSlices(
        name=split,
        rows=rows,
        origin={
            "split": split,
            "split_made_by": data.split.name,
            "split_leaks": data.split.leaks,
        },
        unreadable=unreadable,
        without_mask=len(members) - unreadable - len(rows),
    )


def report_head(
    run: Run, slices: JudgedSlices, *, step: int, cross_entropy: float
) -> dict[str, Any]:
    """The first keys of the JSON: model, slices, checkpoint, data and versions."""
    return {
        "task": run.config.task,
        "model": run.config.model.name,
        **slices.origin,
        "checkpoint_step": step,
        "cross_entropy": cross_entropy,
        "unreadable_slices": slices.unreadable,
        "data_fingerprint": run.data.fingerprint,
        "provenance": configs.provenance(),
    }
