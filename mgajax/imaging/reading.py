"""The guard around every file: whatever goes wrong inside of it is one line that names it."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mgajax.errors import DataError

Source = bytes | Path
"""A file's content, or where it lies."""

Result = TypeVar("Result")


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


def guarded(read: Callable[[], Result], *, name: str, expected: str, fix: str) -> Result:
    """What `read` returns, its many exceptions turned into one kind, its warnings held back.

    The decoders of pictures, DICOM, NIfTI and TIFF document no common error, and some convert
    values only when they are asked for; hence the broad catch.

    Args:
      read: opens the file, and takes from it all that is wanted.
      name: of the file.
      expected: what it is not, if that fails, such as "complete picture".
      fix: what to do about it.

    Raises:
      DataError: `read` failed; its own ones pass as they are.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read()
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{name}: no {expected} ({reason}); {fix}") from error
