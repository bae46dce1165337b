"""All runs of an experiment: what is finished is not repeated, what fails does not stop the rest."""

import time
from collections.abc import Sequence
from pathlib import Path

import jax

from mgajax.experiments.execution import (
    Execute,
    Outcome,
    Status,
    announce,
    attempt,
    is_finished,
    tell,
    train_and_evaluate,
)
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.processes import run_side_by_side
from mgajax.progress import say


def run_all(
    runs: Sequence[PlannedRun], *, jobs: int = 1, execute: Execute | None = None
) -> list[Outcome]:
    """Bring every run to its end, in order; ends early only when stopped by a signal.

    Args:
      runs: two that are equal share a folder, and are done once.
      jobs: so many processes at a time, which share out the GPUs or the CPU's cores.
      execute: how a run is done, if not by training and evaluation, in this process.

    Raises:
      ConfigError: GPUs that cannot be shared out.
    """
    own: dict[Path, PlannedRun] = {}
    for run in runs:
        own.setdefault(run.folder, run)
    finished = {folder for folder, run in own.items() if is_finished(run)}
    if finished:
        say(f"{len(finished)} of {len(own)} runs were finished before")
    waiting = [run for folder, run in own.items() if folder not in finished]
    if jobs > 1:
        found = run_side_by_side(waiting, jobs=jobs)
    else:
        found = _one_by_one(waiting, execute=execute or train_and_evaluate)
    by_folder = {one.run.folder: one for one in found}
    return [
        Outcome(run, Status.FINISHED, reused=True)
        if run.folder in finished
        else _as(run, by_folder.get(run.folder))
        for run in runs
    ]


def _one_by_one(runs: Sequence[PlannedRun], *, execute: Execute) -> list[Outcome]:
    outcomes: list[Outcome] = []
    since = time.monotonic()
    for number, run in enumerate(runs, start=1):
        announce(run, number=number, of=len(runs), done=len(outcomes), since=since)
        outcomes.append(attempt(run, execute=execute))
        jax.clear_caches()  # programs of no use to the next run, 200 MB each time
        tell(outcomes[-1])
        if outcomes[-1].status == Status.STOPPED:
            break
    return outcomes


def _as(run: PlannedRun, outcome: Outcome | None) -> Outcome:
    """The outcome of an equal run, or that none has begun."""
    if outcome is None:
        return Outcome(run, Status.STOPPED)
    return Outcome(run, outcome.status, reason=outcome.reason)
