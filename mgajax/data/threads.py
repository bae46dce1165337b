"""Work on host threads, in order, without reading far ahead."""

import concurrent.futures
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def map_ordered(function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
    """`map` over threads, in order, with few jobs under way; Pillow frees the interpreter for them.

    `jobs` is read by the caller's thread. An exception in a job is raised in its place.
    """
    workers = os.cpu_count() or 1
    pending: deque[concurrent.futures.Future[Result]] = deque()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for job in jobs:
            pending.append(pool.submit(function, job))
            if len(pending) >= 4 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
