"""Figures 8 and 9: the gain of mask guidance by the size of the training set."""

from collections.abc import Mapping

import numpy as np

from mgajax.evaluation.overlap import OVERLAP_COLUMNS
from mgajax.experiments.compare import arm_replicates, contrast_rows, measure_arms, predictions_of
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.study import (
    ATTENTION,
    ArmComparison,
    Metrics,
    Study,
    StudyInput,
    StudyResults,
)
from mgajax.explanation.class_activation import enlarge
from mgajax.reporting.figures.experiment_figures import Curves, curves_figure
from mgajax.reporting.figures.map_panels import attribution_panel
from mgajax.reporting.tables.measurements import Measurement
from mgajax.training.run import reopen_run

PLAN = "configs/experiments/fig8.py"
TASKS = {"single": "Single-task", "multi": "Multi-task"}
GAIN = "Multi-task minus single-task"
SHARE = "training share of train + validation, %"
PERFORMANCE: Metrics = {
    "covid_vs_rest.accuracy": "Accuracy",
    "covid_vs_rest.roc_auc": "ROC AUC",
    "three_class.accuracy": "Three-class accuracy",
}
SHOWN_SLICES = 2
"""Of Figure 9."""

AREA = OVERLAP_COLUMNS[0]

MORE_AT_LITTLE_DATA = {20: 1 / 3, 30: 1 / 3, 40: 1 / 3, 80: -1.0}
"""Weights of the gains by percentage: the mean gain at 20 to 40 % minus the gain at 80 %."""


def parts(arm: str) -> tuple[str, int]:
    """("multi", 20) of `multi_20`."""
    task, _, percent = arm.rpartition("_")
    return task, int(percent)


def label(arm: str) -> str:
    """`Multi-task, 20 %`."""
    task, percent = parts(arm)
    return f"{TASKS[task]}, {percent} %"


def gain_weights(shares: Mapping[int, float]) -> dict[str, float]:
    """Weights of the arms: multi-task minus single-task, summed over percentages with these factors."""
    return {
        f"{task}_{percent}": sign * factor
        for percent, factor in shares.items()
        for task, sign in (("multi", 1.0), ("single", -1.0))
    }


def _examine_fig8(finished: StudyInput) -> StudyResults:
    rows = _rows(finished, PERFORMANCE, heading="Test performance")
    figure = curves_figure(
        _curves(rows),
        path=finished.out / "fig8.png",
        label=SHARE,
        title="Test performance by size of the training set; bands: 95 % over patients",
    )
    return StudyResults(
        rows, figures=[figure], notes=["The paper prints Figure 8 without numbers."]
    )


def _examine_fig9(finished: StudyInput) -> StudyResults:
    rows = _rows(finished, ATTENTION, heading="Attention on lesions")
    curves = curves_figure(
        _curves(rows),
        path=finished.out / "fig9_overlap.png",
        label=SHARE,
        title="Attention against lesions by size of the training set; bands: 95 % over patients",
    )
    return StudyResults(rows, figures=[curves, *_panels(finished)])


def _rows(finished: StudyInput, metrics: Metrics, *, heading: str) -> list[Measurement]:
    """Single-task, multi-task and the gain at each percentage."""
    labels = {arm: label(arm) for arm in finished.configs}
    rows = measure_arms(finished, ArmComparison({heading: metrics}, labels=labels))
    arms = arm_replicates(finished)
    for percent in sorted({parts(arm)[1] for arm in finished.configs}):
        weights = gain_weights({percent: 1.0})
        name = f"{GAIN}, {percent} %"
        rows += contrast_rows(arms, weights, table=GAIN, name=name, metrics=metrics)
    return rows


def _curves(rows: list[Measurement]) -> Curves:
    """The measurement at each percentage by metric and task; the last panel shows the gain."""
    curves: dict[str, dict[str, dict[float, Measurement]]] = {}
    for row in rows:
        task, _, share = row.name.rpartition(", ")
        metric = f"{row.metric}: gain" if task == GAIN else row.metric
        curves.setdefault(metric, {}).setdefault(task, {})[float(share.removesuffix(" %"))] = row
    return curves


def _panels(finished: StudyInput) -> list:
    """Attention of both tasks at each percentage for a few slices, as in Figure 9."""
    arms = {arm: runs[min(runs)] for arm, runs in finished.arms.items()}
    percentages = sorted({parts(arm)[1] for arm in arms})
    complete = [p for p in percentages if all(f"{task}_{p}" in arms for task in TASKS)]
    if not complete:
        return []
    names = _largest_lesions(next(iter(arms.values())))
    shown = {
        task: [_attention(arms[f"{task}_{percent}"], names) for percent in complete]
        for task in TASKS
    }
    pictures = []
    for place, name in enumerate(names):
        images, masks, _ = shown["multi"][0]
        maps = {
            TASKS[task]: np.stack([attention[place] for _, _, attention in panels])
            for task, panels in shown.items()
        }
        pictures.append(
            attribution_panel(
                np.repeat(images[place][None], len(complete), axis=0),
                maps,
                masks=np.repeat(masks[place][None], len(complete), axis=0),
                captions=[f"{percent} %" for percent in complete],
                path=finished.out / f"fig9_{place + 1}.png",
                title=f"{name}: attention by training share; outlined: lesion",
            )
        )
    return pictures


def _largest_lesions(run: PlannedRun) -> list[str]:
    """File names of the test slices with the largest lesions, one slice a patient."""
    predictions = predictions_of(run)
    order = np.argsort(-np.nan_to_num(predictions.overlap[AREA]), kind="stable")
    people = dict.fromkeys(predictions.patients[order].tolist())
    firsts = [int(order[predictions.patients[order] == person][0]) for person in people]
    return predictions.file_names[firsts[:SHOWN_SLICES]].tolist()


def _attention(planned: PlannedRun, names: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, masks and attention maps of the named slices."""
    run = reopen_run(planned.folder)
    state, _ = run.restore_state()
    rows = run.data.find_rows(names)
    maps = run.predict(state, rows)["attention_map"]
    images, masks = (array[rows][..., 0] for array in (run.data.images, run.data.masks))
    return images, masks, enlarge(maps.astype(np.float32), size=images.shape[1:])


STUDIES = {
    "fig8": Study(
        title="Single-task against multi-task by size of the training set",
        source="Paper, Figure 8",
        plan=PLAN,
        examine=_examine_fig8,
    ),
    "fig9": Study(
        title="Attention maps by size of the training set",
        source="Paper, Figure 9",
        plan=PLAN,
        examine=_examine_fig9,
    ),
}
