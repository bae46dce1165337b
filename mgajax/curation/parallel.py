"""The same work on many files, on all cores."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mgajax.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], *, description: str
) -> list[Result]:
    """`function` of every item, in order, on a thread a core (Pillow decodes outside the lock).

    Args:
      function: what to do; its exceptions are raised here.
      items: what to do it to.
      description: for the progress bar.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(track(pool.map(function, items), description=description, total=len(items)))
