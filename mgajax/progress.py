"""Long work: on all cores, and with progress: a bar on a terminal, plain lines elsewhere."""

import concurrent.futures
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")
Result = TypeVar("Result")

PLAIN_INTERVAL_S = 20.0


_hushed = threading.Event()


def hush() -> None:
    """Print nothing from here on, in all but the first process of a run."""
    _hushed.set()


def say(line: str) -> None:
    """Print one plain line to stderr, where progress belongs; stdout stays for results."""
    if not _hushed.is_set():
        print(line, file=sys.stderr, flush=True)


def time_left(*, done: int, total: int | None, elapsed: float) -> str:
    """ ", about 5 min left" at the pace so far; "" before anything is done, or without a total.

    Args:
      elapsed: seconds that the `done` took.
    """
    if not total or not done:
        return ""
    seconds = elapsed / done * (total - done)
    if seconds < 100:
        return f", about {seconds:.0f} s left"
    if seconds < 100 * 60:
        return f", about {seconds / 60:.0f} min left"
    return f", about {seconds / 3600:.1f} h left"


def track(items: Iterable[Item], *, description: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items` unchanged while showing how many are done and when the rest will be.

    Args:
      items: what to walk through.
      description: what is being done, e.g. "preparing slices".
      total: number of items; `len(items)` when it has a length.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if _hushed.is_set():
        yield from items
    elif sys.stderr.isatty():
        yield from _bar(items, description, total)
    else:
        yield from _plain(items, description, total)


def map_ordered(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map` over threads, in order, with few calls under way; Pillow frees the interpreter for them.

    `items` is read by the caller's thread. An exception in a call is raised in its place.
    """
    workers = os.cpu_count() or 1
    pending: deque[concurrent.futures.Future[Result]] = deque()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 4 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _bar(items: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    from rich.console import Console

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as progress:
        yield from progress.track(items, total=total, description=description)


def _plain(items: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    start = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - last >= PLAIN_INTERVAL_S:
            last = now
            left = time_left(done=done, total=total, elapsed=now - start)
            say(f"{description}: {done}/{total or '?'}{left}")
        yield item
