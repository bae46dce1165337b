"""Trials of a search: each is a training run in a process and a folder of its own.

A trial's folder holds `trial.json` (the values tried, and the result), `run/` (written by `mgajax
train`) and `output.txt`.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from mgajax.distributed.supervision import Process, describe_exit, last_line, shares, start
from mgajax.experiments.tune_space import Point
from mgajax.files import write_json
from mgajax.locks import locked
from mgajax.training.loop import SUMMARY_FILE
from mgajax.training.metrics_log import METRICS_FILE, read_rows
from mgajax.training.run_folder import LOCK_FILE

RECORD, RUN, OUTPUT = "trial.json", "run", "output.txt"

TrialStatus = Literal["begun", "finished", "failed"]


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
      number: from 0, the configuration as it stands.
      folder: of the trial.
      point: the searched keys' values.
      status: also `begun` when stopped; the same search resumes it.
      value: the metric at the trial's best checkpoint; None unless finished.
      steps: number of training steps.
      seconds: duration of the process that ended the trial.
      reason: why it failed, in one line.
    """

    number: int
    folder: Path
    point: Point
    status: TrialStatus = "begun"
    value: float | None = None
    steps: int | None = None
    seconds: float | None = None
    reason: str = ""

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.folder / RUN

    @property
    def is_over(self) -> bool:
        """Whether it is finished or failed; it will not be repeated."""
        return self.status != "begun"

    def to_json(self) -> dict:
        """The trial as plain values; without its folder, which is that of the record."""
        content = asdict(self)
        del content["folder"]
        return content

    def write(self) -> "Trial":
        """Write the record; returns the trial."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.to_json(), self.folder / RECORD)
        return self


ProcessStarter = Callable[[Sequence[str], Path, int], Process]
"""`start(words, output, slot)` starts `mgajax WORDS`; its output goes to the file `output`."""


@dataclass(frozen=True)
class TrialInProcess:
    """A running trial."""

    trial: Trial
    process: Process
    since: float


def process_starter(jobs: int) -> ProcessStarter:
    """A function that starts trials' processes; `jobs` at a time share the GPUs, or else the CPU cores.

    Raises:
      ConfigError: the number of GPUs is no multiple of `jobs`.
    """
    parts = shares(jobs, option="--jobs")

    def begin_process(words: Sequence[str], output: Path, slot: int) -> Process:
        return start([sys.executable, "-m", "mgajax", *words], log=output, share=parts[slot])

    return begin_process


def begin(
    trial: Trial, words: Sequence[str], *, starter: ProcessStarter, slot: int
) -> TrialInProcess:
    """Train a trial, or resume it. Waits while a process of an earlier, killed search still trains it."""
    trial.run.mkdir(parents=True, exist_ok=True)
    with locked(trial.run / LOCK_FILE, guards=str(trial.run)):
        pass
    words = ["train", *words, "--workdir", str(trial.run)]
    return TrialInProcess(trial, starter(words, trial.folder / OUTPUT, slot), time.monotonic())


def end(work: TrialInProcess, *, code: int, metric: str, stopped: bool) -> Trial:
    """The result of a trial whose process ended with `code`; written unless the trial can go on.

    Args:
      work: the trial.
      code: exit code, negative for a signal.
      metric: of the validation slices, at the best checkpoint.
      stopped: whether the search was asked to stop; then the end of a process is no failure.
    """
    trial = replace(work.trial, seconds=round(time.monotonic() - work.since, 1))
    if code != 0:
        if stopped:
            return work.trial
        reason = f"{describe_exit(code)}: {last_line(trial.folder / OUTPUT)}".removesuffix(": ")
        return replace(trial, status="failed", reason=reason).write()
    summary = _json(trial.run / SUMMARY_FILE)
    if not summary.get("finished"):
        return work.trial
    trial = replace(trial, steps=summary["steps"])
    value = _value(trial.run, summary.get("best_step"), metric)
    if value is None:
        reason = f"its log has no validation/{metric} at the best checkpoint"
        return replace(trial, status="failed", reason=reason).write()
    return replace(trial, status="finished", value=value).write()


def read_trial(folder: Path) -> Trial | None:
    """The trial of a folder; None if its record is missing or incomplete."""
    content = _json(folder / RECORD)
    return Trial(folder=folder, **content) if content else None


def _value(run: Path, best_step: int | None, metric: str) -> float | None:
    name = f"validation/{metric}"
    rows = read_rows(run / METRICS_FILE)
    return next((row[name] for row in rows if row["step"] == best_step and name in row), None)


def _json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
