"""Several processes on this machine: start them, watch them, end them together.

Signals to the launcher go to every process. One that ends badly ends the others, since they would
wait for it for ever.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from mgajax.errors import ConfigError, ProcessError
from mgajax.progress import say

POLL_S = 0.1
GRACE_S = 5.0
"""Seconds between asking a process to end and ending it."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Member:
    """One process: its number, itself, and where its words go (None: to the terminal)."""

    process_id: int
    process: "subprocess.Popen[bytes]"
    log: Path | None


def launch(words: Sequence[str], *, processes: int, logs: Path) -> None:
    """Run `mgajax WORDS` as `processes` processes of one run, and wait for their end.

    The GPUs that this process sees are dealt out evenly. The first process keeps the terminal, the
    others write to `logs/process_I.log`.

    Raises:
      ConfigError: fewer than two processes, or GPUs that do not divide.
      ProcessError: one ended badly; names it, its exit code and its log.
    """
    if processes < 2:
        raise ConfigError(f"--processes {processes}: give at least 2, or leave it out")
    devices = dealt_gpus(processes)
    logs.mkdir(parents=True, exist_ok=True)
    coordinator = f"127.0.0.1:{_free_port()}"
    members = [
        _started(words, coordinator, processes, number, logs=logs, gpus=devices[number])
        for number in range(processes)
    ]
    previous = {number: signal.signal(number, _passing_on(members)) for number in SIGNALS}
    try:
        failed = _first_failure(members)
        if failed is not None:
            raise ProcessError(_told(failed, processes))
    finally:
        _end(members)
        for number, handler in previous.items():
            signal.signal(number, handler)


def _started(
    words: Sequence[str], coordinator: str, processes: int, number: int, *, logs: Path, gpus: str
) -> Member:
    joining = ["--coordinator", coordinator, "--num_processes", str(processes)]
    command = [sys.executable, "-m", "mgajax", *words, *joining, "--process_id", str(number)]
    environment = dict(os.environ) | ({"CUDA_VISIBLE_DEVICES": gpus} if gpus else {})
    if number == 0:
        return Member(number, _popen(command, environment, output=None), None)
    log = logs / f"process_{number}.log"
    with log.open("wb") as output:
        return Member(number, _popen(command, environment, output=output.fileno()), log)


def _popen(
    command: Sequence[str], environment: dict[str, str], *, output: int | None
) -> "subprocess.Popen[bytes]":
    # Their own session: Ctrl-C reaches them through the launcher alone, once.
    return subprocess.Popen(
        command, env=environment, stdout=output, stderr=output, start_new_session=True
    )


def _first_failure(members: Sequence[Member]) -> Member | None:
    """The first process that ends badly, or None when all have ended well."""
    while True:
        codes = [member.process.poll() for member in members]
        for member, code in zip(members, codes, strict=True):
            if code:
                return member
        if all(code == 0 for code in codes):
            return None
        time.sleep(POLL_S)


def _passing_on(members: Sequence[Member]) -> Callable[[int, FrameType | None], None]:
    """What a signal does: the first asks all to save and stop, a second one ends them."""
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            for member in members:
                member.process.kill()
            return
        asked = True
        say("stopping after this step")
        members[0].process.send_signal(signal.SIGTERM)  # JAX tells the others: same step for all

    return handle


def _end(members: Sequence[Member]) -> None:
    """End what still runs. SIGTERM would ask it to save first, together with the dead."""
    running = [member.process for member in members if member.process.poll() is None]
    deadline = time.monotonic() + GRACE_S
    while running and time.monotonic() < deadline:
        running = [process for process in running if process.poll() is None]
        time.sleep(POLL_S)
    for process in running:
        process.kill()
    for process in running:
        process.wait()


def _told(failed: Member, processes: int) -> str:
    code = failed.process.returncode
    how = (
        f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    )
    place = f"; its last words are in {failed.log}" if failed.log else ""
    return (
        f"process {failed.process_id} of {processes} {how}{place}; the others were ended too. Give "
        "the same command again: the run goes on from its newest checkpoint"
    )


def dealt_gpus(processes: int, *, option: str = "--processes") -> list[str]:
    """CUDA_VISIBLE_DEVICES of each process; empty where there is no GPU.

    Args:
      option: what asked for so many, for the error.

    Raises:
      ConfigError: the GPUs do not divide evenly.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = (
        [name for name in visible.split(",") if name]
        if visible is not None
        else [str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]
    )
    if not names or os.environ.get("JAX_PLATFORMS") == "cpu":
        return [""] * processes
    if len(names) % processes:
        raise ConfigError(f"{option} {processes}: {len(names)} GPUs do not divide by it")
    share = len(names) // processes
    return [",".join(names[at : at + share]) for at in range(0, len(names), share)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
