"""Several processes train as one: the same numbers, and the same checkpoints.

In float64, so that all of a difference is a batch that was lost, repeated or shared out wrongly. In
float32 rounding grows a hundredfold in a step in which the largest value of an attention map changes
its place, and such a step comes sooner or later.
"""

import json
import os
import signal
from pathlib import Path

import jax
import numpy as np
import pytest
from pairs import finish_both, saved, two, wait_for
from resumed import finish, start
from session import NARROW

from mgajax.training.checkpoints import Checkpoints
from mgajax.training.metrics_log import read_rows
from mgajax.training.run import reopen_run

GAP = 1e-10
"""Of losses and weights after all steps."""

STEPS = 10
LAYOUTS = {"2 x 2": (2, 2), "1 x 4": (1, 4), "1 x 1": (1, 1)}
"""Processes, and devices of each. (A segmenter's devices within a process: `test_segmentation_steps`.)"""

CONFIGS = {"classification": "mga_resnet18", "segmentation": "hmsanet"}


@pytest.fixture(autouse=True)
def double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the processes that a test starts."""
    monkeypatch.setenv("JAX_ENABLE_X64", "true")


def words_for(phantom: Path, task: str, *more: str, steps: int = STEPS) -> list[str]:
    """A short run by plain gradient descent: Adam would turn the rounding of tiny gradients round."""
    return [
        "train",
        f"--config={NARROW / CONFIGS[task]}.py",
        f"--config.data.dir={phantom}",
        "--config.model.dtype=float64",
        "--config.preparation.image_size=32",
        "--config.batch_size=8",
        "--config.eval_batch_size=8",
        f"--config.max_steps={steps}",
        "--config.epochs=100",
        "--config.patience=0",
        "--config.checkpoint_every=4",
        "--config.log_every=1",
        "--config.optimiser.name=sgd",
        "--config.optimiser.learning_rate=1e-2",
        *more,
    ]


def run(words: list[str], workdir: Path, *, cache: Path, processes: int, devices: int) -> str:
    several = [f"--processes={processes}"] if processes > 1 else []
    command = [*words, f"--workdir={workdir}", *several]
    code, out, err = finish(start(command, cache=cache, devices=devices))
    assert code == 0, err
    return out


def losses(workdir: Path) -> np.ndarray:
    rows = read_rows(workdir / "metrics.jsonl")
    return np.array([row["train/loss"] for row in rows if "train/loss" in row])


def newest(workdir: Path):
    """Step, and parameters and batch statistics of the newest checkpoint."""
    with jax.enable_x64(True):
        opened = reopen_run(workdir, overrides=["--config.devices=1"])
        with Checkpoints(workdir / "checkpoints", access="read") as checkpoints:
            like, step = opened.state_shapes(), checkpoints.newest
            restored = checkpoints.restore(like, step=step, sharding=opened.layout.replicated)
        return step, jax.device_get(
            jax.tree.leaves((restored.state.params, restored.state.batch_stats))
        )


def assert_same_run(actual: Path, expected: Path, *, steps: int) -> None:
    """Every step's loss, and the last weights."""
    assert len(losses(expected)) == steps
    np.testing.assert_allclose(losses(actual), losses(expected), rtol=GAP)
    (step, ours), (_, theirs) = newest(actual), newest(expected)
    assert step == steps
    for leaf, other in zip(ours, theirs, strict=True):
        assert leaf.dtype == np.float64
        np.testing.assert_allclose(leaf, other, rtol=GAP, atol=GAP)


@pytest.mark.slow(finds="a batch, a sum or a checkpoint that is shared out wrongly over processes")
@pytest.mark.parametrize(
    ("task", "parallel", "several"),
    [("classification", "pmap", ("2 x 2", "1 x 4")), ("segmentation", "jit", ("2 x 2",))],
)
def test_processes_and_devices_do_not_matter(
    phantom: Path, tmp_path: Path, cache: Path, task: str, parallel: str, several: tuple[str, ...]
) -> None:
    words = words_for(phantom, task, f"--config.parallel={parallel}")
    for name in (*several, "1 x 1"):
        processes, devices = LAYOUTS[name]
        run(words, tmp_path / name, cache=cache, processes=processes, devices=devices)
    for name in several:
        assert_same_run(tmp_path / name, tmp_path / "1 x 1", steps=STEPS)


@pytest.mark.slow(
    finds="a signal that one process of several hears alone; a resume on other devices"
)
def test_a_signal_to_either_process_stops_both_and_others_go_on(
    phantom: Path, tmp_path: Path, cache: Path, unused_port: int
) -> None:
    steps, part, whole = 60, tmp_path / "part", tmp_path / "whole"
    words = words_for(phantom, "classification", steps=steps)
    processes = two([*words, f"--workdir={part}"], cache=cache, port=unused_port)
    wait_for(saved(part, at_least=4), processes)
    os.kill(processes[1].pid, signal.SIGTERM)
    ends = finish_both(processes)
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert "ended by SIGTERM" in ends[0][1]
    assert "ended by" not in ends[1][1]
    summary = json.loads((part / "summary.json").read_text())
    assert not summary["finished"]
    assert 4 <= summary["steps"] < steps
    run(words, part, cache=cache, processes=1, devices=4)
    run(words, whole, cache=cache, processes=1, devices=1)
    assert_same_run(part, whole, steps=steps)
