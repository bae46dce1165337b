"""SIGTERM and Ctrl-C stop a run after the current step, which is saved.

With several processes JAX handles SIGTERM and tells all of them at the same step, so no handler is set.
"""

import signal
import threading
from types import FrameType
from typing import Any

from mgajax.distributed import job

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """While this context is open, the first signal only sets `requested`; a second one ends the process."""

    def __init__(self) -> None:
        """Nothing requested, no handler set."""
        self.requested: signal.Signals | None = None
        self.previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and not job.is_one_of_many():
            for number in SIGNALS:
                self.previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def should_stop(self, step: int) -> bool:
        """Whether to save and stop after `step`, the number of steps done; call it once a step."""
        if job.is_one_of_many() and job.is_preempted(step):
            self.requested = signal.SIGTERM
        return self.requested is not None

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous.clear()
