"""Calibration of the classifiers' probabilities, before and after temperature scaling."""

from collections.abc import Mapping
from dataclasses import replace

from mgajax.evaluation.calibration import apply_temperature, fit_temperature
from mgajax.evaluation.classifier_comparison import paired_replicates
from mgajax.evaluation.evaluate import evaluate_run
from mgajax.evaluation.evaluation_report import EVALUATION_FOLDER
from mgajax.evaluation.predictions import Predictions
from mgajax.experiments.classifiers import MODELS
from mgajax.experiments.compare import contrast_rows, measure, predictions_of
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.study import RESAMPLING, Metrics, Study, StudyInput, StudyResults
from mgajax.reporting.figures.experiment_figures import arms_figure
from mgajax.reporting.tables.measurements import Measurement

METRICS: Metrics = {
    "calibration.ece.top_label": "ECE, winning class",
    "calibration.ece.covid_vs_rest": "ECE, COVID-19",
    "calibration.brier.three_class": "Brier score",
    "three_class.log_loss": "Log loss",
}
TABLE = "Calibration on the test slices"


def _examine(finished: StudyInput) -> StudyResults:
    """Each arm before and after scaling by the temperature fitted on its own validation slices."""
    rows: list[Measurement] = []
    for arm, runs in finished.arms.items():
        rows += _arm(MODELS.get(arm, arm), runs)
    figure = arms_figure(
        [row for row in rows if row.table == TABLE], path=finished.out / "calibration.png"
    )
    notes = [
        "Temperatures are fitted on validation slices alone. A calibration error is itself too high, "
        "the more so the fewer slices: its interval reaches further down than up.",
        *(f"{arm}: {status} ({reason})" for arm, (status, reason) in finished.missing.items()),
    ]
    return StudyResults(rows, figures=[figure], notes=notes)


def _arm(name: str, runs: Mapping[int, PlannedRun]) -> list[Measurement]:
    tests = {seed: predictions_of(run) for seed, run in runs.items()}
    temperatures = {seed: fitted_temperature(run) for seed, run in runs.items()}
    arms = {
        "before": _replicates(tests),
        "after": _replicates(
            {
                seed: replace(
                    predictions,
                    probabilities=apply_temperature(
                        predictions.probabilities, temperature=temperatures[seed]
                    ),
                )
                for seed, predictions in tests.items()
            }
        ),
    }
    rows = [
        row
        for when, by_seed in arms.items()
        for row in measure(
            by_seed, table=TABLE, name=f"{name}, {when}", metrics=METRICS, scale="number"
        )
    ]
    weights = {"after": 1.0, "before": -1.0}
    table = "After minus before"
    rows += contrast_rows(arms, weights, table=table, name=name, metrics=METRICS, scale="number")
    mean = sum(temperatures.values()) / len(temperatures)
    return [
        *rows,
        Measurement(
            "Temperatures", name, "Temperature", value=mean, seeds=temperatures, scale="number"
        ),
    ]


def _replicates(by_seed: Mapping[int, Predictions]) -> dict:
    replicates = paired_replicates(
        {str(k): predictions for k, predictions in by_seed.items()}, settings=RESAMPLING
    )
    return {seed: replicates[str(seed)] for seed in by_seed}


def fitted_temperature(run: PlannedRun) -> float:
    """The temperature fitted on a run's validation slices, which are evaluated first if need be."""
    if not (run.folder / EVALUATION_FOLDER / "validation_predictions.csv").is_file():
        evaluate_run(run.folder, split="validation")
    known = predictions_of(run, split="validation")
    return fit_temperature(known.probabilities, known.labels)


STUDIES = {
    "calibration": Study(
        title="Calibration, before and after temperature scaling",
        source="",
        plan="configs/experiments/table4.py",
        examine=_examine,
    ),
}
