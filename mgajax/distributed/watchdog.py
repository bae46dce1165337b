"""Notices that another process is gone: each counts up, and reads the counts of the others.

Without this, a process whose peer has died waits in a collective sum until a timeout, and then ends
without saying why. The counts go through the key-value store of `jax.distributed`. A process that is
frozen, or whose machine is cut off, is silent as well.
"""

import atexit
import contextlib
import itertools
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

EXIT_CODE = 75
"""Of a process that ends because another one did (EX_TEMPFAIL of sysexits.h: try again)."""

BEATS = "mgajax/beats"
BEATS_PER_NOTICE = 6
LEFT = 0
"""The count of a process that has ended well; running ones count from 1."""


class Listener:
    """Remembers when each process was last heard of. The caller passes the time, for the tests' sake."""

    def __init__(self, *, processes: int, now: float) -> None:
        """Start as if all had been heard at `now`."""
        self.beats = dict.fromkeys(range(processes), -1)
        self.heard = dict.fromkeys(range(processes), now)

    def hear(self, beats: dict[int, int], *, now: float) -> None:
        """Take the last count of every process. A new count is a sign of life; one that has left is
        never missed."""
        for process, beat in beats.items():
            if beat != self.beats[process]:
                self.beats[process] = beat
                self.heard[process] = math.inf if beat == LEFT else now

    def silent(self, *, now: float, notice_s: float) -> list[int]:
        """The processes not heard of for `notice_s` seconds."""
        return [process for process, at in self.heard.items() if now - at > notice_s]


def start(*, process: int, processes: int, notice_s: float) -> None:
    """Count and listen in the background until the program ends.

    If another process falls silent, this one ends at once, with one line and `EXIT_CODE`: what waits
    for a dead process would never return.
    """
    from jax._src.distributed import global_state  # JAX offers no other way to its store

    client: Any = global_state.client

    def beat(count: int) -> dict[int, int]:
        client.key_value_set(f"{BEATS}/{process}", str(count), allow_overwrite=True)
        values = client.key_value_dir_get(BEATS)
        return {int(key.rpartition("/")[2]): int(value) for key, value in values}

    watch = _Watch(processes=processes, notice_s=notice_s)
    threads = [
        threading.Thread(target=lambda: watch.keep_beating(beat), name="mgajax-beats", daemon=True),
        threading.Thread(target=watch.keep_watching, name="mgajax-watch", daemon=True),
    ]
    for thread in threads:
        thread.start()

    def stop() -> None:
        # An interpreter that ends while a thread is in the store's C++ code aborts.
        watch.over.set()
        for thread in threads:
            thread.join(timeout=notice_s)
        with contextlib.suppress(Exception):  # the first process may have left already
            beat(LEFT)

    atexit.register(stop)


class _Watch:
    """Two threads: one counts and listens, and may hang with the store; the other watches the clock."""

    def __init__(self, *, processes: int, notice_s: float) -> None:
        self.listener = Listener(processes=processes, now=time.monotonic())
        self.answered = time.monotonic()
        self.notice_s = notice_s
        self.over = threading.Event()

    def keep_beating(self, beat: Callable[[int], dict[int, int]]) -> None:
        """Count until the program ends, or the store is gone, which the first process holds."""
        for count in itertools.count(1):
            try:
                self.listener.hear(beat(count), now=time.monotonic())
            except Exception as error:
                if not self.over.is_set():
                    _end(f"process 0 does not answer ({type(error).__name__})")
                return
            self.answered = time.monotonic()
            if self.over.wait(self.notice_s / BEATS_PER_NOTICE):
                return

    def keep_watching(self) -> None:
        """Watch until the program ends."""
        while not self.over.wait(self.notice_s / BEATS_PER_NOTICE):
            now = time.monotonic()
            if now - self.answered > self.notice_s:
                _end(f"process 0 did not answer for {self.notice_s:g} s")
            silent = self.listener.silent(now=now, notice_s=self.notice_s)
            if silent:
                names = " and ".join(map(str, silent))
                _end(f"process {names} was not heard of for {self.notice_s:g} s")


def _end(reason: str) -> None:
    text = (
        f"mgajax: {reason}; this process ends too. Start all again: the run goes on from its newest "
        "checkpoint"
    )
    print(text, file=sys.stderr, flush=True)
    os._exit(EXIT_CODE)
