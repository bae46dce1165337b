"""Comparison of arms: means over seeds with intervals over patients, and paired differences."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mgajax.evaluation.classifier_comparison import (
    JudgedUnit,
    Replicates,
    mean_replicates,
    paired_replicates,
    weighted_sum,
)
from mgajax.evaluation.evaluation_report import results_folder
from mgajax.evaluation.intervals import (
    ValueScale,
    calibration_error,
    scale_of,
    standard_error,
    student_interval,
)
from mgajax.evaluation.predictions import Predictions, read_csv
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.study import RESAMPLING, ArmComparison, Metrics, StudyInput
from mgajax.experiments.verdicts import judge
from mgajax.reporting.tables.measurements import Measurement, NumberFormat
from mgajax.training.checkpoints import CheckpointName

ECE = "calibration.ece."
"""The start of the paths of calibration errors."""

ByArm = Mapping[str, Mapping[int, Replicates]]
"""Every metric on the resamples, by arm and seed."""


def measure_arms(
    finished: StudyInput, comparison: ArmComparison, *, unit: JudgedUnit = "slices"
) -> list[Measurement]:
    """The rows of each table of the comparison, and below each table the differences of its pairs.

    Args:
      finished: runs whose test predictions are on disk.
      comparison: what to measure.
      unit: what is scored: slices, or patients by the mean probabilities of their slices.

    Raises:
      DataError: predictions that cannot be read.
    """
    arms = arm_replicates(finished, unit=unit)
    rows = []
    for heading, metrics in comparison.sections.items():
        for arm in finished.configs:
            rows += _arm_rows(arm, arms.get(arm, {}), heading, metrics, comparison, finished)
        table = f"{heading}: differences"
        for first, second in comparison.pairs:
            name = f"{comparison.label(first)} minus {comparison.label(second)}"
            weights = {first: 1.0, second: -1.0}
            rows += contrast_rows(arms, weights, table=table, name=name, metrics=metrics)
    return rows


def arm_replicates(
    finished: StudyInput,
    *,
    unit: JudgedUnit = "slices",
    checkpoint: CheckpointName = CheckpointName.BEST,
) -> ByArm:
    """Every metric of every run. Runs with the same test set are resampled alike."""
    predictions = {
        (arm, seed): predictions_of(run, checkpoint=checkpoint)
        for arm, runs in finished.arms.items()
        for seed, run in runs.items()
    }
    groups: dict[tuple[str, ...], dict[str, Predictions]] = {}
    for (arm, seed), table in predictions.items():
        names = tuple(sorted(table.file_names.tolist()))
        groups.setdefault(names, {})[f"{arm}/{seed}"] = table
    replicates: dict[str, Replicates] = {}
    for group in groups.values():
        replicates |= paired_replicates(group, settings=RESAMPLING, unit=unit)
    return {
        arm: {seed: replicates[f"{arm}/{seed}"] for seed in runs}
        for arm, runs in finished.arms.items()
    }


def predictions_of(
    run: PlannedRun, *, split: str = "test", checkpoint: CheckpointName = CheckpointName.BEST
) -> Predictions:
    """The predictions that evaluation wrote for a run."""
    folder = results_folder(run.folder, checkpoint=checkpoint)
    return read_csv(folder / f"{split}_predictions.csv")


def contrast_rows(
    arms: ByArm,
    weights: Mapping[str, float],
    *,
    table: str,
    name: str,
    metrics: Metrics,
    scale: NumberFormat = "percent",
) -> list[Measurement]:
    """A weighted sum of arms, such as `{"a": 1, "b": -1}`, over the seeds that they share.

    Returns:
      A row with a verdict for each metric that all arms have; no rows where they share no seed.
    """
    shared = set.intersection(*(set(arms.get(arm, {})) for arm in weights))
    by_seed = {
        seed: weighted_sum([(w, arms[arm][seed]) for arm, w in weights.items()], paths=metrics)
        for seed in sorted(shared)
    }
    if not by_seed:
        return []
    mean = mean_replicates(list(by_seed.values()))
    rows = []
    for path, heading in metrics.items():
        if path not in mean.metrics:
            continue
        row = _row(by_seed, mean, path, scale=ValueScale.DIFFERENCE)
        row = replace(row, table=table, name=name, metric=heading, scale=scale)
        clusters, draws = mean.clusters[path], mean.metrics[path][1:]
        error = standard_error(draws[np.isfinite(draws)], clusters=clusters)
        rows.append(judge(row, patient_error=error, clusters=clusters))
    return rows


def measure(
    by_seed: Mapping[int, Replicates],
    *,
    table: str,
    name: str,
    metrics: Metrics,
    paper: Mapping[str, float] | None = None,
    scale: NumberFormat = "percent",
) -> list[Measurement]:
    """A row for each metric that every seed has: mean over seeds, interval, and each seed's value.

    Args:
      paper: the paper's values in percent, by the metric's path.
    """
    mean = mean_replicates(list(by_seed.values()))
    rows = []
    for path, heading in metrics.items():
        if path in mean.metrics:
            printed = (paper or {}).get(path)
            row = _row(by_seed, mean, path, scale=scale_of(path))
            rows.append(
                replace(
                    row,
                    table=table,
                    name=name,
                    metric=heading,
                    paper=None if printed is None else printed / 100,
                    scale=scale,
                )
            )
    return rows


def measured_arms(
    arms: ByArm, *, table: str, metrics: Metrics, scale: NumberFormat = "percent"
) -> list[Measurement]:
    """`measure` of every arm, under the arm's own name."""
    return [
        row
        for name, by_seed in arms.items()
        for row in measure(by_seed, table=table, name=name, metrics=metrics, scale=scale)
    ]


def _row(
    by_seed: Mapping[int, Replicates], mean: Replicates, path: str, *, scale: ValueScale
) -> Measurement:
    """One metric: value, interval for these networks, and each seed's value; still without a name."""
    values, clusters, confidence = mean.metrics[path], mean.clusters[path], RESAMPLING.confidence
    value, draws = float(values[0]), values[1:]
    if path.startswith(ECE) and scale is not ValueScale.DIFFERENCE:
        deviations = mean.metrics[f"deviation.{path.removeprefix(ECE)}"][1:]
        span = calibration_error(value, draws, deviations, clusters=clusters, confidence=confidence)
    else:
        span = student_interval(value, draws, clusters=clusters, confidence=confidence, scale=scale)
    seeds = {seed: float(replicates.metrics[path][0]) for seed, replicates in by_seed.items()}
    return Measurement(
        table="",
        name="",
        metric="",
        value=float(values[0]) if np.isfinite(values[0]) else None,
        low=span["low"],
        high=span["high"],
        seeds={seed: value for seed, value in seeds.items() if np.isfinite(value)},
        note=f"no interval: {span['reason']}" if span["reason"] else "",
    )


def _arm_rows(
    arm: str,
    by_seed: Mapping[int, Replicates],
    heading: str,
    metrics: Metrics,
    comparison: ArmComparison,
    finished: StudyInput,
) -> list[Measurement]:
    name, paper = comparison.label(arm), comparison.paper.get(arm, {})
    if by_seed:
        return measure(by_seed, table=heading, name=name, metrics=metrics, paper=paper)
    status, reason = finished.missing[arm]
    return [
        Measurement(
            table=heading,
            name=name,
            metric=metric,
            paper=paper[path] / 100 if path in paper else None,
            status="failed" if status == "failed" else "not run",
            note=reason,
        )
        for path, metric in metrics.items()
    ]
