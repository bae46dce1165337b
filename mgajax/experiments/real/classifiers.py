"""Step 2 on test patients: every classifier, beside a baseline that knows only the source."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mgajax.data.splits import Split
from mgajax.data.table import SliceTable
from mgajax.evaluation.calibration import apply_temperature
from mgajax.evaluation.classifier_comparison import (
    JudgedUnit,
    Replicates,
    mean_replicates,
    paired_replicates,
)
from mgajax.evaluation.intervals import MIN_CLUSTERS
from mgajax.evaluation.predictions import Predictions, concatenate
from mgajax.experiments.calibration import METRICS as CALIBRATION
from mgajax.experiments.calibration import fitted_temperature
from mgajax.experiments.compare import ByArm, contrast_rows, measured_arms, predictions_of
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.real.arms import Arm, FoldedRuns, Start
from mgajax.experiments.real.folds import Fold
from mgajax.experiments.real.gains import gain_rows
from mgajax.experiments.study import ATTENTION, BINARY, RESAMPLING, Metrics, StudyResults
from mgajax.reporting.figures.experiment_figures import arms_figure
from mgajax.reporting.tables.measurements import Measurement
from mgajax.schema import CLASS_NAMES, COVID

SLICES, PEOPLE = "COVID-19 against the rest, slices", "COVID-19 against the rest, people"
GAIN = "COVID-19: drawn slices minus random weights"
AHEAD = "COVID-19: differences of networks"
BY_SOURCE = "COVID-19: ROC AUC within a source"
OUTSIDE = "COVID-19: the outside set"
LESIONS = "Attention on annotated lesions"
PROBABILITIES = "Calibration"
ALONE = "the source alone"
"""Name of the baseline."""

PERFORMANCE: Metrics = {
    key: BINARY[key] for key in ("covid_vs_rest.accuracy", "covid_vs_rest.roc_auc")
}
AUC = "covid_vs_rest.roc_auc"

ByNetwork = Mapping[str, Mapping[int, Predictions]]
"""A table of predictions by the arm's name and seed."""

Elsewhere = Callable[[PlannedRun], Predictions]
"""A run's predictions for the outside set."""


def examine_classifiers(
    runs: FoldedRuns,
    *,
    table: SliceTable,
    folds: Sequence[Fold],
    elsewhere: Elsewhere | None,
    out: Path,
) -> StudyResults:
    """Every table and figure of step 2.

    Args:
      runs: of classifiers, finished and evaluated.
      table: of the slices that they classify.
      folds: with the split `slices`.
      elsewhere: gives a run's predictions for the outside set; None where there is no such set.
      out: gets the figures.

    Raises:
      DataError: evaluations that cannot be read, or that cover different slices.
    """
    whole = {arm: by_seed for arm, by_seed in runs.items() if by_seed}
    if not whole:
        return StudyResults([], notes=["No classifier finished all folds."])
    judged = {
        arm.name: {
            seed: concatenate([predictions_of(run) for run in folds_of_seed])
            for seed, folds_of_seed in by_seed.items()
        }
        for arm, by_seed in whole.items()
    }
    seeds = sorted({seed for by_seed in judged.values() for seed in by_seed})
    judged[ALONE] = dict.fromkeys(seeds, source_alone(table, folds))
    rows: list[Measurement] = []
    units: Mapping[str, JudgedUnit] = {SLICES: "slices", PEOPLE: "patients"}
    for heading, unit in units.items():
        replicates = replicates_of(judged, unit=unit)
        rows += measured_arms(replicates, table=heading, metrics=BINARY)
        if unit == "slices":
            rows += _contrasts(list(whole), replicates)
            attended = {name: by_seed for name, by_seed in replicates.items() if _attends(by_seed)}
            rows += measured_arms(attended, table=LESIONS, metrics=ATTENTION)
    rows += within_sources(judged, arms=list(whole))
    rows += _calibration(whole)
    if elsewhere is not None:
        rows += _outside(whole, elsewhere)
    figures = [
        arms_figure([row for row in rows if row.table == heading], path=out / f"{name}.png")
        for name, heading in (("classifiers", SLICES), ("outside", OUTSIDE))
        if any(row.table == heading for row in rows)
    ]
    return StudyResults(rows, figures=figures)


def source_alone(table: SliceTable, folds: Sequence[Fold]) -> Predictions:
    """A baseline: predict a slice's class by the class shares of its source outside the test set.

    One slice of each class in the fold is added to the counts of every source, so that no probability
    is 0 or 1.
    """
    parts = []
    for fold in folds:
        split = fold.splits["slices"]
        test = split.indices("test")
        parts.append(
            Predictions(
                file_names=table.file_names[test],
                labels=table.labels[test],
                probabilities=_shares(table, split)[test],
                patients=table.patients[test],
                sources=table.sources[test],
                split="test",
            )
        )
    return concatenate(parts)


def _shares(table: SliceTable, split: Split) -> np.ndarray:
    """For every slice, the share of each class in its source in training and validation sets, `[n, k]`."""
    known = np.concatenate([split.indices("train"), split.indices("validation")])
    present = np.isin(np.arange(len(CLASS_NAMES)), table.labels[known])
    sources, codes = np.unique(table.sources, return_inverse=True)
    counts = np.zeros((len(sources), len(CLASS_NAMES))) + present
    np.add.at(counts, (codes[known], table.labels[known]), 1)
    shares: np.ndarray = (counts / counts.sum(axis=1, keepdims=True))[codes]
    return shares


def replicates_of(judged: ByNetwork, *, unit: JudgedUnit = "slices") -> ByArm:
    """Every metric of each table, on the same resamples of patients for all."""
    flat = {
        f"{name}/{seed}": predictions
        for name, by_seed in judged.items()
        for seed, predictions in by_seed.items()
    }
    replicates = paired_replicates(flat, settings=RESAMPLING, unit=unit)
    return {
        name: {seed: replicates[f"{name}/{seed}"] for seed in by_seed}
        for name, by_seed in judged.items()
    }


def _attends(by_seed: Mapping[int, Replicates]) -> bool:
    return all(set(ATTENTION) & set(replicates.metrics) for replicates in by_seed.values())


def _contrasts(arms: Sequence[Arm], replicates: ByArm) -> list[Measurement]:
    """The gain of pretraining; each network against the others of the same start, and the source."""
    rows = gain_rows(arms, replicates, table=GAIN, metrics=PERFORMANCE)
    for start in Start:
        alike = [arm for arm in arms if arm.start is start]
        pairs = [(a, b) for place, b in enumerate(alike) for a in alike[place + 1 :]]
        named = [
            (f"{a.label} minus {b.label}, {start}", a.name, b.name) for a, b in reversed(pairs)
        ]
        named += [(f"{arm.name} minus {ALONE}", arm.name, ALONE) for arm in alike]
        for name, first, second in named:
            weights = {first: 1.0, second: -1.0}
            rows += contrast_rows(replicates, weights, table=AHEAD, name=name, metrics=PERFORMANCE)
    return rows


def within_sources(judged: ByNetwork, *, arms: Sequence[Arm]) -> list[Measurement]:
    """ROC AUC, and its gain, within each source that has enough patients with and without COVID-19."""
    first = next(iter(next(iter(judged.values())).values()))
    rows = []
    for source in np.unique(first.sources).tolist():
        in_source = first.sources == source
        people = [
            len(np.unique(first.patients[in_source & kind]))
            for kind in (first.labels == COVID, first.labels != COVID)
        ]
        if min(people) < MIN_CLUSTERS:
            continue
        within = {
            name: {
                seed: predictions.select(predictions.sources == source)
                for seed, predictions in by_seed.items()
            }
            for name, by_seed in judged.items()
            if name != ALONE
        }
        replicates = replicates_of(within)
        gain = {AUC: f"{BINARY[AUC]} within {source}"}
        rows += measured_arms(replicates, table=BY_SOURCE, metrics={AUC: source})
        rows += gain_rows(arms, replicates, table=GAIN, metrics=gain)
    return rows


def _calibration(runs: FoldedRuns) -> list[Measurement]:
    """Each arm before and after scaling by the temperature fitted on its validation patients."""
    scaled: dict[str, dict[int, Predictions]] = {}
    for arm, by_seed in runs.items():
        for seed, folds in by_seed.items():
            tests = [predictions_of(run) for run in folds]
            after = [
                replace(
                    test,
                    probabilities=apply_temperature(
                        test.probabilities, temperature=fitted_temperature(run)
                    ),
                )
                for run, test in zip(folds, tests, strict=True)
            ]
            for when, parts in (("before", tests), ("after", after)):
                scaled.setdefault(f"{arm.name}, {when}", {})[seed] = concatenate(parts)
    return measured_arms(
        replicates_of(scaled), table=PROBABILITIES, metrics=CALIBRATION, scale="number"
    )


def _outside(runs: FoldedRuns, elsewhere: Elsewhere) -> list[Measurement]:
    """Each arm on the outside set, and the gain there: means over the networks of the folds."""
    judged = {
        f"{arm.name}/{seed}/{fold}": elsewhere(run)
        for arm, by_seed in runs.items()
        for seed, folds in by_seed.items()
        for fold, run in enumerate(folds)
    }
    replicates = paired_replicates(judged, settings=RESAMPLING)
    arms = {
        arm.name: {
            seed: mean_replicates(
                [replicates[f"{arm.name}/{seed}/{fold}"] for fold in range(len(folds))]
            )
            for seed, folds in by_seed.items()
        }
        for arm, by_seed in runs.items()
    }
    gain = {AUC: f"{BINARY[AUC]} outside"}
    return [
        *measured_arms(arms, table=OUTSIDE, metrics=BINARY),
        *gain_rows(list(runs), arms, table=GAIN, metrics=gain),
    ]
