"""Table 3: the segmenters under one protocol, each trained, evaluated, and compared on one test set."""

from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from mgajax import config as configs
from mgajax.evaluation.comparison import Comparison, compare_segmenters
from mgajax.evaluation.run import evaluate_run
from mgajax.progress import say
from mgajax.training.loop import train

PLAN = Path("configs/experiments/table3.py")
PROPOSED = "hmsanet"
"""The run that the others are compared with."""


def run_table3(
    *, data: Path, workdir: Path, plan: Path = PLAN, overrides: Sequence[str] = ()
) -> Comparison | None:
    """Train and evaluate every run of the plan on `data`, then compare them.

    The same call goes on where it was stopped, and redoes no finished training.

    Args:
      data: a built data set with lesion masks.
      workdir: gets a run's folder for each entry of the plan, and the comparison.
      plan: a configuration of configurations, one a model, `hmsanet` among them.
      overrides: `--config.MODEL.key=value`.

    Returns:
      The comparison of hmsanet with each other model; None when stopped by a signal.

    Raises:
      MgajaxError: as training and evaluation do.
    """
    runs: ConfigDict = configs.load(plan, overrides=overrides)
    for name, config in runs.items():
        config.data.dir = str(data)
        say(f"{name}:")
        if not train(config, workdir=workdir / name).finished:
            return None
        evaluate_run(workdir / name)
    names = [PROPOSED, *(name for name in runs if name != PROPOSED)]
    return compare_segmenters([workdir / name for name in names], out=workdir)
