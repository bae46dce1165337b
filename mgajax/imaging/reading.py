"""The guard around every file: whatever goes wrong inside of it is one line that names it."""

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mgajax.errors import DataError

Source = bytes | Path
"""A file's content, or where it lies."""

Result = TypeVar("Result")


class _Silence:
    """Warnings held back while any thread reads.

    They are kept for the whole process: threads that held them back each for itself would restore
    what another one had set.
    """

    def __init__(self) -> None:
        self._lock, self._readers = threading.Lock(), 0
        self._held = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._held = warnings.catch_warnings()
                self._held.__enter__()
                warnings.simplefilter("ignore")
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._held.__exit__(None, None, None)


SILENCE = _Silence()


def content_of(source: Source, *, name: str) -> bytes:
    """The bytes of a file.

    Raises:
      DataError: naming `name`, when it cannot be read.
    """
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror})") from error


def guarded(read: Callable[[], Result], *, name: str, failure: str, fix: str) -> Result:
    """What `read` returns, its many exceptions turned into one kind, its warnings held back.

    The decoders of pictures, DICOM, NIfTI and TIFF document no common error, and some convert
    values only when they are asked for; hence the broad catch.

    Args:
      read: opens the file, and takes from it all that is wanted.
      name: of the file.
      failure: what it is then, such as "no complete NIfTI volume".
      fix: what to do about it.

    Raises:
      DataError: `read` failed; its own ones pass as they are.
    """
    try:
        with SILENCE:
            return read()
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{name}: {failure} ({reason}); {fix}") from error
