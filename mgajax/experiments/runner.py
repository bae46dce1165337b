"""All runs of an experiment. Finished runs are not repeated, and a failed run does not stop the others.

They run one after the other in this process, or several at a time, each in a process of its own with a
share of the GPUs or CPU cores.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax

from mgajax import config as configs
from mgajax.distributed.supervision import Child, Share, describe_exit, run_in_slots, shares, start
from mgajax.experiments.execution import (
    FAILURE_FILE,
    Execute,
    RunOutcome,
    RunStatus,
    announce,
    attempt,
    is_finished,
    tell,
    train_and_evaluate,
)
from mgajax.experiments.plan import PlannedRun
from mgajax.progress import say

JOB_FILE = "job.json"
LOG_FILE = "output.txt"
STOPPED = 3
"""Exit code of a worker that saved and stopped on a signal."""


@dataclass(frozen=True)
class RunInProcess:
    """A run and its process."""

    run: PlannedRun
    process: Child


def run_all(
    runs: Sequence[PlannedRun], *, jobs: int = 1, execute: Execute | None = None
) -> list[RunOutcome]:
    """Do all runs, in order; returns early only when stopped by a signal.

    Args:
      runs: equal ones share a folder and are done once.
      jobs: number of processes at a time; they share the GPUs or the CPU cores.
      execute: does a run in this process; by default training and evaluation.

    Raises:
      ConfigError: the number of GPUs is no multiple of `jobs`.
    """
    by_folder_run: dict[Path, PlannedRun] = {}
    for run in runs:
        by_folder_run.setdefault(run.folder, run)
    finished = {folder for folder, run in by_folder_run.items() if is_finished(run)}
    if finished:
        say(f"{len(finished)} of {len(by_folder_run)} runs were finished before")
    waiting = [run for folder, run in by_folder_run.items() if folder not in finished]
    if jobs > 1:
        outcomes = run_side_by_side(waiting, jobs=jobs)
    else:
        outcomes = _one_by_one(waiting, execute=execute or train_and_evaluate)
    by_folder = {outcome.run.folder: outcome for outcome in outcomes}
    return [
        RunOutcome(run, RunStatus.FINISHED)
        if run.folder in finished
        else _as(run, by_folder.get(run.folder))
        for run in runs
    ]


def _one_by_one(runs: Sequence[PlannedRun], *, execute: Execute) -> list[RunOutcome]:
    outcomes: list[RunOutcome] = []
    since = time.monotonic()
    for number, run in enumerate(runs, start=1):
        announce(run, number=number, of=len(runs), ended=len(outcomes), since=since)
        outcomes.append(attempt(run, execute=execute))
        jax.clear_caches()  # programs of no use to the next run, 200 MB each time
        tell(outcomes[-1])
        if outcomes[-1].status == RunStatus.STOPPED:
            break
    return outcomes


def run_side_by_side(runs: Sequence[PlannedRun], *, jobs: int) -> list[RunOutcome]:
    """Do all runs, `jobs` at a time. The output of each goes to `output.txt` in its folder.

    At the first signal every run saves and stops; a second signal ends them at once.

    Raises:
      ConfigError: the number of GPUs is no multiple of `jobs`.
    """
    parts = shares(jobs, option="--jobs")
    waiting, since = list(runs), time.monotonic()
    outcomes: list[RunOutcome] = []

    def begin(slot: int) -> RunInProcess | None:
        if not waiting:
            return None
        run = waiting.pop(0)
        number, ended = len(runs) - len(waiting), len(outcomes)
        announce(run, number=number, of=len(runs), ended=ended, since=since)
        return RunInProcess(run, _start(run, share=parts[slot]))

    def end(work: RunInProcess, code: int, stopped: bool) -> None:
        outcomes.append(_outcome(work.run, code))
        tell(outcomes[-1])

    run_in_slots(jobs, begin=begin, end=end)
    return outcomes


def _start(run: PlannedRun, *, share: Share) -> Child:
    run.folder.mkdir(parents=True, exist_ok=True)
    marks = {"arm": run.arm, "fingerprint": run.fingerprint}
    job = run.folder / JOB_FILE
    configs.write(run.config, job, extra=marks)
    words = [sys.executable, "-m", "mgajax.experiments.worker", str(job)]
    return start(words, log=run.folder / LOG_FILE, share=share)


def _outcome(run: PlannedRun, code: int) -> RunOutcome:
    if code == 0:
        return RunOutcome(run, RunStatus.FINISHED)
    if code == STOPPED:
        return RunOutcome(run, RunStatus.STOPPED)
    failure = run.folder / FAILURE_FILE
    reason = f"its process {describe_exit(code)}; see {run.folder / LOG_FILE}"
    if failure.is_file():
        reason = failure.read_text(encoding="utf-8").strip().splitlines()[-1]
    return RunOutcome(run, RunStatus.FAILED, reason=reason)


def _as(run: PlannedRun, outcome: RunOutcome | None) -> RunOutcome:
    """The outcome of an equal run, for this one; `stopped` where none has begun."""
    if outcome is None:
        return RunOutcome(run, RunStatus.STOPPED)
    return RunOutcome(run, outcome.status, reason=outcome.reason)
