"""A run that is stopped, killed and taken up again ends as one that was left alone, bit for bit."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from resumed import disturb, finish, start

from mgajax.training.checkpoints import Checkpoints
from mgajax.training.logs import read_rows
from mgajax.training.run import reopen_run

STEPS = 30


@pytest.fixture(scope="module")
def words(phantom: Path) -> list[str]:
    return [
        "train",
        "--config=configs/classification/mga_resnet18.py",
        f"--config.data.dir={phantom}",
        "--config.preparation.image_size=48",
        "--config.batch_size=8",
        f"--config.max_steps={STEPS}",
        "--config.checkpoint_every=5",
        "--config.log_every=1",
    ]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def undisturbed(words, cache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("runs") / "undisturbed"
    code, _, err = finish(start([*words, f"--workdir={workdir}"], cache=cache))
    assert code == 0, err
    return workdir


def saved_after(workdir: Path, step: int) -> Callable[[], bool]:
    """Tells whether a complete checkpoint of a later step has appeared."""

    def appeared() -> bool:
        names = [path.name for path in (workdir / "checkpoints").glob("*")]
        return any(name.isdigit() and int(name) > step for name in names)

    return appeared


def last_state(workdir: Path):
    run = reopen_run(workdir)
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        like, step = jax.eval_shape(run.fresh_state), checkpoints.newest
        found = checkpoints.restore(like, step=step, sharding=run.layout.replicated)
        return checkpoints.best, found


@pytest.mark.slow
def test_killed_and_stopped_and_resumed_equals_undisturbed(
    words, cache, undisturbed: Path, tmp_path: Path
) -> None:
    workdir = tmp_path / "disturbed"
    command = [*words, f"--workdir={workdir}"]

    process = start(command, cache=cache)
    disturb(process, number=signal.SIGTERM, once=saved_after(workdir, 0))
    code, out, err = finish(process)
    assert code == 0, err
    assert "ended by SIGTERM" in out
    assert "same command again" in out
    stopped = json.loads((workdir / "summary.json").read_text())
    assert not stopped["finished"]
    assert 5 <= stopped["steps"] < STEPS - 1

    process = start(command, cache=cache)
    disturb(process, number=signal.SIGKILL, once=saved_after(workdir, stopped["steps"]))
    code, _, err = finish(process)
    assert code == -signal.SIGKILL
    assert f"resuming {workdir} at step {stopped['steps']}" in err

    code, out, err = finish(start(command, cache=cache))
    assert code == 0, err
    assert f"{STEPS} steps, ended by max_steps" in out

    best, expected = last_state(undisturbed)
    found_best, found = last_state(workdir)
    assert (found_best, found.step) == (best, STEPS)
    assert found.early_stopping == expected.early_stopping
    for leaf, other in zip(
        jax.tree.leaves(found.state), jax.tree.leaves(expected.state), strict=True
    ):
        np.testing.assert_array_equal(leaf, other)


@pytest.mark.slow
def test_the_log_of_a_disturbed_run_has_each_step_once(
    words, cache, undisturbed: Path, tmp_path: Path
) -> None:
    workdir = tmp_path / "killed"
    command = [*words, f"--workdir={workdir}"]
    process = start(command, cache=cache)
    disturb(process, number=signal.SIGKILL, once=saved_after(workdir, 5))
    finish(process)
    code, _, err = finish(start(command, cache=cache))
    assert code == 0, err
    rows, expected = (without_rates(path) for path in (workdir, undisturbed))
    assert rows == expected


def without_rates(workdir: Path) -> list[dict[str, float]]:
    rows = read_rows(workdir / "metrics.jsonl")
    return [{k: v for k, v in row.items() if "images_per_s" not in k} for row in rows]
