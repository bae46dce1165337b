"""Step 1 on test patients: scores pooled, by source and by slice, and the gain of pretraining."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from mgajax.errors import DataError
from mgajax.evaluation.bootstrap import make_clusters, prepend_original, ratio, resample
from mgajax.evaluation.classifier_comparison import Replicates
from mgajax.evaluation.segmentation import replicate_scores
from mgajax.evaluation.segmentation_counts import SegmentationCounts
from mgajax.evaluation.segmenter_comparison import StoredEvaluation, read_evaluation
from mgajax.experiments.compare import ByArm, contrast_rows, measured_arms
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.real.arms import Arm, FoldedRuns, Start
from mgajax.experiments.real.gains import gain_rows
from mgajax.experiments.study import RESAMPLING, Metrics, StudyResults
from mgajax.paper import SEGMENTER_METRICS
from mgajax.reporting.figures.experiment_figures import arms_figure, curves_figure
from mgajax.reporting.tables.measurements import Measurement
from mgajax.training.metrics_log import METRICS_FILE, read_rows

POOLED: Metrics = {f"all.pooled.{key}": text for key, text in SEGMENTER_METRICS.items()}
MARKED: Metrics = {
    "healthy.marked": "Slices with a predicted lesion",
    "healthy.area": "Predicted share of the pixels",
}
SLICES: Metrics = {
    "all.per_image_with_lesion.dice": "Dice",
    "all.per_image_with_lesion.surface_dice": "Surface Dice",
}
LESIONS = "Lesions: all pixels pooled"
BY_SOURCE = "Lesions: pooled Dice by source"
BY_SLICE = "Lesions: means over slices with a lesion"
HEALTHY = "Slices without a lesion"
GAIN = "Lesions: drawn slices minus random weights"
AHEAD = "Lesions: differences of networks"
STEPS = "Steps until a validation Dice of 0.3"
REACHED = 0.3
"""The validation Dice from which on a segmenter counts as finding lesions at all."""

POINTS = 12
"""Number of points of a learning curve."""


def examine_segmenters(runs: FoldedRuns, *, out: Path) -> StudyResults:
    """Every table and figure of step 1.

    Args:
      runs: of segmenters, finished and evaluated.
      out: gets the figures.

    Raises:
      DataError: evaluations that cannot be read, or that cover different slices.
    """
    joined = {
        arm: {seed: joined_folds(folds) for seed, folds in by_seed.items()}
        for arm, by_seed in runs.items()
        if by_seed
    }
    if not joined:
        return StudyResults([], notes=["No segmenter finished all folds."])
    _check_same_slices(joined)
    arms = {
        arm.name: {seed: lesion_replicates(evaluation) for seed, evaluation in by_seed.items()}
        for arm, by_seed in joined.items()
    }
    judged = next(iter(next(iter(joined.values())).values()))
    sources = np.unique(judged.sources[judged.counts.has_lesion]).tolist()
    by_source: Metrics = {f"{source}.pooled.dice": source for source in sources}
    rows = [
        row
        for table, metrics in ((LESIONS, POOLED), (BY_SOURCE, by_source), (BY_SLICE, SLICES))
        for row in measured_arms(arms, table=table, metrics=metrics)
    ]
    if not judged.counts.has_lesion.all():
        rows += measured_arms(arms, table=HEALTHY, metrics=MARKED)
    dice: Metrics = {"all.pooled.dice": "all sources", **by_source}
    rows += gain_rows(list(joined), arms, table=GAIN, metrics=dice)
    rows += _differences(list(joined), arms, dice)
    rows += [_steps_until(arm, by_seed) for arm, by_seed in runs.items() if by_seed]
    figures = [
        arms_figure([row for row in rows if row.table == LESIONS], path=out / "segmenters.png"),
        learning_curves(runs, path=out / "learning_curves.png"),
    ]
    return StudyResults(rows, figures=figures)


def joined_folds(folds: Sequence[PlannedRun]) -> StoredEvaluation:
    """The evaluations of all folds joined, with slices sorted by name.

    Raises:
      DataError: one cannot be read, or two folds evaluate the same slice.
    """
    parts = [read_evaluation(run.folder) for run in folds]
    names = np.concatenate([part.file_names for part in parts])
    if len(np.unique(names)) < len(names):
        raise DataError(
            f"{parts[0].workdir} and other folds judge the same slices; expected each once"
        )
    order = np.argsort(names)
    columns = {
        name: np.concatenate([part.counts.columns()[name] for part in parts])
        for name in parts[0].counts.columns()
    }
    whole = SegmentationCounts(
        **columns, tolerance=parts[0].counts.tolerance, unit=parts[0].counts.unit
    )
    return StoredEvaluation(
        workdir=parts[0].workdir,
        metrics={},
        file_names=names[order],
        patients=np.concatenate([part.patients for part in parts])[order],
        sources=np.concatenate([part.sources for part in parts])[order],
        counts=whole.select(order),
    )


def lesion_replicates(evaluation: StoredEvaluation) -> Replicates:
    """Every score on the original data and on resamples of patients, stratified by source.

    Returns:
      Metrics by `GROUP.BLOCK.SCORE`, such as `all.pooled.dice`, over slices with a lesion; GROUP is
      `all` or a source. For slices without a lesion, the shares `healthy.marked` and `healthy.area`.
    """
    lesion = evaluation.counts.has_lesion
    counts = evaluation.counts.select(lesion)
    sources, codes = np.unique(evaluation.sources[lesion], return_inverse=True)
    clusters = make_clusters(
        evaluation.patients[lesion], codes, class_names=tuple(sources.tolist())
    )
    drawn = prepend_original(resample(clusters, settings=RESAMPLING))
    groups = {"all": np.ones(len(codes), bool)}
    groups |= {source: codes == code for code, source in enumerate(sources.tolist())}
    metrics, behind = {}, {}
    for group, rows in groups.items():
        people, member = np.unique(clusters.member[rows], return_inverse=True)
        scores = replicate_scores(counts.select(rows), member, drawn[:, people])
        for block, block_scores in scores.items():
            for name, values in block_scores.items():
                metrics[f"{group}.{block}.{name}"] = values
                behind[f"{group}.{block}.{name}"] = len(people)
    healthy = _healthy_replicates(evaluation, ~lesion)
    return Replicates(metrics | healthy.metrics, behind | healthy.clusters)


def _healthy_replicates(evaluation: StoredEvaluation, healthy: Bool[np.ndarray, "n"]) -> Replicates:
    """On slices without a lesion: the share of slices and of pixels where a lesion is predicted.

    People of all sources are resampled together, since a source may have one healthy person.
    """
    if not healthy.any():
        return Replicates({}, {})
    counts, patients = evaluation.counts.select(healthy), evaluation.patients[healthy]
    codes = np.zeros(len(patients), np.int64)
    people = make_clusters(patients, codes, class_names=("healthy",))
    times = prepend_original(resample(people, settings=RESAMPLING))[:, people.member]
    predicted = times @ counts.has_prediction
    area = times @ counts.false_positive
    pixels = times @ (counts.false_positive + counts.true_negative)
    metrics = {
        "healthy.marked": ratio(predicted, times.sum(axis=1)),
        "healthy.area": ratio(area, pixels),
    }
    return Replicates(metrics, dict.fromkeys(metrics, len(people.stratum)))


def _check_same_slices(joined: Mapping[Arm, Mapping[int, StoredEvaluation]]) -> None:
    first, *others = [evaluation for by_seed in joined.values() for evaluation in by_seed.values()]
    for other in others:
        if not np.array_equal(first.file_names, other.file_names):
            raise DataError(
                f"{first.workdir} and {other.workdir} belong to folds of other slices; "
                "take another --runs"
            )


def _differences(arms: Sequence[Arm], replicates: ByArm, metrics: Metrics) -> list[Measurement]:
    """The first network minus each other network with the same start."""
    rows = []
    for start in Start:
        alike = [arm for arm in arms if arm.start is start]
        for first, other in itertools.product(alike[:1], alike[1:]):
            name = f"{first.label} minus {other.label}, {start}"
            weights = {first.name: 1.0, other.name: -1.0}
            rows += contrast_rows(replicates, weights, table=AHEAD, name=name, metrics=metrics)
    return rows


def _steps_until(arm: Arm, by_seed: Mapping[int, Sequence[PlannedRun]]) -> Measurement:
    """Median over all runs of the first step with that Dice; no number if most runs never reached it."""
    steps = {seed: [first_step(run.folder) for run in folds] for seed, folds in by_seed.items()}
    every = [step for of_seed in steps.values() for step in of_seed]
    reached = sum(np.isfinite(every))
    medians = {seed: statistics.median(of_seed) for seed, of_seed in steps.items()}
    middle = statistics.median(every)
    return Measurement(
        STEPS,
        arm.name,
        "Steps",
        value=middle if np.isfinite(middle) else None,
        seeds={seed: value for seed, value in medians.items() if np.isfinite(value)},
        scale="number",
        note=f"{reached} of {len(every)} runs reached it",
    )


def first_step(run: Path) -> float:
    """The first step of a run with a validation Dice of at least `REACHED`; infinite if there is none."""
    reached = (step for step, dice in validation_dice(run).items() if dice >= REACHED)
    return float(next(reached, np.inf))


def validation_dice(run: Path) -> dict[int, float]:
    """The validation Dice by step of the run in a folder."""
    rows = read_rows(run / METRICS_FILE)
    return {
        int(row["step"]): float(row["validation/dice"]) for row in rows if "validation/dice" in row
    }


def learning_curves(runs: FoldedRuns, *, path: Path) -> Path:
    """Draw validation Dice by step: a panel for each network, a curve for each start.

    Folds of different size validate at different steps, so curves are interpolated linearly.
    """
    curves: dict[str, dict[str, dict[float, Measurement]]] = {}
    for arm, by_seed in runs.items():
        if by_seed:
            panel = curves.setdefault(arm.label, {})
            panel[f"from {arm.start}"] = _curve(by_seed)
    return curves_figure(
        curves,
        path=path,
        label="steps",
        title="Validation Dice; dots: each seed",
    )


def _curve(by_seed: Mapping[int, Sequence[PlannedRun]]) -> dict[float, Measurement]:
    """Mean over folds for each seed and for all, at steps that every run reached."""
    dice = {seed: [validation_dice(run.folder) for run in folds] for seed, folds in by_seed.items()}
    every = [curve for folds in dice.values() for curve in folds]
    first, last = max(map(min, every)), min(map(max, every))
    points = {}
    for step in np.linspace(first, last, POINTS).round().tolist():
        seeds = {
            seed: float(np.mean([np.interp(step, [*curve], [*curve.values()]) for curve in folds]))
            for seed, folds in dice.items()
        }
        mean = statistics.mean(seeds.values())
        points[step] = Measurement("Validation Dice", "", "Dice", value=mean, seeds=seeds)
    return points
