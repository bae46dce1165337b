"""A run that is stopped, killed and resumed ends bit for bit like an undisturbed one.

`test_loop.py` does it within one process, for every commit.
"""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from resumed import disturb, finish, start
from session import NARROW

from mgajax.training.checkpoints import Checkpoints
from mgajax.training.metrics_log import read_rows
from mgajax.training.run import reopen_run

STEPS = 60


def words_for(phantom: Path, workdir: Path) -> list[str]:
    return [
        "train",
        f"--config={NARROW / 'mga_resnet18.py'}",
        f"--config.data.dir={phantom}",
        f"--workdir={workdir}",
        "--config.preparation.image_size=48",
        "--config.batch_size=8",
        f"--config.max_steps={STEPS}",
        "--config.patience=0",
        "--config.checkpoint_every=5",
        "--config.log_every=1",
    ]


def saved_after(workdir: Path, step: int) -> Callable[[], bool]:
    """Tells whether a complete checkpoint of a later step has appeared."""

    def appeared() -> bool:
        names = [path.name for path in (workdir / "checkpoints").glob("*")]
        return any(name.isdigit() and int(name) > step for name in names)

    return appeared


def last_state(workdir: Path):
    run = reopen_run(workdir)
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        like, step = run.state_shapes(), checkpoints.newest
        restored = checkpoints.restore(like, step=step, sharding=run.layout.replicated)
        return checkpoints.best, restored


def without_rates(workdir: Path) -> list[dict[str, float]]:
    rows = read_rows(workdir / "metrics.jsonl")
    return [{k: v for k, v in row.items() if "images_per_s" not in k} for row in rows]


@pytest.mark.slow(finds="a kill between steps, or within a save, after which a run ends elsewhere")
def test_killed_and_stopped_and_resumed_equals_undisturbed(phantom: Path, tmp_path: Path) -> None:
    undisturbed, workdir = tmp_path / "undisturbed", tmp_path / "disturbed"
    cache = tmp_path / "compiled"
    code, _, err = finish(start(words_for(phantom, undisturbed), cache=cache))
    assert code == 0, err
    command = words_for(phantom, workdir)

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
    found_best, actual = last_state(workdir)
    assert (found_best, actual.step) == (best, STEPS)
    assert actual.early_stopping == expected.early_stopping
    jax.tree.map(np.testing.assert_array_equal, actual.state, expected.state)
    assert without_rates(workdir) == without_rates(undisturbed), "each step once"
