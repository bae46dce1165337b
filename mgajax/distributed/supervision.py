"""Programs that a command starts: how they begin, share the machine, get signals and end.

Each runs in a session of its own. So Ctrl-C reaches it only through this process, once, and killing it
ends all that it started.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol, TypeVar, runtime_checkable

from mgajax.errors import ConfigError

SIGNALS = (signal.SIGTERM, signal.SIGINT)

POLL_S = 0.1

GRACE_S = 5.0
"""Seconds that a program has to end by itself, before it is killed."""


@runtime_checkable
class Process(Protocol):
    """A running program."""

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""

    def send_signal(self, number: int) -> None:
        """Send it a signal: SIGTERM asks it to save and stop."""

    def kill(self) -> None:
        """End it at once."""


@runtime_checkable
class Work(Protocol):
    """A piece of work that a program does, such as a trial."""

    @property
    def process(self) -> Process:
        """The program that does it."""


AnyWork = TypeVar("AnyWork", bound=Work)


class Child(subprocess.Popen[str]):
    """A program that this process started; leads a process group unless it is connected by pipes."""

    leads_group: bool = True

    def kill(self) -> None:
        """End it at once, and all that it started."""
        if not self.leads_group:
            super().kill()
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Share:
    """The part of this machine that a program may use.

    Attributes:
      gpus: CUDA_VISIBLE_DEVICES; "" leaves it as it is.
      cores: of the CPU; () leaves them as they are.
    """

    gpus: str = ""
    cores: tuple[int, ...] = ()


@dataclass(frozen=True)
class Ending:
    """How a program ended.

    Attributes:
      code: its exit code, negative for a signal.
      cpu_s: seconds of CPU time that it and its own programs took.
      peak_bytes: of memory.
    """

    code: int
    cpu_s: float
    peak_bytes: int


def start(
    words: Sequence[str],
    *,
    log: Path | None = None,
    share: Share | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Child:
    """Start a program.

    Args:
      words: its command, word by word.
      log: what it prints is appended to this file; None leaves it the terminal.
      share: of the machine; all by default.
      environment: variables added to those of this process.
      folder: to run in; this process's by default.

    Raises:
      OSError: there is no such program, or the log cannot be written.
    """
    share = share or Share()
    variables = os.environ | (environment or {})
    if share.gpus:
        variables |= {"CUDA_VISIBLE_DEVICES": share.gpus}
    with contextlib.ExitStack() as stack:
        output = None if log is None else stack.enter_context(log.open("ab"))
        child = Child(
            words,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
        )
    if share.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(child.pid, share.cores)
    return child


def start_with_pipes(words: Sequence[str], *, environment: Mapping[str, str]) -> Child:
    """Start a program that reads lines from this process and writes lines to it.

    It ends when this process ends: it stays in the same process group, and its input closes.

    Raises:
      OSError: there is no such program.
    """
    variables = os.environ | environment
    pipe = subprocess.PIPE
    child = Child(words, env=variables, stdin=pipe, stdout=pipe, text=True)
    child.leads_group = False
    return child


def run(
    words: Sequence[str],
    *,
    log: Path,
    limit_s: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Ending:
    """Run a program to its end; its command, and what it prints, are appended to `log`.

    Args:
      limit_s: seconds that it may take.
      words, environment, folder: see `start`.

    Raises:
      TimeoutError: it took longer, and was killed with all that it started.
    """
    deadline = time.monotonic() + limit_s
    with log.open("a", encoding="utf-8") as file:
        file.write(f"\n$ {shlex.join(words)}\n")
    child = start(words, log=log, environment=environment, folder=folder)
    try:
        while time.monotonic() < deadline:
            process_id, status, usage = os.wait4(child.pid, os.WNOHANG)
            if process_id:
                child.returncode = os.waitstatus_to_exitcode(status)
                seconds = usage.ru_utime + usage.ru_stime
                return Ending(child.returncode, seconds, usage.ru_maxrss * 1024)
            time.sleep(POLL_S)
        raise TimeoutError(f"{words[0]} took more than {limit_s:g} s")
    finally:
        child.kill()
        child.wait()


def run_in_slots(
    slots: int,
    *,
    begin: Callable[[int], AnyWork | None],
    end: Callable[[AnyWork, int, bool], None],
) -> None:
    """Keep a program running in each slot, until there is nothing more to start.

    The first signal asks every program to save and stop, a second one kills them.

    Args:
      slots: how many programs run at a time.
      begin: starts the next work in a slot; returns None where there is none.
      end: takes finished work, its exit code, and whether a signal has come.
    """
    busy: dict[int, AnyWork] = {}
    with forwarding_signals(lambda: [work.process for work in busy.values()]) as signals:
        while True:
            for slot in range(slots):
                work = None if slot in busy or signals else begin(slot)
                if work is not None:
                    busy[slot] = work
                    _pass_on(signals, to=work.process)
            if not busy:
                return
            for slot, work in list(busy.items()):
                code = work.process.poll()
                if code is not None:
                    del busy[slot]
                    end(work, code, bool(signals))
            time.sleep(POLL_S if busy else 0)


def _pass_on(signals: Sequence[int], *, to: Process) -> None:
    """Ask a program to save and stop where one signal has come; kill it where several have."""
    if len(signals) == 1:
        to.send_signal(signal.SIGTERM)
    elif signals:
        to.kill()


@contextlib.contextmanager
def forwarding_signals(
    running: Callable[[], Iterable[Process]], *, ask: Callable[[], None] | None = None
) -> Iterator[list[int]]:
    """Within this context, a first signal asks the programs to save and stop, a second one kills them.

    Args:
      running: returns the running programs.
      ask: what the first signal does; by default it sends SIGTERM to each.

    Yields:
      The signals that have come.
    """
    signals: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        if ask is not None and len(signals) == 1:
            ask()
            return
        for process in running():
            _pass_on(signals, to=process)

    previous = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield signals
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def end_all(children: Iterable[Child]) -> None:
    """Give programs `GRACE_S` to end by themselves, and kill those that do not."""
    running = list(children)
    deadline = time.monotonic() + GRACE_S
    while running and time.monotonic() < deadline:
        running = [child for child in running if child.poll() is None]
        time.sleep(POLL_S if running else 0)
    for child in running:
        child.kill()
    for child in running:
        child.wait()


def describe_exit(code: int) -> str:
    """ "ended with exit code 1", or "was ended by SIGKILL" for -9."""
    return (
        f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    )


def last_line(log: Path) -> str:
    """The last line that a program printed; "" if none."""
    if not log.exists():
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""


def shares(number: int, *, option: str) -> list[Share]:
    """The machine in `number` parts: its GPUs, and the cores that this process may use.

    Args:
      option: that asked for so many, for the error message.

    Raises:
      ConfigError: the GPUs do not divide evenly.
    """
    gpus = dealt_gpus(number, option=option)
    if number == 1 or not hasattr(os, "sched_getaffinity"):
        return [Share(names) for names in gpus]
    cores = sorted(os.sched_getaffinity(0))
    return [Share(names, tuple(cores[at::number] or cores)) for at, names in enumerate(gpus)]


def dealt_gpus(number: int, *, option: str) -> list[str]:
    """CUDA_VISIBLE_DEVICES of each of `number` programs; empty where there is no GPU.

    Args:
      option: that asked for so many, for the error message.

    Raises:
      ConfigError: the GPUs do not divide evenly.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = (
        [name for name in visible.split(",") if name]
        if visible is not None
        else [str(at) for at in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]
    )
    if not names or os.environ.get("JAX_PLATFORMS") == "cpu":
        return [""] * number
    if len(names) % number:
        raise ConfigError(f"{option} {number}: {len(names)} GPUs do not divide by it")
    share = len(names) // number
    return [",".join(names[at : at + share]) for at in range(0, len(names), share)]
