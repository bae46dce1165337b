"""What was wrong with the input: told at once, one line each, and written down."""

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
"""On every page and in every file that is written."""

ProblemKind = Literal["left out", "odd", "passed over"]
"""A file that is not predicted, though it should be; something predicted that may not be what it
should; or what was rightly left alone, which is no problem of the input."""


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

    found: list[Problem] = field(default_factory=list)

    def note(self, text: str, *, kind: ProblemKind = "left out") -> None:
        """Tell one and keep it."""
        problem = Problem(kind, _readable(" ".join(text.split())))
        say(str(problem))
        self.found.append(problem)

    def unreadable(self, path: Path | str, error: Exception) -> None:
        """Tell of a file or folder that cannot be opened, be it by its name alone."""
        reason = getattr(error, "strerror", None) or error
        self.note(f"{path}: cannot be read ({reason})")

    @contextmanager
    def guarded(self, where: str) -> Iterator[None]:
        """Whatever fails within is one line about `where`, so that all else goes on.

        What the operating system refuses passes: a full disk concerns the whole call.
        """
        try:
            yield
        except OSError:
            raise
        except MgajaxError as error:  # its line names the file
            self.note(str(error))
        except Exception as error:
            _log.debug("%s", where, exc_info=True)
            self.note(f"{where}: {type(error).__name__} ({error}); the rest is done")


def _readable(text: str) -> str:
    """A text with what no terminal shows spelt out."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
