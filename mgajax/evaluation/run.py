"""`mgajax evaluate`: from a run's best checkpoint to numbers, tables and figures."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from mgajax import config as configs
from mgajax.errors import ConfigError, DataError
from mgajax.evaluation.metrics import classification_metrics
from mgajax.evaluation.overlap import lesion_overlap, overlap_summary
from mgajax.evaluation.predictions import Predictions
from mgajax.progress import say
from mgajax.reporting.figures import (
    calibration_figure,
    confusion_figure,
    roc_figure,
    training_curves,
)
from mgajax.reporting.panels import attention_panel
from mgajax.reporting.tables import metrics_table
from mgajax.training.logs import FILE_NAME as METRICS_FILE
from mgajax.training.logs import read_rows
from mgajax.training.run import Run, reopen_run
from mgajax.training.tasks import CROSS_ENTROPY
from mgajax.training.trained import best_state

FOLDER = "evaluation"
PANEL_SLICES = 6


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


def evaluate_run(
    workdir: Path,
    *,
    split: str = "test",
    out: Path | None = None,
    overrides: Sequence[str] = (),
) -> Evaluation:
    """Evaluate the best checkpoint (lowest validation cross-entropy) on one split.

    Every slice of the split counts exactly once, on any number of devices and at any batch size.

    Args:
      workdir: a folder that `mgajax train` made.
      split: `train`, `validation` or `test`.
      out: the JSON file, in a folder that exists; None: `evaluation/SPLIT.json` in the run, where
        predictions and figures go in any case.
      overrides: `--config.key=value` for keys that do not change numbers.

    Raises:
      ConfigError: no run there, or no folder for `out`.
      CheckpointError: nothing saved yet.
      DataError: an empty split.
    """
    if out is not None and not out.parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.parent}; make it first")
    run = reopen_run(workdir, overrides=overrides)
    rows = run.rows(split)
    if len(rows) == 0:
        raise DataError(f"{workdir}: split {split!r} has no slices; choose another --split")
    state, step = best_state(workdir, like=run.state_shapes(), layout=run.layout)
    outputs = run.predict(state, rows, description="predicting")
    table = run.data.table
    predictions = Predictions(
        file_names=table.file_names[rows],
        labels=table.labels[rows],
        probabilities=softmax(outputs["logits"].astype(np.float64), axis=-1),
        patients=table.patients[rows],
        sources=table.sources[rows],
        split=split,
        overlap=_overlap(run, rows, outputs),
    )
    metrics = _measure(run, predictions, step=step, outputs=outputs)
    if metrics["unreadable_slices"]:
        say(f"{metrics['unreadable_slices']} slices of {split} could not be read and do not count")
    folder = workdir / FOLDER
    folder.mkdir(exist_ok=True)
    files = _write(run, predictions, metrics, out=out or folder / f"{split}.json")
    if "attention_map" in outputs:
        files.append(_panel(run, rows, predictions, outputs, folder / f"{split}_attention.png"))
    return Evaluation(metrics=metrics, table=metrics_table(metrics), files=tuple(files))


def _overlap(run: Run, rows: np.ndarray, outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Attention against lesion, for slices whose mask is known; NaN for the others."""
    if "attention_map" not in outputs:
        return {}
    columns = lesion_overlap(outputs["attention_map"], run.data.masks[rows][..., 0])
    known = np.asarray(run.feed.examples.mask_weights)[rows] > 0
    return {name: np.where(known, column, np.nan) for name, column in columns.items()}


def _measure(
    run: Run, predictions: Predictions, *, step: int, outputs: dict[str, np.ndarray]
) -> dict[str, Any]:
    measured = classification_metrics(
        predictions.probabilities,
        predictions.labels,
        predictions.patients,
        sources=predictions.sources,
        seed=run.config.seed,
    )
    cross_entropy = float(outputs[CROSS_ENTROPY].mean(dtype=np.float64))
    head = {
        "model": run.config.model.name,
        "split": predictions.split,
        "split_made_by": run.split.name,
        "checkpoint_step": step,
        "cross_entropy": cross_entropy,
        "unreadable_slices": len(run.split.indices(predictions.split)) - len(predictions),
        "data_fingerprint": run.data.fingerprint,
        "provenance": configs.provenance(),
    }
    if predictions.overlap:
        head["attention_overlap"] = overlap_summary(predictions.overlap, predictions.patients)
    return head | measured


def _write(run: Run, predictions: Predictions, metrics: dict[str, Any], *, out: Path) -> list[Path]:
    folder = run.workdir / FOLDER
    split = predictions.split
    partial = out.with_name(out.name + ".partial")
    partial.write_text(json.dumps(metrics, indent=2) + "\n")
    partial.replace(out)
    files = [out, predictions.write_csv(folder / f"{split}_predictions.csv")]
    labels, chances = predictions.labels, predictions.probabilities
    files.append(roc_figure(chances, labels, metrics=metrics, path=folder / f"{split}_roc.png"))
    files.append(confusion_figure(metrics, path=folder / f"{split}_confusion.png"))
    files.append(calibration_figure(metrics, path=folder / f"{split}_calibration.png"))
    rows = read_rows(run.workdir / METRICS_FILE)
    files.append(training_curves(rows, path=folder / "training_curves.png"))
    return files


def _panel(
    run: Run,
    rows: np.ndarray,
    predictions: Predictions,
    outputs: dict[str, np.ndarray],
    path: Path,
) -> Path:
    """Slices with the largest known lesions of each class, evenly over the classes."""
    area = np.nan_to_num(predictions.overlap["lesion_area"], nan=-1.0)
    order = np.lexsort((-area, predictions.labels))
    chosen: list[int] = []
    for label in np.unique(predictions.labels):
        of_class = [i for i in order if predictions.labels[i] == label]
        chosen += of_class[: PANEL_SLICES // len(np.unique(predictions.labels))]
    return attention_panel(
        run.data.images[rows[chosen]][..., 0],
        run.data.masks[rows[chosen]][..., 0],
        outputs["attention_map"][chosen],
        labels=predictions.labels[chosen],
        probabilities=predictions.probabilities[chosen],
        path=path,
    )
