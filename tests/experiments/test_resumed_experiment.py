"""A killed experiment repeats no finished run, and ends with the same table."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mgajax import config as configs
from mgajax.experiments.compare import predictions_of
from mgajax.experiments.execution import RunStatus
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.runner import run_side_by_side
from mgajax.experiments.shortcut import predict_elsewhere
from mgajax.schema import SOURCES

PLAN = """
from ml_collections import ConfigDict

from mgajax.config import classification


def get_config():
    plan = ConfigDict(sort_keys=False)
    for name in ("short", "long"):
        plan[name] = classification("resnet18")
        plan[name].model.options.width, plan[name].model.options.depths = 16, (1, 1, 1, 1)
    return plan
"""
KEYS = ("table", "name", "metric", "value", "low", "high", "seeds", "status")


def command(plan: Path, workdir: Path) -> list[str]:
    """Two short runs, the second one of eight epochs, so that a kill finds it at work."""
    words = ["experiment", "table4", "--workdir", str(workdir), "--budget", "smoke"]
    words += ["--plan", str(plan), "--config.long.epochs=8"]
    return [sys.executable, "-m", "mgajax", *words]


def rows(workdir: Path) -> list[dict]:
    content = json.loads((workdir / "results.json").read_text())
    return [{key: row[key] for key in KEYS} for row in content["rows"]]


def folders(workdir: Path) -> dict[str, Path]:
    """By arm, as the results tell."""
    content = json.loads((workdir / "results.json").read_text())
    return {run["arm"]: workdir / run["folder"] for run in content["runs"]}


@pytest.mark.slow(finds="a run of an experiment that is lost or repeated after a kill")
def test_a_killed_experiment_resumes_and_gives_the_same_table(tmp_path: Path) -> None:
    plan = tmp_path / "plan.py"
    plan.write_text(PLAN)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(command(plan, killed), start_new_session=True, **quiet)
    second = _await_second_run(killed / "runs", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "results.json").exists()
    first = next(mark for mark in (killed / "runs").glob("*/done.json"))
    before = {path: path.stat().st_mtime_ns for path in first.parent.rglob("*") if path.is_file()}
    assert not (second / "done.json").exists()

    subprocess.run(command(plan, killed), check=True, **quiet)
    after = {path: path.stat().st_mtime_ns for path in first.parent.rglob("*") if path.is_file()}
    assert after == before, "the finished run was touched"
    assert json.loads((second / "done.json").read_text())["seconds"] is None, "it was taken up"

    subprocess.run(command(plan, whole), check=True, **quiet)
    assert rows(killed) == rows(whole)
    _predicts_elsewhere_as_at_home(whole, tmp_path)


def _await_second_run(runs: Path, process: subprocess.Popen) -> Path:
    """The folder of the run that is going on, once another is finished and it has saved."""
    deadline = time.monotonic() + 500
    while time.monotonic() < deadline and process.poll() is None:
        finished = {mark.parent for mark in runs.glob("*/done.json")}
        for saved in runs.glob("*/checkpoints/*/_CHECKPOINT_METADATA"):
            if finished and saved.parents[2] not in finished:
                return saved.parents[2]
        time.sleep(0.02)
    raise AssertionError(f"the second run never got so far (exit code {process.poll()})")


def _predicts_elsewhere_as_at_home(workdir: Path, folder: Path) -> None:
    """On the run's own data set, the probabilities are those of its evaluation."""
    place = folders(workdir)["short"]
    config, _ = configs.read(place / "config.json")
    run = PlannedRun("short", 0, config, place, "")
    predictions = predict_elsewhere(
        run, data=Path(config.data.dir), sources=SOURCES, workdir=folder / "elsewhere"
    )
    home = predictions_of(run)
    at = {name: row for row, name in enumerate(predictions.file_names.tolist())}
    chosen = [at[name] for name in home.file_names.tolist()]
    np.testing.assert_allclose(predictions.probabilities[chosen], home.probabilities, atol=1e-5)


@pytest.mark.slow(finds="a worker process whose failure is not told, or that keeps others waiting")
def test_each_failure_of_parallel_runs_is_reported(tmp_path: Path) -> None:
    config = configs.load(
        "configs/classification/resnet18.py", overrides=[f"--config.data.dir={tmp_path}/none"]
    )
    runs = [PlannedRun(arm, 0, config, tmp_path / arm, "f") for arm in ("a", "b", "c")]
    outcomes = run_side_by_side(runs, jobs=2)
    assert sorted(outcome.run.arm for outcome in outcomes) == ["a", "b", "c"]
    assert all(outcome.status == RunStatus.FAILED for outcome in outcomes)
    assert all("none" in outcome.reason and "DataError" in outcome.reason for outcome in outcomes)
