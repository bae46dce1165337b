"""One run in a process of its own: `python -m mgajax.experiments.worker JOB.json`."""

import sys
from pathlib import Path

from mgajax import config as configs
from mgajax.experiments.execution import RunStatus, attempt
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.runner import STOPPED
from mgajax.training.compilation import keep_compiled


def main(job: Path) -> int:
    """Do the run that JOB.json describes.

    Returns:
      Exit code: 0 finished, 3 stopped by a signal, 1 failed.
    """
    keep_compiled()
    config, marks = configs.read(job)
    run = PlannedRun(marks["arm"], config.seed, config, job.parent, marks["fingerprint"])
    outcome = attempt(run)
    return {RunStatus.FINISHED: 0, RunStatus.STOPPED: STOPPED, RunStatus.FAILED: 1}[outcome.status]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
