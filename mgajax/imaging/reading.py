"""The guard around every file: whatever goes wrong while reading becomes one line that names the file."""

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mgajax.errors import DataError

Source = bytes | Path
"""A file's content, or its path."""

Content = TypeVar("Content")


class _Silence:
    """Suppresses warnings while any thread reads.

    There is one for the whole process: if each thread suppressed them by itself, one would restore
    the filters that another had set.
    """

    def __init__(self) -> None:
        self._lock, self._readers = threading.Lock(), 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._filters.__exit__(None, None, None)


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


def guard(read: Callable[[], Content], *, name: str, failure: str, fix: str) -> Content:
    """What `read` returns; its exceptions become one kind, its warnings are suppressed.

    The decoders of pictures, DICOM, NIfTI and TIFF document no common error, and some convert
    values only on access; hence the broad catch.

    Args:
      read: opens the file, and reads all that is wanted.
      name: of the file.
      failure: what the file is if `read` fails, such as "no complete NIfTI volume".
      fix: what the user should do then.

    Raises:
      DataError: `read` failed; a DataError of its own is passed on unchanged.
    """
    try:
        with SILENCE:
            return read()
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{name}: {failure} ({reason}); {fix}") from error
