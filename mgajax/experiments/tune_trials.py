"""Trials of a search: each a training in a process and a folder of its own.

A trial's folder holds `trial.json` (what is tried, then what it was worth), `run/` (as `mgajax train`
leaves it) and `output.txt`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from mgajax.experiments.tune_space import Point
from mgajax.files import write_json
from mgajax.locks import locked
from mgajax.training.logs import FILE_NAME as METRICS_FILE
from mgajax.training.logs import read_rows
from mgajax.training.loop import SUMMARY_FILE
from mgajax.training.run import LOCK_FILE

RECORD, RUN, OUTPUT = "trial.json", "run", "output.txt"
POLL_S = 0.2

Status = Literal["begun", "finished", "failed"]


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
      number: from 0, the configuration as it stands.
      folder: of the trial.
      point: the searched keys' values.
      status: `begun` also when stopped: the same search goes on with it.
      value: the metric at the trial's best checkpoint; None unless finished.
      steps: trained.
      seconds: that the process took which ended the trial.
      reason: why it failed, in one line.
    """

    number: int
    folder: Path
    point: Point
    status: Status = "begun"
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
        """It will not be repeated."""
        return self.status != "begun"

    def to_json(self) -> dict:
        """Plain values; the folder is known from where the record lies."""
        content = asdict(self)
        del content["folder"]
        return content

    def write(self) -> "Trial":
        """Write the record; returns the trial."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.to_json(), self.folder / RECORD)
        return self


@runtime_checkable
class Process(Protocol):
    """What is asked of a trial's process."""

    def poll(self) -> int | None:
        """The exit code; None while it runs."""

    def send_signal(self, number: int) -> None:
        """Ask it to save and stop."""

    def kill(self) -> None:
        """End it at once."""


Start = Callable[[Sequence[str], Path, int], Process]
"""`start(words, output, slot)` begins `mgajax WORDS`, whose prints go to the file `output`."""


@dataclass(frozen=True)
class Busy:
    """A trial under way."""

    trial: Trial
    process: Process
    since: float


def process_starter(*, jobs: int, gpus: Sequence[str]) -> Start:
    """Start processes that share out the GPUs, or else the CPU's cores.

    Args:
      jobs: processes at a time.
      gpus: CUDA_VISIBLE_DEVICES of each; empty texts where there are none.
    """

    def start(words: Sequence[str], output: Path, slot: int) -> Process:
        command = [sys.executable, "-m", "mgajax", *words]
        own = {"CUDA_VISIBLE_DEVICES": gpus[slot]} if gpus[slot] else {}
        with output.open("ab") as file:
            # Its own session: Ctrl-C reaches it through the search alone, once.
            process = subprocess.Popen(
                command,
                env=dict(os.environ) | own,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        if jobs > 1 and hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(process.pid, cores[slot::jobs] or cores)
        return process

    return start


def begin(trial: Trial, words: Sequence[str], *, start: Start, slot: int) -> Busy:
    """Train a trial, or go on with it; waits for a process that a killed search left behind."""
    trial.run.mkdir(parents=True, exist_ok=True)
    with locked(trial.run / LOCK_FILE, guards=str(trial.run)):
        pass
    words = ["train", *words, "--workdir", str(trial.run)]
    return Busy(trial, start(words, trial.folder / OUTPUT, slot), time.monotonic())


def end(busy: Busy, *, code: int, metric: str, stopped: bool) -> Trial:
    """What became of a trial whose process ended with `code`; written unless it can go on.

    Args:
      busy: the trial.
      code: exit code, negative for a signal.
      metric: of the validation slices, at the best checkpoint.
      stopped: the search was asked to stop: no end of a process is a failure then.
    """
    trial = replace(busy.trial, seconds=round(time.monotonic() - busy.since, 1))
    if code != 0:
        if stopped:
            return busy.trial
        return replace(trial, status="failed", reason=_last_words(trial, code)).write()
    summary = _json(trial.run / SUMMARY_FILE)
    if not summary.get("finished"):
        return busy.trial
    trial = replace(trial, steps=summary["steps"])
    value = _value(trial.run, summary.get("best_step"), metric)
    if value is None:
        reason = f"its log has no validation/{metric} at the best checkpoint"
        return replace(trial, status="failed", reason=reason).write()
    return replace(trial, status="finished", value=value).write()


def read_trial(folder: Path) -> Trial | None:
    """The trial of a folder; None where nothing, or half a record, stands."""
    content = _json(folder / RECORD)
    return Trial(folder=folder, **content) if content else None


def _value(run: Path, best_step: int | None, metric: str) -> float | None:
    name = f"validation/{metric}"
    rows = read_rows(run / METRICS_FILE)
    return next((row[name] for row in rows if row["step"] == best_step and name in row), None)


def _last_words(trial: Trial, code: int) -> str:
    lines = (trial.folder / OUTPUT).read_text(encoding="utf-8", errors="replace").splitlines()
    how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"{how}: {lines[-1].strip()}" if lines else how


def _json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
