"""What was wrong with the input: told at once, one line each, and written down."""

from dataclasses import dataclass, field
from typing import Literal

from mgajax.progress import say

RESEARCH_USE = "Research use only: not a medical device"
"""On every page and in every file that is written."""

Kind = Literal["left out", "odd"]
"""A file that is not predicted; or something predicted that may not be what it should."""


@dataclass(frozen=True)
class Problem:
    """One line about the input."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass
class Problems:
    """The problems of a call, in the order in which they came up."""

    found: list[Problem] = field(default_factory=list)

    def note(self, text: str, *, kind: Kind = "left out") -> None:
        """Tell one and keep it."""
        problem = Problem(kind, " ".join(text.split()))
        say(str(problem))
        self.found.append(problem)
