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

from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.shortcut import predict_elsewhere

PLAN = """
from ml_collections import ConfigDict

from configs.classification import resnet18


def get_config():
    plan = ConfigDict(sort_keys=False)
    for name in ("short", "long"):
        plan[name] = resnet18.get_config()
    return plan
"""
KEYS = ("table", "name", "metric", "value", "low", "high", "seeds", "status")


def command(plan: Path, workdir: Path, *more: str) -> list[str]:
    """Two short runs, the second one of eight epochs, so that a kill finds it at work."""
    words = ["experiment", "table4", "--workdir", str(workdir), "--budget", "smoke"]
    words += ["--plan", str(plan), "--config.long.epochs=8"]
    return [sys.executable, "-m", "mgajax", *words, *more]


def rows(workdir: Path) -> list[dict]:
    content = json.loads((workdir / "results.json").read_text())
    return [{key: row[key] for key in KEYS} for row in content["rows"]]


def folders(workdir: Path) -> dict[str, Path]:
    """By arm, as the results tell."""
    content = json.loads((workdir / "results.json").read_text())
    return {run["arm"]: workdir / run["folder"] for run in content["runs"]}


@pytest.mark.slow
def test_a_killed_experiment_goes_on_and_gives_the_same_table(tmp_path: Path) -> None:
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

    # Undisturbed, and side by side in processes of their own.
    subprocess.run(command(plan, whole, "--jobs", "2"), check=True, **quiet)
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
    from mgajax import config as configs
    from mgajax.experiments.compare import predictions_of
    from mgajax.schema import SOURCES

    place = folders(workdir)["short"]
    config, _ = configs.read(place / "config.json")
    run = PlannedRun("short", 0, config, place, "")
    found = predict_elsewhere(
        run, data=Path(config.data.dir), sources=SOURCES, workdir=folder / "elsewhere"
    )
    home = predictions_of(run)
    at = {name: row for row, name in enumerate(found.file_names.tolist())}
    chosen = [at[name] for name in home.file_names.tolist()]
    np.testing.assert_allclose(found.probabilities[chosen], home.probabilities, atol=1e-5)
