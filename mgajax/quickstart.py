"""`mgajax quickstart`, after the drawing: train, evaluate, say what there is to look at."""

from pathlib import Path

from mgajax import config
from mgajax.evaluation.run import evaluate_run
from mgajax.training.loop import train

CONFIG = Path("configs/quickstart.py")


def run_quickstart(data: Path, *, workdir: Path) -> str:
    """Train the mask-guided classifier on a built data set and evaluate it.

    Args:
      data: the phantom's folder.
      workdir: where the run goes, as `workdir/run`.

    Returns:
      The main numbers and the paths of what was made, for a terminal.
    """
    settings = config.load(CONFIG, overrides=[f"--config.data.dir={data}"])
    run = workdir / "run"
    if not train(settings, workdir=run).finished:
        return f"stopped; `mgajax quickstart --workdir {workdir}` goes on from there"
    done = evaluate_run(run)
    paths = "\n".join(f"  {path}" for path in (*done.files, run / "metrics.jsonl"))
    return f"{done.table}\n\nmade:\n{paths}"
