"""Is one classifier better than another, or is it chance? By slices and by patients, for any two runs."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from mgajax import config as configs
from mgajax.config import CONFIG_FILE
from mgajax.errors import ConfigError
from mgajax.evaluation.classifier_comparison import mcnemar, right_patients
from mgajax.experiments.classifiers import MODELS, SECTIONS, TABLE4
from mgajax.experiments.compare import measure_arms, predictions_of
from mgajax.experiments.execution import RunOutcome, RunStatus
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.study import (
    BINARY,
    THREE_CLASS,
    ArmComparison,
    Study,
    StudyInput,
    StudyResults,
)
from mgajax.reporting.figures.experiment_figures import arms_figure
from mgajax.reporting.tables.measurements import Measurement

PATIENTS = ArmComparison(
    sections={
        "COVID-19 against the rest, patients": BINARY,
        "Three classes, patients": THREE_CLASS,
    },
    pairs=TABLE4.pairs,
    labels=MODELS,
)
MCNEMAR = "McNemar's test: patients rightly called COVID-19 or not"
READING = (
    "A patient is judged by the mean of the slices' probabilities. McNemar's p is exact and "
    "two-sided, of one pair of runs; it is not corrected for the number of pairs."
)


def read_runs(folders: Sequence[Path]) -> list[RunOutcome]:
    """Read finished runs from any folders; each is an arm of the comparison, named by its folder.

    Raises:
      ConfigError: fewer than two runs, two of one name, or a folder without a run.
    """
    names = [folder.resolve().name for folder in folders]
    if len(names) < 2 or len(set(names)) < len(names):
        listed = " ".join(map(str, folders)) or "nothing"
        raise ConfigError(
            f"--compare {listed}: expected two or more runs, in folders of unlike names"
        )
    outcomes = []
    for name, folder in zip(names, folders, strict=True):
        config, _ = configs.read(folder / CONFIG_FILE)
        run = PlannedRun(name, config.seed, config, folder.resolve(), fingerprint="")
        outcomes.append(RunOutcome(run, RunStatus.FINISHED))
    return outcomes


def _examine_patients(finished: StudyInput) -> StudyResults:
    rows = measure_arms(finished, PATIENTS, unit="patients")
    tests = [
        row
        for first, second in PATIENTS.pairs
        for seed in sorted(set(finished.arms.get(first, {})) & set(finished.arms.get(second, {})))
        for row in _mcnemar(
            finished.arms[first][seed],
            finished.arms[second][seed],
            name=f"{PATIENTS.label(first)} / {PATIENTS.label(second)}, seed {seed}",
        )
    ]
    heading = next(iter(PATIENTS.sections))
    shown = [row for row in rows if row.table == heading]
    figure = arms_figure(shown, path=finished.out / "patients.png")
    return StudyResults([*rows, *tests], figures=[figure], notes=[READING])


def _examine_runs(finished: StudyInput) -> StudyResults:
    pairs = list(combinations(finished.arms, 2))
    comparison = ArmComparison(SECTIONS, pairs=pairs, labels=MODELS)
    rows = measure_arms(finished, comparison)
    only = {arm: next(iter(runs.values())) for arm, runs in finished.arms.items()}
    tests = [
        row
        for first, second in pairs
        for row in _mcnemar(
            only[first],
            only[second],
            name=f"{comparison.label(first)} / {comparison.label(second)}",
        )
    ]
    heading = next(iter(SECTIONS))
    shown = [row for row in rows if row.table == heading]
    figure = arms_figure(shown, path=finished.out / "arms.png")
    return StudyResults([*rows, *tests], figures=[figure], notes=[READING])


def _mcnemar(first: PlannedRun, second: PlannedRun, *, name: str) -> Iterator[Measurement]:
    right = (right_patients(predictions_of(run)) for run in (first, second))
    test = mcnemar(*right)
    headings = {"only_first": "Only the first", "only_second": "Only the second", "p": "p"}
    for key, heading in headings.items():
        yield Measurement(MCNEMAR, name, heading, value=float(test[key]), scale="number")


STUDIES = {
    "patients": Study(
        title="Diagnosis of patients",
        source="",
        plan="configs/experiments/table4.py",
        examine=_examine_patients,
    ),
    "significance": Study(
        title="Runs on one test set, two by two",
        source="",
        plan="configs/experiments/table4.py",
        examine=_examine_runs,
        seeds=1,
        takes_runs=True,
    ),
}
