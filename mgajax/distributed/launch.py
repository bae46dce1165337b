"""Several processes of one run on this machine: start them, watch them, end them together.

When one fails the others are ended, since they would wait for it for ever.
"""

import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mgajax.distributed.supervision import (
    POLL_S,
    Child,
    Share,
    dealt_gpus,
    describe_exit,
    end_all,
    forwarding_signals,
    last_line,
    start,
)
from mgajax.errors import ConfigError, ProcessError
from mgajax.progress import say


@dataclass(frozen=True)
class Member:
    """One process of a run: its number, the process, and its log (None: it prints to the terminal)."""

    process_id: int
    process: Child
    log: Path | None


def launch(words: Sequence[str], *, processes: int, logs: Path) -> None:
    """Run `mgajax WORDS` as `processes` processes of one run, and wait for their end.

    The visible GPUs are dealt out evenly. The first process keeps the terminal, the others write to
    `logs/process_I.log`.

    Raises:
      ConfigError: fewer than two processes, or GPUs that do not divide evenly.
      ProcessError: one failed; the message has its number, its exit code and its log.
    """
    if processes < 2:
        raise ConfigError(f"--processes {processes}: give at least 2, or leave it out")
    gpus = dealt_gpus(processes, option="--processes")
    logs.mkdir(parents=True, exist_ok=True)
    coordinator = ["--coordinator", f"127.0.0.1:{_free_port()}", "--num_processes", str(processes)]
    members = [
        _start([*words, *coordinator], number, logs=logs, gpus=gpus[number])
        for number in range(processes)
    ]
    children = [member.process for member in members]

    def ask() -> None:
        say("stopping after this step")
        children[0].send_signal(signal.SIGTERM)  # JAX tells the others: same step for all

    with forwarding_signals(lambda: children, ask=ask):
        try:
            failed = _first_failure(members)
        finally:
            # No SIGTERM: they would try to save first, together with the dead one.
            end_all(children)
    if failed is not None:
        raise ProcessError(_reason(failed, processes))


def _start(words: Sequence[str], number: int, *, logs: Path, gpus: str) -> Member:
    log = logs / f"process_{number}.log" if number else None
    if log:
        log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "mgajax", *words, "--process_id", str(number)]
    return Member(number, start(command, log=log, share=Share(gpus)), log)


def _first_failure(members: Sequence[Member]) -> Member | None:
    """The first process that fails, or None when all have ended well."""
    while True:
        codes = [member.process.poll() for member in members]
        for member, code in zip(members, codes, strict=True):
            if code:
                return member
        if all(code == 0 for code in codes):
            return None
        time.sleep(POLL_S)


def _reason(failed: Member, processes: int) -> str:
    log = f" (its log {failed.log} ends: {last_line(failed.log)})" if failed.log else ""
    return (
        f"process {failed.process_id} of {processes} {describe_exit(failed.process.returncode)}{log}; "
        "the others were ended too. Give the same command again: the run goes on from its newest "
        "checkpoint"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
