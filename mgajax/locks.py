"""Locks between processes: files that the operating system frees when their holder dies.

A leaf: it imports the other leaves only.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from mgajax.errors import ConfigError
from mgajax.progress import say


@contextlib.contextmanager
def locked(path: Path, *, guards: str, refusal: str | None = None) -> Iterator[None]:
    """Hold the lock file `path`; waits for another holder, and says so, naming what it `guards`.

    Args:
      guards: what only one process may work on.
      refusal: raise with this line instead of waiting.

    Raises:
      ConfigError: another process holds it, and `refusal` was given.
      OSError: the file cannot be opened for writing.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if refusal is not None:
                raise ConfigError(refusal) from None
            say(f"{guards}: another process is at work on it; waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
