"""Does a classifier recognise the source instead of the disease, and does mask guidance prevent it?

If each class comes from its own sources, a network may recognise the scanner instead of the lungs
(shortcut learning). A test set with the same link between source and class does not show it. Slices of
the same scanners without that link do.
"""

from pathlib import Path

import numpy as np
from scipy.special import softmax

from mgajax.evaluation.classifier_comparison import paired_replicates
from mgajax.evaluation.predictions import Predictions
from mgajax.experiments.compare import ByArm, arm_replicates, contrast_rows, measure
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.study import RESAMPLING, Metrics, Study, StudyInput, StudyResults
from mgajax.paper import MODEL_NAMES
from mgajax.reporting.figures.experiment_figures import Curves, curves_figure
from mgajax.reporting.tables.measurements import Measurement
from mgajax.training.run import open_run

METRICS: Metrics = {
    "covid_vs_rest.accuracy": "Accuracy",
    "covid_vs_rest.roc_auc": "ROC AUC",
    "three_class.accuracy": "Three-class accuracy",
}
MODELS = {
    "resnet18": MODEL_NAMES["resnet18"],
    "cbam": MODEL_NAMES["resnet18_cbam"],
    "mga": MODEL_NAMES["mga_resnet18"],
}
LINKED = ("morozov", "jun", "afshar")
"""The sources that the phantom's classes are linked to; at 100 % a network sees no others."""

OTHER_PEOPLE = {"shortcut": 0.0, "seed": 1000}
"""Options of the test set without the link; no patient in it was used in training."""

OWN, HONEST = "Own test set", "Slices without the shortcut"
PANELS = {OWN: "own test set", HONEST: "no shortcut"}


def _examine(finished: StudyInput) -> StudyResults:
    linked, honest = arm_replicates(finished), _honest(finished)
    rows = [*_rows(linked, OWN), *_rows(honest, HONEST)]
    for arm in finished.arms:
        both = {OWN: linked[arm], HONEST: honest[arm]}
        # The two test sets are resampled independently, so the difference is unpaired.
        table = "Lost without the shortcut"
        weights = {OWN: 1.0, HONEST: -1.0}
        rows += contrast_rows(both, weights, table=table, name=_label(arm), metrics=METRICS)
    for dial in sorted({_dial(arm) for arm in finished.arms}):
        weights = {f"mga_{dial}": 1.0, f"cbam_{dial}": -1.0}
        name = f"MGA minus CBAM, {dial} %"
        rows += contrast_rows(honest, weights, table=f"{HONEST}: gain", name=name, metrics=METRICS)
    figure = curves_figure(
        _curves(rows),
        path=finished.out / "shortcut.png",
        label="patients whose source follows from the class, %",
        title="Own test set, and slices without the shortcut; bands: 95 % over patients",
    )
    missing = [f"{arm}: {status} ({reason})" for arm, (status, reason) in finished.missing.items()]
    return StudyResults(rows, figures=[figure], notes=missing)


def _rows(arms: ByArm, table: str) -> list[Measurement]:
    return [
        row
        for arm, by_seed in arms.items()
        for row in measure(by_seed, table=table, name=_label(arm), metrics=METRICS)
    ]


def _curves(rows: list[Measurement]) -> Curves:
    curves: dict[str, dict[str, dict[float, Measurement]]] = {}
    for row in rows:
        if row.table in (OWN, HONEST):
            model, _, dial = row.name.rpartition(", ")
            panel = f"{row.metric}, {PANELS[row.table]}"
            curves.setdefault(panel, {}).setdefault(model, {})[float(dial.removesuffix(" %"))] = row
    return curves


def _dial(arm: str) -> int:
    return int(arm.rpartition("_")[2])


def _label(arm: str) -> str:
    return f"{MODELS[arm.rpartition('_')[0]]}, {_dial(arm)} %"


def _honest(finished: StudyInput) -> ByArm:
    """The metrics of every run on slices whose source does not tell the class."""
    place = finished.data.place(OTHER_PEOPLE)
    if place is None:
        return {}
    predictions = {
        f"{arm}/{seed}": predict_elsewhere(
            run, data=place, sources=LINKED, workdir=finished.out / "elsewhere" / run.folder.name
        )
        for arm, runs in finished.arms.items()
        for seed, run in runs.items()
    }
    replicates = paired_replicates(predictions, settings=RESAMPLING) if predictions else {}
    return {
        arm: {seed: replicates[f"{arm}/{seed}"] for seed in runs}
        for arm, runs in finished.arms.items()
    }


def predict_elsewhere(
    run: PlannedRun, *, data: Path, sources: tuple[str, ...], workdir: Path
) -> Predictions:
    """A run's predictions for all slices of another data set that come from these sources.

    Args:
      run: a finished one.
      data: a built data set.
      sources: whose slices are used.
      workdir: gets the configuration of the prediction.

    Raises:
      DataError: the data set cannot be read.
      CheckpointError: the run has no checkpoint.
    """
    config = run.config.copy_and_resolve_references().unlock()
    config.data.dir, config.split.kind = str(data), "built"
    other = open_run(config.lock(), workdir=workdir)
    state, _ = other.restore_state(of=run.folder)
    table = other.data.table
    rows = np.flatnonzero(other.data.is_example & np.isin(table.sources, sources))
    logits = other.predict(state, rows, description="predicting elsewhere")["logits"]
    return Predictions(
        file_names=table.file_names[rows],
        labels=table.labels[rows],
        probabilities=softmax(logits.astype(np.float64), axis=-1),
        patients=table.patients[rows],
        sources=table.sources[rows],
        split="test",
    )


STUDIES = {
    "shortcut": Study(
        title="Accuracy that comes from the source",
        source="",
        plan="configs/experiments/shortcut.py",
        examine=_examine,
    ),
}
