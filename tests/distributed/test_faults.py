"""Processes that are really killed and frozen."""

import os
import signal
import time
from pathlib import Path

import pytest
from pairs import saved, two, wait_for
from resumed import finish
from session import NARROW
from soak import soak

NOTICE_S = 8.0
SPARE_S = 10.0
"""Beyond the stated bound: for a busy machine to get round to ending."""


@pytest.fixture
def command(phantom: Path, tmp_path: Path) -> list[str]:
    return [
        "train",
        f"--config={NARROW / 'resnet18.py'}",
        f"--config.data.dir={phantom}",
        "--config.preparation.image_size=32",
        "--config.batch_size=8",
        "--config.max_steps=100000",
        "--config.epochs=100000",
        "--config.patience=0",
        "--config.checkpoint_every=5",
        "--config.log_every=1",
        f"--workdir={tmp_path / 'run'}",
        f"--notice={NOTICE_S}",
    ]


@pytest.mark.slow(finds="a process that waits for ever for one that died, or that is frozen")
@pytest.mark.parametrize(("victim", "number"), [(0, signal.SIGKILL), (1, signal.SIGSTOP)])
def test_a_dead_or_frozen_process_ends_the_other_in_time(
    command: list[str], tmp_path: Path, cache: Path, unused_port: int, victim: int, number: int
) -> None:
    processes = two(command, cache=cache, port=unused_port)
    try:
        wait_for(saved(tmp_path / "run", at_least=5), processes)
        os.kill(processes[victim].pid, number)
        began = time.monotonic()
        code, _, err = finish(processes[1 - victim])
        assert time.monotonic() - began <= NOTICE_S + SPARE_S
        assert code != 0
        assert "process" in err or "coordination service" in err
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert saved(tmp_path / "run", at_least=5)()


@pytest.mark.slow(
    finds="a kill at an unlucky moment (starting, training, saving) that leaves a trace"
)
def test_random_kills_leave_no_trace(phantom: Path, tmp_path: Path) -> None:
    """Few, for CI's time; `python tests/distributed/soak.py --kills 10` takes longer."""
    assert soak(phantom, kills=4, workdir=tmp_path, seed=0) == []
