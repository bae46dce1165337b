"""The report of an evaluated run, whatever its task: the folder, what was written, its first keys."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgajax import config as configs
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


def report_head(run: Run, *, split: str, step: int, cross_entropy: float) -> dict[str, Any]:
    """The first keys of the JSON: model, split, checkpoint, data and versions."""
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
