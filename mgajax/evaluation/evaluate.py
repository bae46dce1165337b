"""`mgajax evaluate`: from a run's checkpoint to numbers, tables and figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from mgajax.errors import ConfigError
from mgajax.evaluation.evaluate_segmenter import evaluate_segmenter
from mgajax.evaluation.evaluation_report import (
    Evaluation,
    JudgedSlices,
    report_head,
    results_folder,
    slices_of_split,
)
from mgajax.evaluation.metrics import classification_metrics
from mgajax.evaluation.overlap import lesion_overlap, overlap_summary
from mgajax.evaluation.predictions import Predictions
from mgajax.evaluation.remarks import remarks
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
from mgajax.training.metrics_log import METRICS_FILE, read_rows
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
    slices = slices_of_split(run, split)
    evaluation = evaluate_slices(run, slices, out=out, checkpoint=checkpoint)
    if unreadable := evaluation.metrics["unreadable_slices"]:
        say(f"{unreadable} slices of {split} could not be read and do not count")
    return evaluation


def evaluate_slices(
    run: Run, slices: JudgedSlices, *, out: Path | None, checkpoint: CheckpointName
) -> Evaluation:
    """Judge a checkpoint of a run by slices, each once, and write what was measured.

    Args:
      run: its data are those that the slices are of.
      slices: which.
      out: the JSON file; None: in the `results_folder`.
      checkpoint: which of the two that are kept.

    Raises:
      CheckpointError: nothing saved yet.
    """
    state, step = run.restore_state(checkpoint)
    folder = results_folder(run.workdir, checkpoint=checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    is_segmenter = run.config.task == TaskName.SEGMENTATION
    return (evaluate_segmenter if is_segmenter else _evaluate_classifier)(
        run,
        slices,
        state=state,
        step=step,
        out=out or folder / f"{slices.name}.json",
        folder=folder,
    )


def _evaluate_classifier(
    run: Run, slices: JudgedSlices, *, state: TrainState, step: int, out: Path, folder: Path
) -> Evaluation:
    rows = slices.rows
    outputs = run.predict(state, rows, description="predicting")
    table = run.data.table
    predictions = Predictions(
        file_names=table.file_names[rows],
        labels=table.labels[rows],
        probabilities=softmax(outputs["logits"].astype(np.float64), axis=-1),
        patients=table.patients[rows],
        sources=table.sources[rows],
        split=slices.name,
        overlap=_overlap(run, rows, outputs),
    )
    metrics = _measure(run, slices, predictions, step=step, outputs=outputs)
    files = _write_files(predictions, metrics, out=out, folder=folder)
    if slices.is_split:
        files.append(_training_curves(run, folder, step=step))
    if "attention_map" in outputs:
        path = folder / f"{slices.name}_attention.png"
        files.append(_panel(run, rows, predictions, outputs, path))
    return Evaluation(metrics=metrics, table=metrics_table(metrics), files=tuple(files))


def _overlap(run: Run, rows: np.ndarray, outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Attention against lesion, for slices whose mask is known; NaN for the others.

    A mask that a network predicted is no truth to measure by: it counts in training only.
    """
    known = run.data.has_true_mask(rows)
    if "attention_map" not in outputs or not known.any():
        return {}
    columns = lesion_overlap(outputs["attention_map"], run.data.masks[rows][..., 0])
    return {name: np.where(known, column, np.nan) for name, column in columns.items()}


def _measure(
    run: Run,
    slices: JudgedSlices,
    predictions: Predictions,
    *,
    step: int,
    outputs: dict[str, np.ndarray],
) -> dict[str, Any]:
    metrics = classification_metrics(
        predictions.probabilities,
        predictions.labels,
        predictions.known_patients,
        sources=predictions.known_sources,
        seed=run.config.seed,
    )
    cross_entropy = float(outputs[CROSS_ENTROPY].mean(dtype=np.float64))
    report = report_head(run, slices, step=step, cross_entropy=cross_entropy)
    report["class_counts"] = predictions.class_counts()
    if predictions.overlap:
        report["attention_overlap"] = overlap_summary(
            predictions.overlap, predictions.known_patients
        )
    if slices.is_split:
        return report | metrics
    report["called"] = predictions.class_shares()
    return report | {"remarks": remarks(report)} | metrics


def _write_files(
    predictions: Predictions, metrics: dict[str, Any], *, out: Path, folder: Path
) -> list[Path]:
    name = predictions.split
    files = [write_json(metrics, out), predictions.write_csv(folder / f"{name}_predictions.csv")]
    probabilities, path = predictions.probabilities, folder / f"{name}_roc.png"
    files.append(roc_figure(probabilities, predictions.labels, metrics=metrics, path=path))
    files.append(confusion_figure(metrics, path=folder / f"{name}_confusion.png"))
    files.append(calibration_figure(metrics, path=folder / f"{name}_calibration.png"))
    return files


def _training_curves(run: Run, folder: Path, *, step: int) -> Path:
    rows = read_rows(run.workdir / METRICS_FILE)
    return training_curves(rows, path=folder / "training_curves.png", checkpoint_step=step)


def _panel(
    run: Run,
    rows: np.ndarray,
    predictions: Predictions,
    outputs: dict[str, np.ndarray],
    path: Path,
) -> Path:
    """Slices with the largest known lesions, equally many of each class."""
    unknown = np.full(len(predictions), np.nan)
    area = np.nan_to_num(predictions.overlap.get("lesion_area", unknown), nan=-1.0)
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
