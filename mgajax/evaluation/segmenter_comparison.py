"""Several evaluated segmenters on the same slices: Table 3, paired differences, Fig. 7.

The models see the same patients, so the difference of two is resampled as one number, in which
patients that are hard for both cancel. Two separate intervals cannot show that.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mgajax.data.preparation import decode
from mgajax.errors import ConfigError, DataError
from mgajax.evaluation.bootstrap import (
    IntervalSettings,
    make_clusters,
    prepend_original,
    resample,
)
from mgajax.evaluation.evaluate_segmenter import SlicePrediction, panel_slices, segment_slices
from mgajax.evaluation.evaluation_report import EVALUATION_FOLDER
from mgajax.evaluation.intervals import ValueScale, student_interval
from mgajax.evaluation.segmentation import replicate_scores
from mgajax.evaluation.segmentation_counts import BOUNDARY, PIXELS, SegmentationCounts
from mgajax.files import write_json, write_text
from mgajax.paper import model_name
from mgajax.reporting.figures.segmentation_figures import model_comparison_figure
from mgajax.reporting.figures.segmentation_panels import segmentation_panel
from mgajax.reporting.tables.table3 import differences_markdown, table3_markdown
from mgajax.training.run import reopen_run


@dataclass(frozen=True)
class StoredEvaluation:
    """The stored evaluation of one run, its slices sorted by file name.

    Attributes:
      workdir: the run.
      metrics: the JSON report.
      file_names: str [n].
      patients: str [n].
      sources: str [n].
      counts: of the n slices.
    """

    workdir: Path
    metrics: dict[str, Any]
    file_names: np.ndarray
    patients: np.ndarray
    sources: np.ndarray
    counts: SegmentationCounts


@dataclass(frozen=True)
class SegmenterComparison:
    """Differences of segmenters, and what was written of them.

    Attributes:
      differences: see `paired_differences`.
      table: Table 3 and the differences, in Markdown.
      files: what was written.
    """

    differences: dict[str, Any]
    table: str
    files: tuple[Path, ...]


def compare_segmenters(workdirs: Sequence[Path], *, out: Path) -> SegmenterComparison:
    """Compare runs that were evaluated on the same test slices, the first with each other one.

    Writes `table3.md`, `table3.json` (each report, and the differences), `table3.png` and `fig7.png`.

    Args:
      workdirs: two or more folders of runs.
      out: the folder of these files; made if missing.

    Raises:
      ConfigError: fewer than two runs, or a run that has not been evaluated.
      DataError: an evaluation that cannot be read, or two of different slices or masks.
    """
    if len(workdirs) < 2:
        raise ConfigError(f"{len(workdirs)} runs to compare; expected two or more --workdir")
    runs = _by_name([read_evaluation(workdir) for workdir in workdirs])
    _check_same_slices(runs)
    first = next(iter(runs.values()))
    settings = IntervalSettings(replicates=1000, seed=0, confidence=0.95)
    counts = {name: run.counts for name, run in runs.items()}
    differences = paired_differences(counts, first.patients, settings=settings)
    results = {name: run.metrics for name, run in runs.items()}
    table = f"{table3_markdown(results)}\n\n{differences_markdown(differences)}"
    out.mkdir(parents=True, exist_ok=True)
    files = (
        write_text(table, out / "table3.md"),
        write_json({"models": results, "differences": differences}, out / "table3.json"),
        model_comparison_figure(results, path=out / "table3.png"),
        _panel(runs, out / "fig7.png"),
    )
    return SegmenterComparison(differences=differences, table=table, files=files)


def read_evaluation(workdir: Path) -> StoredEvaluation:
    """Read the report and the per-slice table of a segmentation run's test split.

    Raises:
      ConfigError: not evaluated, or no segmentation run.
      DataError: damaged.
    """
    report, slices = (
        workdir / EVALUATION_FOLDER / name for name in ("test.json", "test_slices.csv")
    )
    if not (report.is_file() and slices.is_file()):
        raise ConfigError(
            f"{workdir}: no {EVALUATION_FOLDER}/test.json with test_slices.csv; first: mgajax evaluate "
            f"--workdir {workdir}"
        )
    try:
        metrics = json.loads(report.read_text(encoding="utf-8"))
        with slices.open(encoding="utf-8", newline="") as file:
            lines = sorted(csv.DictReader(file), key=lambda line: line["file_name"])
        boundary = metrics["boundary"]
        numbers = {
            name: np.array([dtype(line[name] or "nan") for line in lines])
            for dtype, names in ((int, PIXELS), (float, BOUNDARY))
            for name in names
        }
        return StoredEvaluation(
            workdir=workdir,
            metrics=metrics,
            file_names=np.array([line["file_name"] for line in lines]),
            patients=np.array([line["patient"] for line in lines]),
            sources=np.array([line["source"] for line in lines]),
            counts=SegmentationCounts(
                **numbers, tolerance=boundary["tolerance"], unit=boundary["unit"]
            ),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{slices}: cannot be read ({error!r}); evaluate the run again") from error


def paired_differences(
    counts: Mapping[str, SegmentationCounts], patients: np.ndarray, *, settings: IntervalSettings
) -> dict[str, Any]:
    """The first model's scores minus each other's, with paired bootstrap intervals.

    Args:
      counts: by model, of the same slices in the same order.
      patients: str [n].
      settings: of the bootstrap; whole patients are drawn, the same for all models.

    Returns:
      `reference` (the first model), `settings`, and `models`: for each other one and each of
      `pooled`, `per_image` and `per_image_with_lesion`, by metric `value` (None where undefined) and
      a `Span` of `intervals.py`.
    """
    reference, *others = counts
    clusters = make_clusters(patients, np.zeros(len(patients), int), class_names=("all",))
    draws = prepend_original(resample(clusters, settings=settings))
    scores = {
        name: replicate_scores(slices, clusters.member, draws) for name, slices in counts.items()
    }
    return {
        "reference": reference,
        "settings": {
            "method": "Student's t with the standard error of a paired bootstrap over patients",
            "clusters": len(clusters.stratum),
            "replicates": settings.replicates,
            "seed": settings.seed,
            "confidence": settings.confidence,
        },
        "models": {
            name: {
                block: {
                    key: _difference(
                        scores[reference][block][key] - values,
                        settings,
                        clusters=len(clusters.stratum),
                    )
                    for key, values in scores[name][block].items()
                }
                for block in scores[name]
            }
            for name in others
        },
    }


def _difference(values: np.ndarray, settings: IntervalSettings, *, clusters: int) -> dict[str, Any]:
    """The difference on the data, the first of `values`, and the interval from the others."""
    span = student_interval(
        float(values[0]),
        values[1:],
        clusters=clusters,
        confidence=settings.confidence,
        scale=ValueScale.DIFFERENCE,
    )
    return {"value": float(values[0]) if np.isfinite(values[0]) else None, **span}


def _by_name(runs: Sequence[StoredEvaluation]) -> dict[str, StoredEvaluation]:
    """Runs by their model's name, or by their folder's where two have the same model."""
    names = [run.metrics["model"] for run in runs]
    if len(set(names)) < len(names):
        names = [run.workdir.name for run in runs]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"runs to compare: {', '.join(names)}; expected folders of different names"
        )
    return dict(zip(names, runs, strict=True))


def _check_same_slices(runs: Mapping[str, StoredEvaluation]) -> None:
    first, *others = runs.values()
    for other in others:
        if not np.array_equal(first.file_names, other.file_names):
            raise DataError(
                f"{first.workdir} and {other.workdir} were evaluated on different slices "
                f"({len(first.file_names)} and {len(other.file_names)}); expected the same"
            )
        lesions = [run.counts.true_positive + run.counts.false_negative for run in (first, other)]
        differ = np.flatnonzero(lesions[0] != lesions[1])
        if len(differ):
            raise DataError(
                f"{first.workdir} and {other.workdir}: the lesion of {first.file_names[differ[0]]} "
                f"has {lesions[0][differ[0]]} and {lesions[1][differ[0]]} pixels; expected the "
                "same masks"
            )


def _panel(runs: Mapping[str, StoredEvaluation], path: Path) -> Path:
    """Fig. 7: slices from the median to the worst mean Dice, segmented again by each model."""
    first = next(iter(runs.values()))
    dice = {name: run.counts.scores()["dice"] for name, run in runs.items()}
    chosen = panel_slices(
        np.mean([*dice.values()], axis=0),
        sources=first.sources,
        has_lesion=first.counts.has_lesion,
    )
    names = first.file_names[chosen]
    predictions = {name: _segment_again(run.workdir, names) for name, run in runs.items()}
    slices = next(iter(predictions.values()))
    return segmentation_panel(
        [image for image, _ in slices],
        [prediction.truth for _, prediction in slices],
        {
            model_name(name): [prediction.predicted for _, prediction in of_model]
            for name, of_model in predictions.items()
        },
        dice={model_name(name): column[chosen] for name, column in dice.items()},
        captions=first.sources[chosen].tolist(),
        path=path,
        title="From the median to the worst slice of each source (by the models' mean Dice)",
    )


def _segment_again(
    workdir: Path, file_names: np.ndarray
) -> list[tuple[np.ndarray, SlicePrediction]]:
    """Picture and segmentation of each slice, in the order of `file_names`."""
    run = reopen_run(workdir)
    state, _ = run.restore_state()
    rows = run.data.find_rows(file_names.tolist())
    predictions = {slice_.row: slice_ for slice_ in segment_slices(run, state, np.sort(rows))}
    ordered = [predictions[row] for row in rows.tolist()]
    settings = run.data.settings
    return [(decode(slice_.image, flags="", settings=settings), slice_) for slice_ in ordered]
