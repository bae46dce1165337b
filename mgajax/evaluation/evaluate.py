"""`mgajax evaluate`: from a run's checkpoint to numbers, tables and figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from mgajax.errors import ConfigError, DataError
from mgajax.evaluation.evaluate_segmenter import evaluate_segmenter
from mgajax.evaluation.evaluation_report import Evaluation, report_head, results_folder
from mgajax.evaluation.metrics import classification_metrics
from mgajax.evaluation.overlap import lesion_overlap, overlap_summary
from mgajax.evaluation.predictions import Predictions
from mgajax.files import write_json
from mgajax.progress import say
from mgajax.reporting.figures.evaluation_figures import (
    calibration_figure,
    confusion_figure,
    roc_figure,
    training_curves,
)
from mgajax.reporting.figures.map_panels import attention_panel
from mgajax.reporting.tables.metrics_tables import metrics_table
from mgajax.training.checkpoints import CheckpointName
from mgajax.training.logs import FILE_NAME as METRICS_FILE
from mgajax.training.logs import read_rows
from mgajax.training.run import Run, reopen_run
from mgajax.training.state import TrainState
from mgajax.training.tasks import CROSS_ENTROPY, TaskName

PANEL_SLICES = 6


def evaluate_run(
    workdir: Path,
    *,
    split: str = "test",
    out: Path | None = None,
    checkpoint: CheckpointName = CheckpointName.BEST,
    overrides: Sequence[str] = (),
) -> Evaluation:
    """Evaluate the best checkpoint (see `Criterion`), or the newest, on one split.

    Every slice of the split counts exactly once, on any number of devices and at any batch size.

    Args:
      workdir: a folder that `mgajax train` made.
      split: `train`, `validation` or `test`.
      out: the JSON file, in a folder that exists; None: `SPLIT.json` in the `results_folder`, where
        tables and figures go in any case.
      checkpoint: which of the two that are kept.
      overrides: `--config.key=value` for keys that do not change numbers.

    Raises:
      ConfigError: no run there, or no folder for `out`.
      CheckpointError: nothing saved yet.
      DataError: an empty split.
    """
    if out is not None and not out.parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.parent}; make it first")
    run = reopen_run(workdir, overrides=overrides)
    rows = run.data.rows(split)
    if len(rows) == 0:
        raise DataError(f"{workdir}: split {split!r} has no slices; choose another --split")
    state, step = run.kept_state(checkpoint)
    folder = results_folder(workdir, checkpoint=checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    out = out or folder / f"{split}.json"
    is_segmenter = run.config.task == TaskName.SEGMENTATION
    evaluation = (evaluate_segmenter if is_segmenter else _evaluate_classifier)(
        run, state=state, step=step, rows=rows, split=split, out=out, folder=folder
    )
    if unreadable := evaluation.metrics["unreadable_slices"]:
        say(f"{unreadable} slices of {split} could not be read and do not count")
    return evaluation


def _evaluate_classifier(
    run: Run,
    *,
    state: TrainState,
    step: int,
    rows: np.ndarray,
    split: str,
    out: Path,
    folder: Path,
) -> Evaluation:
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
    files = _write_files(run, predictions, metrics, out=out, folder=folder)
    if "attention_map" in outputs:
        files.append(_panel(run, rows, predictions, outputs, folder / f"{split}_attention.png"))
    return Evaluation(metrics=metrics, table=metrics_table(metrics), files=tuple(files))


def _overlap(run: Run, rows: np.ndarray, outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Attention against lesion, for slices whose mask is known; NaN for the others.

    A mask that a network predicted is no truth to measure by: it counts in training only.
    """
    if "attention_map" not in outputs:
        return {}
    columns = lesion_overlap(outputs["attention_map"], run.data.masks[rows][..., 0])
    known = run.data.has_true_mask(rows)
    return {name: np.where(known, column, np.nan) for name, column in columns.items()}


def _measure(
    run: Run, predictions: Predictions, *, step: int, outputs: dict[str, np.ndarray]
) -> dict[str, Any]:
    metrics = classification_metrics(
        predictions.probabilities,
        predictions.labels,
        predictions.patients,
        sources=predictions.sources,
        seed=run.config.seed,
    )
    cross_entropy = float(outputs[CROSS_ENTROPY].mean(dtype=np.float64))
    report = report_head(run, split=predictions.split, step=step, cross_entropy=cross_entropy)
    report["class_counts"] = predictions.class_counts()
    if predictions.overlap:
        report["attention_overlap"] = overlap_summary(predictions.overlap, predictions.patients)
    return report | metrics


def _write_files(
    run: Run, predictions: Predictions, metrics: dict[str, Any], *, out: Path, folder: Path
) -> list[Path]:
    split = predictions.split
    files = [write_json(metrics, out), predictions.write_csv(folder / f"{split}_predictions.csv")]
    probabilities, path = predictions.probabilities, folder / f"{split}_roc.png"
    files.append(roc_figure(probabilities, predictions.labels, metrics=metrics, path=path))
    files.append(confusion_figure(metrics, path=folder / f"{split}_confusion.png"))
    files.append(calibration_figure(metrics, path=folder / f"{split}_calibration.png"))
    rows = read_rows(run.workdir / METRICS_FILE)
    path, step = folder / "training_curves.png", metrics["checkpoint_step"]
    files.append(training_curves(rows, path=path, checkpoint_step=step))
    return files


def _panel(
    run: Run,
    rows: np.ndarray,
    predictions: Predictions,
    outputs: dict[str, np.ndarray],
    path: Path,
) -> Path:
    """Slices with the largest known lesions, equally many of each class."""
    area = np.nan_to_num(predictions.overlap["lesion_area"], nan=-1.0)
    order = np.lexsort((-area, predictions.labels))
    chosen: list[int] = []
    classes = np.unique(predictions.labels)
    for label in classes:
        of_class = [i for i in order if predictions.labels[i] == label]
        chosen += of_class[: PANEL_SLICES // len(classes)]
    return attention_panel(
        run.data.images[rows[chosen]][..., 0],
        run.data.masks[rows[chosen]][..., 0],
        outputs["attention_map"][chosen],
        labels=predictions.labels[chosen],
        probabilities=predictions.probabilities[chosen],
        path=path,
    )
