"""Table 3: the segmenters under one protocol, each trained, evaluated, and compared on one test set."""

from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from mgajax import config as configs
from mgajax.data.table import read_table
from mgajax.errors import TrainingError
from mgajax.evaluation.comparison import Comparison, compare_segmenters, read_evaluated
from mgajax.experiments.execution import Outcome, Status
from mgajax.experiments.plan import PlannedRun, fingerprint
from mgajax.experiments.runner import run_all
from mgajax.experiments.study import Finished, Found, Study
from mgajax.reporting.measurements import Measurement
from mgajax.reporting.table3 import METRICS, PAPER, architecture, written

PLAN = Path("configs/experiments/table3.py")
PROPOSED = "hmsanet"
"""The run that the others are compared with."""


def run_table3(
    *, data: Path, workdir: Path, plan: Path = PLAN, overrides: Sequence[str] = (), jobs: int = 1
) -> Comparison | None:
    """Train and evaluate every run of the plan on `data`, then compare them.

    The same call goes on where it was stopped, and redoes no finished run.

    Args:
      data: a built data set with lesion masks.
      workdir: gets a run's folder for each entry of the plan, and the comparison.
      plan: a configuration of configurations, one a model, `hmsanet` among them.
      overrides: `--config.MODEL.key=value`.
      jobs: runs at a time.

    Returns:
      The comparison of hmsanet with each other model; None when stopped by a signal.

    Raises:
      TrainingError: a run failed.
      MgajaxError: as evaluation does.
    """
    arms: ConfigDict = configs.load(plan, overrides=overrides)
    content = read_table(data).fingerprint
    runs = []
    for name, config in arms.items():
        config.data.dir = str(data)
        mark = fingerprint(config, content=content)
        runs.append(PlannedRun(name, config.seed, config, workdir / name, mark))
    outcomes = run_all(runs, jobs=jobs)
    if any(one.status == Status.STOPPED for one in outcomes):
        return None
    _refuse_failures(outcomes)
    return compared({run.arm: run for run in runs}, out=workdir)


def compared(runs: dict[str, PlannedRun], *, out: Path) -> Comparison:
    """The proposed model's run against each other one."""
    names = [PROPOSED, *(name for name in runs if name != PROPOSED)]
    return compare_segmenters([runs[name].folder for name in names], out=out)


def _refuse_failures(outcomes: Sequence[Outcome]) -> None:
    failed = [f"{one.run.arm}: {one.reason}" for one in outcomes if one.status == Status.FAILED]
    if failed:
        raise TrainingError(f"{len(failed)} of {len(outcomes)} runs failed: {'; '.join(failed)}")


def _examine(finished: Finished) -> Found:
    """Rows for every segmenter, and what `compare_segmenters` writes."""
    runs = {arm: own[min(own)] for arm, own in finished.arms.items()}
    rows = [row for arm in finished.configs for row in _rows(arm, runs.get(arm), finished)]
    if PROPOSED not in runs or len(runs) < 2:
        return Found(rows, notes=["Too few runs are finished to compare them."])
    done = compared(runs, out=finished.out)
    pictures = [path for path in done.files if path.suffix == ".png"]
    return Found(
        rows, figures=pictures, files=[path for path in done.files if path not in pictures]
    )


def _rows(arm: str, run: PlannedRun | None, finished: Finished) -> list[Measurement]:
    table, model = "Lesions, all pixels pooled", finished.configs[arm].model.name
    if run is None:
        return [
            Measurement(table, written(model), name, status="failed", note=finished.missing[arm][1])
            for name in METRICS.values()
        ]
    metrics = read_evaluated(run.folder, split="test").metrics
    spans = (metrics["intervals"] or {}).get("pooled", {})
    printed = PAPER.get(architecture(model), {})
    return [
        Measurement(
            table,
            written(model),
            name,
            value=metrics["pooled"][key],
            low=spans.get(key, {}).get("low"),
            high=spans.get(key, {}).get("high"),
            seeds={run.seed: metrics["pooled"][key]},
            paper=printed[key] / 100 if key in printed else None,
        )
        for key, name in METRICS.items()
    ]


STUDIES = {
    "table3": Study(
        title="Four segmenters",
        source="Paper, Table 3 and Figure 7",
        plan=str(PLAN),
        examine=_examine,
        drawn_plan="configs/experiments/table3_phantom.py",
        seeds=1,
    ),
}
