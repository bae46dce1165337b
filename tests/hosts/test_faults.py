"""Processes that are really killed, frozen and told to stop."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from resumed import PATIENCE_S, finish, start
from soak import soak

pytestmark = pytest.mark.slow

NOTICE_S = 15.0
SPARE_S = 10.0
"""Beyond the stated bound: for a busy machine to get round to ending."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def command(phantom: Path, tmp_path: Path) -> list[str]:
    return [
        "train",
        "--config=configs/classification/resnet18.py",
        f"--config.data.dir={phantom}",
        "--config.preparation.image_size=32",
        "--config.batch_size=8",
        "--config.max_steps=3000",
        "--config.epochs=100000",
        "--config.patience=0",
        "--config.checkpoint_every=5",
        "--config.log_every=1",
        f"--workdir={tmp_path / 'run'}",
        f"--notice={NOTICE_S}",
    ]


def two(command: list[str], *, cache: Path, port: int) -> list[subprocess.Popen[str]]:
    """Two processes of a run, started one by one as a scheduler would."""
    joining = [f"--coordinator=127.0.0.1:{port}", "--num_processes=2"]
    return [
        start([*command, *joining, f"--process_id={number}"], cache=cache) for number in range(2)
    ]


def wait_for(checkpoints: int, workdir: Path, processes: list[subprocess.Popen[str]]) -> None:
    """Wait until checkpoints of so many steps are complete."""
    end = time.monotonic() + PATIENCE_S
    while not any(
        path.name.isdigit() and int(path.name) >= checkpoints
        for path in (workdir / "checkpoints").glob("*")
    ):
        for process in processes:
            assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "no checkpoint came"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("victim", "number"),
    [(0, signal.SIGKILL), (1, signal.SIGSTOP)],
)
def test_a_dead_or_frozen_process_ends_the_other_in_time(
    command: list[str], tmp_path: Path, cache: Path, unused_port: int, victim: int, number: int
) -> None:
    processes = two(command, cache=cache, port=unused_port)
    try:
        wait_for(5, tmp_path / "run", processes)
        os.kill(processes[victim].pid, number)
        began = time.monotonic()
        code, _, err = finish(processes[1 - victim])
        assert time.monotonic() - began <= NOTICE_S + SPARE_S
        assert code != 0
        told = ("process", "coordination service")
        assert any(word in err.splitlines()[-1] or word in err for word in told)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    left = list((tmp_path / "run" / "checkpoints").glob("*"))
    assert any(path.name.isdigit() for path in left)


def test_a_signal_to_either_process_saves_and_stops_both(
    command: list[str], tmp_path: Path, cache: Path, unused_port: int
) -> None:
    processes = two(command, cache=cache, port=unused_port)
    wait_for(5, tmp_path / "run", processes)
    os.kill(processes[1].pid, signal.SIGTERM)
    ends = [finish(process) for process in processes]
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert "ended by SIGTERM" in ends[0][1]
    assert "ended by" not in ends[1][1]


def test_random_kills_leave_no_trace(phantom: Path, tmp_path: Path) -> None:
    """Few, for CI's time; `python tests/hosts/soak.py --kills 10` takes longer."""
    assert soak(phantom, kills=4, workdir=tmp_path, seed=0) == []
