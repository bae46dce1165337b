"""`mgajax quickstart`: both steps of the paper on drawn slices, what they look at, and a report."""

from collections.abc import Callable
from pathlib import Path

from mgajax import config
from mgajax.evaluation.result import Evaluation
from mgajax.evaluation.run import evaluate_run
from mgajax.explanation.run import explain_runs
from mgajax.inference.segment import segment
from mgajax.progress import say
from mgajax.site.build import write_site
from mgajax.training.loop import train

PLAN = Path("configs/quickstart.py")

EXPLAINED = 32
"""Test slices of which is told what their predictions came from."""


def run_quickstart(draw: Callable[..., Path], *, workdir: Path) -> str:
    """Segment the annotated slices, predict the other masks, classify under their guidance.

    The same call goes on where it was stopped.

    Args:
      draw: `draw(**options)` builds the phantom with these options and gives its folder; with
        `masks=FOLDER`, unannotated slices carry the predicted masks of that folder.
      workdir: gets `segmentation/` and `classification/` (runs), `masks/` and `report/`.

    Returns:
      The main numbers, the report's first page and the paths of what was made, for a terminal.
    """
    plan = config.load(PLAN)
    again = f"stopped; `mgajax quickstart --workdir {workdir}` goes on from there"
    say("step 1 of 2: segment lesions")
    slices = draw()
    first = _train_and_evaluate(plan.segmentation, data=slices, workdir=workdir / "segmentation")
    if first is None:
        return again
    masks = workdir / "masks"
    if not segment(workdir / "segmentation", data=slices, out=masks).finished:
        return again
    say("step 2 of 2: classify, guided by annotated and predicted masks")
    second = _train_and_evaluate(
        plan.classification, data=draw(masks=str(masks)), workdir=workdir / "classification"
    )
    if second is None:
        return again
    runs = [workdir / "segmentation", workdir / "classification"]
    explained = explain_runs(runs[1:], out=runs[1] / "explanation", limit=EXPLAINED)
    index = write_site(runs, out=workdir / "report").index
    files = (*first.files, masks, *second.files, *explained.files)
    paths = "\n".join(f"  {path}" for path in files)
    return f"{first.table}\n\n{second.table}\n\nreport: {index}\n\nmade:\n{paths}"


def _train_and_evaluate(settings, *, data: Path, workdir: Path) -> Evaluation | None:
    """None when stopped by a signal."""
    settings.data.dir = str(data)
    return evaluate_run(workdir) if train(settings, workdir=workdir).finished else None
