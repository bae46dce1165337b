"""Noticing that another process is gone: each counts aloud, and listens to the others.

Without this a process whose peer has died waits in a collective sum until something times out, and
then ends without a word about why. Beats go through the key-value store of `jax.distributed`; a
process that is frozen, or whose machine is cut off, is silent as well.
"""

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


class Listener:
    """Remembers when each process was last heard of. Times are given, so that it can be tested."""

    def __init__(self, *, processes: int, now: float) -> None:
        """Everybody counts as heard at `now`."""
        self.beats = dict.fromkeys(range(processes), -1)
        self.heard = dict.fromkeys(range(processes), now)

    def hear(self, beats: dict[int, int], *, now: float) -> None:
        """Take what every process last counted; one that counted on was heard."""
        for process, beat in beats.items():
            if beat != self.beats[process]:
                self.beats[process], self.heard[process] = beat, now

    def silent(self, *, now: float, notice_s: float) -> list[int]:
        """The processes not heard of for `notice_s` seconds."""
        return [process for process, at in self.heard.items() if now - at > notice_s]


def start(*, process: int, processes: int, notice_s: float) -> None:
    """Count and listen in the background until the program ends.

    A silent process ends this one at once, with one line and `EXIT_CODE`: nothing that waits for
    the dead could end otherwise.
    """
    from jax._src.distributed import global_state  # JAX offers no other way to its store

    client: Any = global_state.client

    def beat(count: int) -> dict[int, int]:
        client.key_value_set(f"{BEATS}/{process}", str(count), allow_overwrite=True)
        found = client.key_value_dir_get(BEATS)
        return {int(key.rpartition("/")[2]): int(value) for key, value in found}

    thread = threading.Thread(
        target=_watch, args=(beat, processes, notice_s), name="mgajax-watchdog", daemon=True
    )
    thread.start()


def _watch(beat: Callable[[int], dict[int, int]], processes: int, notice_s: float) -> None:
    listener = Listener(processes=processes, now=time.monotonic())
    count = 0
    while True:
        count += 1
        try:
            listener.hear(beat(count), now=time.monotonic())
        except Exception as error:  # the store lives in the first process
            if not threading.main_thread().is_alive():
                return  # the program is ending
            _end(f"process 0 does not answer ({type(error).__name__})")
        silent = listener.silent(now=time.monotonic(), notice_s=notice_s)
        if silent:
            names = " and ".join(map(str, silent))
            _end(f"process {names} was not heard of for {notice_s:g} s")
        time.sleep(notice_s / BEATS_PER_NOTICE)


def _end(line: str) -> None:
    told = (
        f"mgajax: {line}; this process ends too. Start all again: the run goes on from its newest "
        "checkpoint"
    )
    print(told, file=sys.stderr, flush=True)
    os._exit(EXIT_CODE)
