"""One run in a process of its own: `python -m mgajax.experiments.worker JOB.json SLOT SLOTS`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(words: Sequence[str]) -> int:
    """Do the run that JOB.json describes with the SLOT-th of SLOTS shares of the CPU's cores.

    Returns:
      0 finished, 3 stopped by a signal, 1 failed.
    """
    job, slot, slots = Path(words[0]), int(words[1]), int(words[2])
    take_cores(slot, slots=slots)  # before JAX counts them
    from mgajax import config as configs
    from mgajax.experiments.execution import Status, attempt
    from mgajax.experiments.plan import PlannedRun
    from mgajax.experiments.processes import STOPPED
    from mgajax.training.compilation import keep_compiled

    keep_compiled()
    config, marks = configs.read(job)
    run = PlannedRun(marks["arm"], config.seed, config, job.parent, marks["fingerprint"])
    outcome = attempt(run)
    return {Status.FINISHED: 0, Status.STOPPED: STOPPED, Status.FAILED: 1}[outcome.status]


def take_cores(slot: int, *, slots: int) -> None:
    """Keep to an even share of the cores this process may use, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[slot::slots] or cores)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
