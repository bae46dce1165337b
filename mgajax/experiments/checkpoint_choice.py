"""How much of Figure 8 comes from the choice of the checkpoint: the best one against the newest.

The best checkpoint has the lowest validation cross-entropy. A network soon memorises a small training
set and becomes overconfident. Its validation cross-entropy then rises although its accuracy still
rises, too. In that case the best checkpoint is an early one, hardly trained, and which one depends on
the seed.
"""

import json

import numpy as np

from mgajax.evaluation.evaluate import evaluate_run
from mgajax.evaluation.evaluation_report import results_folder
from mgajax.experiments.compare import ByArm, arm_replicates, contrast_rows, measure
from mgajax.experiments.fractions import (
    GAIN,
    MORE_AT_LITTLE_DATA,
    PERFORMANCE,
    PLAN,
    SHARE,
    gain_weights,
    label,
    parts,
)
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.study import Study, StudyInput, StudyResults
from mgajax.progress import track
from mgajax.reporting.figures.experiment_figures import Curves, curves_figure
from mgajax.reporting.tables.measurements import Measurement
from mgajax.training.checkpoints import CheckpointName

WRITTEN = {CheckpointName.BEST: "best checkpoint", CheckpointName.NEWEST: "newest checkpoint"}
PLACE = "Step of the best checkpoint, of all steps"


def _examine(finished: StudyInput) -> StudyResults:
    _evaluate_newest(finished)
    arms = {
        checkpoint: arm_replicates(finished, checkpoint=checkpoint) for checkpoint in CheckpointName
    }
    gains = {
        checkpoint: _gains(finished, by_arm, checkpoint=checkpoint)
        for checkpoint, by_arm in arms.items()
    }
    rows = [
        *(row for gain_rows in gains.values() for row in gain_rows),
        *(
            row
            for checkpoint, by_arm in arms.items()
            for row in _more_at_little_data(by_arm, checkpoint=checkpoint)
        ),
        *_differences(finished, arms),
        *_places(finished),
        *(
            row
            for checkpoint, by_arm in arms.items()
            for row in _arms(finished, by_arm, checkpoint=checkpoint)
        ),
    ]
    figure = curves_figure(
        _curves(gains),
        path=finished.out / "checkpoint_choice.png",
        label=SHARE,
        title=f"{GAIN}, by which checkpoint is judged; bands: 95 % over patients",
    )
    return StudyResults(rows, figures=[figure])


def _evaluate_newest(finished: StudyInput) -> None:
    """Evaluate the newest checkpoint of every run, once."""
    runs = [run for by_seed in finished.arms.values() for run in by_seed.values()]
    for run in track(runs, description="judging the newest checkpoints", total=len(runs)):
        if not (
            results_folder(run.folder, checkpoint=CheckpointName.NEWEST) / "test.json"
        ).is_file():
            evaluate_run(run.folder, checkpoint=CheckpointName.NEWEST)


def _gains(finished: StudyInput, arms: ByArm, *, checkpoint: CheckpointName) -> list[Measurement]:
    """Multi-task minus single-task at each percentage."""
    return [
        row
        for percent in sorted({parts(arm)[1] for arm in finished.configs})
        for row in contrast_rows(
            arms,
            gain_weights({percent: 1.0}),
            table=f"{GAIN}: {WRITTEN[checkpoint]}",
            name=f"{percent} %",
            metrics=PERFORMANCE,
        )
    ]


def _more_at_little_data(arms: ByArm, *, checkpoint: CheckpointName) -> list[Measurement]:
    """Gain of mask guidance at 20 to 40 % of the training set minus that at 80 %, if all were run."""
    return contrast_rows(
        arms,
        gain_weights(MORE_AT_LITTLE_DATA),
        table="Mean gain at 20 to 40 % minus gain at 80 %",
        name=WRITTEN[checkpoint].capitalize(),
        metrics=PERFORMANCE,
    )


def _arms(finished: StudyInput, arms: ByArm, *, checkpoint: CheckpointName) -> list[Measurement]:
    return [
        row
        for arm in finished.configs
        if arm in arms
        for row in measure(
            arms[arm],
            table=f"Test performance: {WRITTEN[checkpoint]}",
            name=label(arm),
            metrics=PERFORMANCE,
        )
    ]


def _differences(finished: StudyInput, arms: dict[CheckpointName, ByArm]) -> list[Measurement]:
    """The newest checkpoint of each arm minus the best one."""
    rows = []
    for arm in finished.arms:
        both = {str(checkpoint): arms[checkpoint][arm] for checkpoint in CheckpointName}
        rows += contrast_rows(
            both,
            {CheckpointName.NEWEST: 1.0, CheckpointName.BEST: -1.0},
            table="Newest minus best checkpoint",
            name=label(arm),
            metrics=PERFORMANCE,
        )
    return rows


def _places(finished: StudyInput) -> list[Measurement]:
    """How far training was when the best checkpoint was saved."""
    rows = []
    for arm, runs in finished.arms.items():
        places = {
            seed: _step(run, checkpoint=CheckpointName.BEST)
            / _step(run, checkpoint=CheckpointName.NEWEST)
            for seed, run in runs.items()
        }
        mean = float(np.mean(list(places.values())))
        rows.append(Measurement(PLACE, label(arm), "Place", value=mean, seeds=places))
    return rows


def _step(run: PlannedRun, *, checkpoint: CheckpointName) -> int:
    path = results_folder(run.folder, checkpoint=checkpoint) / "test.json"
    return int(json.loads(path.read_text(encoding="utf-8"))["checkpoint_step"])


def _curves(gains: dict[CheckpointName, list[Measurement]]) -> Curves:
    curves: dict[str, dict[str, dict[float, Measurement]]] = {}
    for checkpoint, rows in gains.items():
        for row in rows:
            panel = curves.setdefault(f"{row.metric}: gain", {})
            panel.setdefault(WRITTEN[checkpoint].capitalize(), {})[
                float(row.name.removesuffix(" %"))
            ] = row
    return curves


STUDIES = {
    "checkpoint_choice": Study(
        title="The gain of guidance by the best and by the newest checkpoint",
        source="Paper, Figure 8",
        plan=PLAN,
        examine=_examine,
    ),
}
