"""What the evaluation of a run gives, whatever the run has learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgajax import config as configs
from mgajax.training.checkpoints import CheckpointName
from mgajax.training.run import Run

FOLDER = "evaluation"
"""In a run's folder: where results go."""


def results_folder(workdir: Path, *, checkpoint: CheckpointName = CheckpointName.BEST) -> Path:
    """Where results of that checkpoint go: those of the best one above the others."""
    folder = workdir / FOLDER
    return folder if checkpoint is CheckpointName.BEST else folder / checkpoint


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gives.

    Attributes:
      metrics: everything that was measured, as written to JSON.
      table: the main numbers for a terminal.
      files: what was written.
    """

    metrics: dict[str, Any]
    table: str
    files: tuple[Path, ...]


def head(run: Run, *, split: str, step: int, cross_entropy: float) -> dict[str, Any]:
    """What was evaluated: model, split, checkpoint, data, versions; the first part of the JSON."""
    data = run.data
    return {
        "task": run.config.task,
        "model": run.config.model.name,
        "split": split,
        "split_made_by": data.split.name,
        "split_leaks": data.split.leaks,
        "checkpoint_step": step,
        "cross_entropy": cross_entropy,
        "unreadable_slices": int((~data.usable[data.split.indices(split)]).sum()),
        "data_fingerprint": data.fingerprint,
        "provenance": configs.provenance(),
    }
