"""What `mgajax explain` gives, and the files that it writes.

In the folder: `MODEL_METHOD.npz` (file_names, targets, maps float32 `[n, s, s]`, and for attributions
difference and completeness_gap), `scores.csv` (a row for each slice, model, method and reading),
`summary.json` (means with intervals, speed, gaps), `maps.png`, `overlays.png`, `rank_auc.png`, and
`index.html`, which holds the pictures. Where checks were asked for, also `checks.csv` and
`checks.png`.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mgajax import config as configs
from mgajax.evaluation.overlap import column_means, overlap_summary
from mgajax.explanation.checks import Check
from mgajax.explanation.methods import MethodMaps
from mgajax.explanation.scores import READINGS, lesion_scores, relevance
from mgajax.explanation.slices import Slices
from mgajax.files import cell, write_csv, write_json, write_text
from mgajax.reporting.figures.check_curves import CheckCurve, check_curves
from mgajax.reporting.figures.map_panels import (
    attribution_panel,
    score_bars,
)
from mgajax.reporting.html.explanation_page import explanation_page
from mgajax.schema import CLASS_NAMES

PANEL_SLICES = 6

ReadingKey = tuple[str, str, str]
"""Model, method, reading."""

ScoreColumns = Mapping[str, Float[np.ndarray, "n"]]
"""By score, its value in each slice."""


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What `explain_runs` gives.

    Attributes:
      slices: what was explained.
      targets: by model, the explained class of each slice.
      probabilities: by model, `[n, k]`.
      results: of each model and method.
      checks: of each model, method and kind of check that was asked for.
      files: what was written, the page last.
    """

    slices: Slices
    targets: Mapping[str, Int[np.ndarray, "n"]]
    probabilities: Mapping[str, Float[np.ndarray, "n k"]]
    results: Sequence[MethodMaps]
    checks: Sequence[Check] = ()
    files: Sequence[Path] = ()


def write_results(explanation: Explanation, *, out: Path, baseline: str) -> list[Path]:
    """Write everything; returns the files, the page last."""
    out.mkdir(parents=True, exist_ok=True)
    files = [_write_maps(explanation, result, out=out) for result in explanation.results]
    scores: dict[ReadingKey, ScoreColumns] = {
        (result.model, result.method.title, reading): _scores(explanation, result, reading=reading)
        for result in explanation.results
        for reading in (READINGS if result.method.signed else READINGS[:1])
    }
    files.append(write_csv(_lines(explanation, scores), out / "scores.csv"))
    summaries = {key: _summary(explanation, columns) for key, columns in scores.items()}
    report = _report(explanation, summaries, baseline=baseline)
    files.append(write_json(report, out / "summary.json"))
    pictures = _pictures(explanation, summaries, out=out)
    if explanation.checks:
        files.append(write_csv(_check_lines(explanation), out / "checks.csv"))
        curves = [_check_curve(explanation, check) for check in explanation.checks]
        pictures.append(check_curves(curves, path=out / "checks.png"))
    page = explanation_page(
        pictures,
        title=f"{len(explanation.slices)} slices explained, baseline: {baseline}",
        report=report,
    )
    return [*files, *pictures, write_text(page, out / "index.html")]


def _write_maps(explanation: Explanation, result: MethodMaps, *, out: Path) -> Path:
    name = f"{result.model}_{result.method.title}".replace(" ", "-").replace("/", "-")
    path = out / f"{name}.npz"
    arrays: dict[str, Any] = {
        "file_names": explanation.slices.names.astype(np.str_),
        "targets": explanation.targets[result.model],
        "maps": result.maps.values,
    }
    if result.maps.gap is not None and result.maps.difference is not None:
        arrays |= {"difference": result.maps.difference, "completeness_gap": result.maps.gap}
    np.savez_compressed(path, **arrays)
    return path


def _scores(explanation: Explanation, result: MethodMaps, *, reading: str) -> ScoreColumns:
    """NaN throughout where no mask is known."""
    maps = relevance(result.maps.values, reading=reading)
    columns = lesion_scores(maps, explanation.slices.masks)
    has_mask = explanation.slices.has_mask
    return {name: np.where(has_mask, column, np.nan) for name, column in columns.items()}


def _summary(explanation: Explanation, columns: ScoreColumns) -> dict[str, Any]:
    return overlap_summary(columns, explanation.slices.patients)


def _lines(
    explanation: Explanation, scores: Mapping[ReadingKey, ScoreColumns]
) -> Iterator[list[Any]]:
    slices = explanation.slices
    names = list(next(iter(scores.values())))
    yield ["file_name", "patient", "model", "method", "reading", "target", "probability", *names]
    for (model, method, reading), columns in scores.items():
        targets = explanation.targets[model]
        for row, file_name in enumerate(slices.names):
            patient = "" if slices.patients is None else slices.patients[row]
            chance = cell(explanation.probabilities[model][row, targets[row]])
            numbers = [cell(columns[name][row]) for name in names]
            target = CLASS_NAMES[targets[row]]
            yield [file_name, patient, model, method, reading, target, chance, *numbers]


def _report(
    explanation: Explanation,
    summaries: Mapping[ReadingKey, dict[str, Any]],
    *,
    baseline: str,
) -> dict[str, Any]:
    speeds = {
        f"{result.model}/{result.method.title}": {
            "seconds_per_slice": result.seconds,
            "includes_compilation": not result.compiled,
            "largest_relative_gap": _largest_gap(result),
        }
        for result in explanation.results
    }
    return {
        "slices": len(explanation.slices),
        "baseline": baseline,
        "scores": {"/".join(key): summary for key, summary in summaries.items()},
        "checks": _check_scores(explanation),
        "methods": speeds,
        "provenance": configs.provenance(),
    }


def _check_scores(explanation: Explanation) -> dict[str, Any]:
    """Mean area under each curve, or correlation once all is redrawn, with intervals."""
    return {
        f"{check.model}/{check.method}/{check.kind}": column_means(
            check.score[:, None], explanation.slices.patients
        )[0]
        for check in explanation.checks
    }


def _check_curve(explanation: Explanation, check: Check) -> CheckCurve:
    means = column_means(check.values, explanation.slices.patients)
    return CheckCurve(check.model, check.method, check.kind, check.points, means)


def _check_lines(explanation: Explanation) -> Iterator[list[Any]]:
    names = explanation.slices.names
    yield ["file_name", "model", "method", "check", "score", "point", "value"]
    for check in explanation.checks:
        for row, file_name in enumerate(names):
            head = [file_name, check.model, check.method, check.kind, cell(check.score[row])]
            for point, value in zip(check.points, check.values[row], strict=True):
                yield [*head, point, cell(value)]


def _largest_gap(result: MethodMaps) -> float | None:
    """|gap| as a share of the largest |difference| that was explained."""
    if result.maps.gap is None or result.maps.difference is None:
        return None
    largest = float(np.abs(result.maps.difference).max())
    return float(np.abs(result.maps.gap).max()) / largest if largest > 0 else None


def _pictures(
    explanation: Explanation,
    summaries: Mapping[ReadingKey, dict[str, Any]],
    *,
    out: Path,
) -> list[Path]:
    slices = explanation.slices
    rows = panel_slices(slices.masks, has_mask=slices.has_mask, patients=slices.patients)
    several = len(explanation.targets) > 1
    maps = {
        f"{result.method.title}\n{result.model}"
        if several
        else result.method.title: result.maps.values[rows]
        for result in sorted(explanation.results, key=lambda result: result.method.title)
    }
    first_model = next(iter(explanation.targets))
    captions = [
        f"{CLASS_NAMES[target]} {explanation.probabilities[first_model][row, target]:.0%}"
        for row, target in zip(rows, explanation.targets[first_model][rows], strict=True)
    ]
    pictures = [
        attribution_panel(
            slices.pixels[rows],
            maps,
            path=out / f"{look}s.png",
            masks=np.where(slices.has_mask[rows, None, None], slices.masks[rows], np.uint8(0)),
            captions=captions,
            look=look,
            title="Signed maps: red speaks for the class above, blue against it. Outlined: lesion",
        )
        for look in ("overlay", "map")
    ]
    scored = {
        " ".join(key): summary["rank_auc"]
        for key, summary in summaries.items()
        if summary["rank_auc"]["mean"] is not None
    }
    if scored:
        label = "chance that a lesion pixel has the higher value"
        pictures.append(score_bars(scored, path=out / "rank_auc.png", chance=0.5, label=label))
    return pictures


def panel_slices(
    masks: np.ndarray, *, has_mask: np.ndarray, patients: np.ndarray | None
) -> Int[np.ndarray, "m"]:
    """Up to `PANEL_SLICES`: the largest known lesion of each patient, the largest ones first."""
    area = np.where(has_mask, masks.reshape(len(masks), -1).sum(axis=1, dtype=np.int64), 0)
    order = np.argsort(-area, kind="stable")
    people = np.arange(len(masks)) if patients is None else patients
    firsts = np.sort(np.unique(people[order], return_index=True)[1])
    others = np.setdiff1d(np.arange(len(masks)), firsts)
    return order[np.concatenate([firsts, others])[:PANEL_SLICES]]
