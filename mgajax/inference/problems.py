"""Problems of the input: printed at once, one line each, and collected."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mgajax.errors import MgajaxError
from mgajax.progress import say

_log = logging.getLogger(__name__)

RESEARCH_USE = "Research use only: not a medical device"
"""Stands on every page and in every file that is written."""

ProblemKind = Literal["left out", "odd", "passed over"]
""""left out": a file that should be predicted and is not. "odd": predicted, but perhaps not what it
should be. "passed over": rightly not predicted, which is no problem of the input."""


@dataclass(frozen=True)
class Problem:
    """One line about the input."""

    kind: ProblemKind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass
class Problems:
    """The problems of a call, in the order in which they came up."""

    noted: list[Problem] = field(default_factory=list)

    def note(self, text: str, *, kind: ProblemKind = "left out") -> None:
        """Print a problem and collect it."""
        problem = Problem(kind, _readable(" ".join(text.split())))
        say(str(problem))
        self.noted.append(problem)

    def note_unreadable(self, path: Path | str, error: Exception) -> None:
        """Note a file or folder that cannot be opened."""
        reason = getattr(error, "strerror", None) or error
        self.note(f"{path}: cannot be read ({reason})")

    @contextmanager
    def guard(self, input_name: str) -> Iterator[None]:
        """Note whatever fails within as one line about this input, so that the call goes on.

        Errors of the operating system are passed on: a full disk concerns the whole call.
        """
        try:
            yield
        except OSError:
            raise
        except MgajaxError as error:  # its line names the file
            self.note(str(error))
        except Exception as error:
            _log.debug("%s", input_name, exc_info=True)
            self.note(f"{input_name}: {type(error).__name__} ({error}); the rest is done")


def _readable(text: str) -> str:
    """A text with its unprintable characters as escapes."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
