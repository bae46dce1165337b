"""`mgajax quickstart`: both steps of the paper on drawn slices, what they look at, and a report."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mgajax.cli.command import add_command
from mgajax.progress import say

if TYPE_CHECKING:
    from mgajax.evaluation.evaluation_report import Evaluation

PLAN = "configs/quickstart.py"

EXPLAINED = 32
"""Test slices that are explained."""


def add_quickstart(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    command = add_command(
        commands,
        "quickstart",
        quickstart,
        text="draw data; segment lesions, predict masks, train the mask-guided classifier, evaluate",
        examples=(
            "mgajax quickstart",
            "mgajax quickstart --workdir /tmp/quickstart",
        ),
        epilog="Nothing is downloaded. Under eight minutes on two CPU cores.",
    )
    command.add_argument(
        "--workdir", type=Path, default=Path("quickstart"), help="where everything goes"
    )


def quickstart(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Phantom → step 1 → masks → step 2 → figures; the same command goes on where it was stopped."""
    results = run_quickstart(arguments.workdir)
    print(
        results or f"stopped; `mgajax quickstart --workdir {arguments.workdir}` goes on from there"
    )


def run_quickstart(workdir: Path) -> str | None:
    """Segment the annotated slices, predict the other masks, classify under their guidance.

    Args:
      workdir: gets `data/`, `segmentation/` and `classification/` (runs), `masks/` and `report/`.

    Returns:
      The main numbers, the report's first page and the paths of what was made, for a terminal; None
      when stopped by a signal.
    """
    from mgajax import config
    from mgajax.explanation.explain import explain_runs
    from mgajax.inference.segment import segment
    from mgajax.reporting.results_report import report_results

    plan = config.load(config.shipped_file(PLAN))
    say("step 1 of 2: segment lesions")
    slices = _draw(workdir)
    segmentation = _train_and_evaluate(
        plan.segmentation, data=slices, workdir=workdir / "segmentation"
    )
    if segmentation is None:
        return None
    masks = workdir / "masks"
    if not segment(workdir / "segmentation", data=slices, out=masks).finished:
        return None
    say("step 2 of 2: classify, guided by annotated and predicted masks")
    classification = _train_and_evaluate(
        plan.classification,
        data=_draw(workdir, masks=str(masks)),
        workdir=workdir / "classification",
    )
    if classification is None:
        return None
    runs = [workdir / "segmentation", workdir / "classification"]
    explanation = explain_runs(runs[1:], out=runs[1] / "explanation", limit=EXPLAINED)
    index = report_results(runs, out=workdir / "report").index
    files = (*segmentation.files, masks, *classification.files, *explanation.files)
    paths = "\n".join(f"  {path}" for path in files)
    return f"{segmentation.table}\n\n{classification.table}\n\nreport: {index}\n\nmade:\n{paths}"


def _draw(workdir: Path, **options: object) -> Path:
    """The phantom's folder; with `masks=FOLDER`, unannotated slices carry that folder's masks."""
    import tfds_builders

    return tfds_builders.build(
        "ct_phantom", data_dir=workdir / "data", builder_config="quickstart", **options
    ).directory


def _train_and_evaluate(settings: Any, *, data: Path, workdir: Path) -> "Evaluation | None":
    """None when stopped by a signal."""
    from mgajax.evaluation.evaluate import evaluate_run
    from mgajax.training.loop import train

    settings.data.dir = str(data)
    return evaluate_run(workdir) if train(settings, workdir=workdir).finished else None
