"""Several runs at a time, a process each: every process gets its share of the GPUs or CPU cores."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mgajax import config as configs
from mgajax.distributed.launch import dealt_gpus
from mgajax.experiments.execution import FAILURE_FILE, Outcome, Status, announce, tell
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.signals import passing_signals_on

JOB_FILE = "job.json"
LOG_FILE = "output.txt"
STOPPED = 3
"""Exit code of a worker that saved and stopped on a signal."""

POLL_S = 0.2


@dataclass(frozen=True)
class Busy:
    """A run and its process."""

    run: PlannedRun
    process: "subprocess.Popen[bytes]"


def run_side_by_side(runs: Sequence[PlannedRun], *, jobs: int) -> list[Outcome]:
    """Do all runs, `jobs` at a time; what each prints goes to `output.txt` in its folder.

    The first signal lets every run save and stop, a second one ends them at once.

    Raises:
      ConfigError: GPUs that do not divide by `jobs`.
    """
    gpus = dealt_gpus(jobs, option="--jobs")
    waiting, since = list(runs), time.monotonic()
    outcomes: list[Outcome] = []
    busy: dict[int, Busy] = {}
    with passing_signals_on(busy) as asked:
        while busy or (waiting and not asked):
            for slot in range(jobs):
                if slot not in busy and waiting and not asked:
                    run = waiting.pop(0)
                    number, done = len(runs) - len(waiting), len(outcomes)
                    announce(run, number=number, of=len(runs), done=done, since=since)
                    busy[slot] = Busy(run, _started(run, slot=slot, jobs=jobs, gpus=gpus[slot]))
            for slot, one in list(busy.items()):
                if one.process.poll() is not None:
                    outcomes.append(_outcome(busy.pop(slot)))
                    tell(outcomes[-1])
            time.sleep(POLL_S)
    return outcomes


def _started(run: PlannedRun, *, slot: int, jobs: int, gpus: str) -> "subprocess.Popen[bytes]":
    run.folder.mkdir(parents=True, exist_ok=True)
    marks = {"arm": run.arm, "fingerprint": run.fingerprint}
    job = run.folder / JOB_FILE
    configs.write(run.config, job, extra=marks)
    command = [sys.executable, "-m", "mgajax.experiments.worker", str(job), str(slot), str(jobs)]
    environment = dict(os.environ) | ({"CUDA_VISIBLE_DEVICES": gpus} if gpus else {})
    with (run.folder / LOG_FILE).open("ab") as output:
        # Their own session: Ctrl-C reaches them through this process alone, once.
        return subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )


def _outcome(ended: Busy) -> Outcome:
    code, run = ended.process.returncode, ended.run
    if code == 0:
        return Outcome(run, Status.FINISHED)
    if code == STOPPED:
        return Outcome(run, Status.STOPPED)
    failure = run.folder / FAILURE_FILE
    reason = f"its process ended with code {code}; see {run.folder / LOG_FILE}"
    if failure.is_file():
        reason = failure.read_text(encoding="utf-8").strip().splitlines()[-1]
    return Outcome(run, Status.FAILED, reason=reason)
