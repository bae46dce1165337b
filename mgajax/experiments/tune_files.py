"""The result files of a search: `tuning.json`, `trials.csv`, `trace.png` and `trace.svg`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mgajax.experiments.tune_trials import Trial
from mgajax.files import write_csv, write_json
from mgajax.reporting.figures.experiment_figures import tuning_figure
from mgajax.reporting.figures.style import figure_files

JSON_FILE, CSV_FILE = "tuning.json", "trials.csv"


def write_results(
    trials: Sequence[Trial],
    *,
    best: Trial | None,
    workdir: Path,
    settings: ConfigDict,
    content: dict[str, Any],
) -> tuple[Path, ...]:
    """Write the results of the trials that are over.

    Args:
      trials: in their order.
      best: of them.
      workdir: of the search.
      settings: `config.search`.
      content: of `tuning.json`.
    """
    running = _best_so_far(trials, minimise=settings.goal == "minimise")
    label = f"validation {settings.metric.replace('_', ' ')}"
    trace = tuning_figure(
        [trial.value for trial in trials],
        best=running,
        initial=settings.initial,
        label=label,
        path=workdir / "trace",
    )
    return (
        write_csv(_lines(trials, running), workdir / CSV_FILE),
        *figure_files(trace),
        write_json(content, workdir / JSON_FILE),
    )


def _best_so_far(trials: Sequence[Trial], *, minimise: bool) -> list[float | None]:
    better = min if minimise else max
    bests: list[float | None] = []
    for trial in trials:
        known = [value for value in (*bests[-1:], trial.value) if value is not None]
        bests.append(better(known, default=None))
    return bests


def _lines(trials: Sequence[Trial], best: Sequence[float | None]) -> Iterator[list[Any]]:
    keys = list(trials[0].point) if trials else []
    yield ["trial", "status", "value", "best so far", *keys, "steps", "seconds", "reason"]
    for trial, running in zip(trials, best, strict=True):
        values = [trial.point[key] for key in keys]
        end = [trial.steps, trial.seconds, trial.reason]
        yield [trial.number, trial.status, trial.value, running, *values, *end]
