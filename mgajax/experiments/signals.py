"""Signals to a command that has other processes at work."""

import contextlib
import signal
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any, Protocol, runtime_checkable

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@runtime_checkable
class Working(Protocol):
    """Anything that a process is at work for."""

    @property
    def process(self) -> Any:
        """It has `send_signal` and `kill`, as `subprocess.Popen` has."""


@contextlib.contextmanager
def passing_signals_on(busy: Mapping[int, Working]) -> Iterator[list[int]]:
    """The first signal lets every busy process save and stop, a second one ends them.

    Yields:
      The signals that came.
    """
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        for one in busy.values():
            if asked:
                one.process.kill()
            else:
                one.process.send_signal(signal.SIGTERM)
        asked.append(number)

    previous = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
