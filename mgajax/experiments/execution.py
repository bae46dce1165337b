"""One run: train, evaluate, mark as finished. An error becomes the run's outcome."""

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from mgajax.evaluation.evaluate import evaluate_run
from mgajax.evaluation.evaluation_report import EVALUATION_FOLDER
from mgajax.experiments.memory import forget_peak, peak_memory
from mgajax.experiments.plan import PlannedRun
from mgajax.files import write_json, write_text
from mgajax.progress import say, time_left
from mgajax.training.loop import SUMMARY_FILE, train

DONE_FILE = "done.json"
"""In a run's folder, written last: the fingerprint of what was run, how long it took, and its memory."""

FAILURE_FILE = "failure.txt"
"""In a run's folder: the traceback of what went wrong."""


class RunStatus(StrEnum):
    """State of a run."""

    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class RunOutcome:
    """Result of a run.

    Attributes:
      run: the run.
      status: `stopped` by a signal; the same experiment again resumes it.
      reason: why it failed, in one line.
    """

    run: PlannedRun
    status: RunStatus
    reason: str = ""


Execute = Callable[[PlannedRun], RunStatus]
"""Trains and evaluates a run; resumes one that was stopped."""


def is_finished(run: PlannedRun) -> bool:
    """Whether the folder holds exactly this run, trained to the end and evaluated."""
    return (
        _json(run.folder / DONE_FILE).get("fingerprint") == run.fingerprint
        and bool(_json(run.folder / SUMMARY_FILE).get("finished"))
        and (run.folder / EVALUATION_FOLDER / "test.json").is_file()
    )


def seconds_of(run: PlannedRun) -> float | None:
    """Seconds of the call that finished the run; None if an earlier call had started it."""
    seconds: float | None = _json(run.folder / DONE_FILE).get("seconds")
    return seconds


def peak_memory_of(run: PlannedRun) -> int | None:
    """The most bytes that the process of the call had which finished the run; None if not measured.

    Runs that one process does one after the other leave some memory to the next.
    """
    peak: int | None = _json(run.folder / DONE_FILE).get("peak_memory")
    return peak


def train_and_evaluate(run: PlannedRun) -> RunStatus:
    """Train, or resume training; evaluate; then write the file that marks the run as finished.

    Raises:
      MgajaxError: as training and evaluation do.
    """
    forget_peak()
    start, is_new = time.monotonic(), not (run.folder / "config.json").exists()
    if not train(run.config, workdir=run.folder).finished:
        return RunStatus.STOPPED
    evaluate_run(run.folder)
    seconds = time.monotonic() - start if is_new else None
    mark = {
        "fingerprint": run.fingerprint,
        "seed": run.seed,
        "seconds": seconds,
        "peak_memory": peak_memory(),
    }
    write_json(mark, run.folder / DONE_FILE)
    return RunStatus.FINISHED


def attempt(run: PlannedRun, *, execute: Execute = train_and_evaluate) -> RunOutcome:
    """Do one run. An error becomes its outcome; the traceback goes into the run's folder."""
    failure = run.folder / FAILURE_FILE
    failure.unlink(missing_ok=True)
    try:
        return RunOutcome(run, execute(run))
    except Exception as error:  # whatever it is, the other runs are still to be done
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        run.folder.mkdir(parents=True, exist_ok=True)
        write_text(f"{traceback.format_exc()}\n{reason}", failure)
        return RunOutcome(run, RunStatus.FAILED, reason=reason)


def announce(run: PlannedRun, *, number: int, of: int, ended: int, since: float) -> None:
    """Print a line for a run that begins, with the time left at the pace so far.

    Args:
      number: of the run, from 1.
      of: how many runs there are.
      ended: how many have ended.
      since: `time.monotonic()` when the first run began.
    """
    left = time_left(done=ended, total=of, elapsed=time.monotonic() - since)
    say(f"run {number} of {of}: {run.title}{left}")


def tell(outcome: RunOutcome) -> None:
    """Print a line for a run that failed."""
    if outcome.status == RunStatus.FAILED:
        place = outcome.run.folder / FAILURE_FILE
        say(f"{outcome.run.title} failed: {outcome.reason} ({place})")


def _json(path: Path) -> dict[str, Any]:
    """The JSON object of a file; empty where the file is missing or incomplete."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
