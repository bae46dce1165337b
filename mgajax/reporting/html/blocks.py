"""Blocks that a page is made of, before it is HTML or Markdown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from mgajax.reporting.tables.number import Number


@dataclass(frozen=True)
class Link:
    """A text that leads to another page or file."""

    text: str
    href: str


@dataclass(frozen=True)
class Code:
    """A command, a key or a path in a line of text; lines of a program where it is a block."""

    text: str


@dataclass(frozen=True)
class Note:
    """Small print."""

    text: str


@dataclass(frozen=True)
class Caution:
    """A warning."""

    text: str


@dataclass(frozen=True)
class Tag:
    """A word after a dot of its colour, such as a class."""

    text: str
    colour: str


@dataclass(frozen=True)
class Thumbnail:
    """A small picture.

    Attributes:
      source: its address seen from the page, or a data URL.
      alt: what it shows.
      href: where it leads; empty for nowhere.
    """

    source: str
    alt: str
    href: str = ""


@dataclass(frozen=True)
class Bar:
    """A share, 0 to 1, as a bar of a colour."""

    name: str
    share: float
    colour: str


@dataclass(frozen=True)
class Bars:
    """Shares below each other, such as the probability of each class."""

    rows: tuple[Bar, ...]


@dataclass(frozen=True)
class ShareBar:
    """A share with its interval on a line from 0 to 1, and a mark to compare it with."""

    value: float
    low: float
    high: float
    mark: float


Cell = (
    str
    | Number
    | Link
    | Code
    | Note
    | Caution
    | Tag
    | Thumbnail
    | Bars
    | ShareBar
    | tuple["Cell", ...]
)
"""Text (or `Markup`, which is HTML that was escaped before), one of the above, or some of them below
each other."""

Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table on the page and, where it has a name and the page a folder, beside it as CSV.

    Attributes:
      heads: one a column.
      rows: the first cell names its row.
      caption: what the table holds, for every reader.
      name: of the CSV file, without suffix; unique on its page.
      faint: rows that are not ours, such as the paper's.
      right: columns set to the right, beside those that hold a `Number`.
    """

    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    name: str = ""
    faint: frozenset[int] = frozenset()
    right: frozenset[int] = frozenset()

    def is_right(self, column: int) -> bool:
        """Whether a column is set to the right."""
        return column in self.right or any(isinstance(row[column], Number) for row in self.rows)


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
      files: the same figure in one or more formats, a PNG among them; the first is shown, the others
        are offered.
      alt: what it shows, for those who do not see it.
      caption: below it.
      data: its numbers as CSV.
    """

    files: tuple[Path, ...]
    alt: str
    caption: str = ""
    data: Path | None = None


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    rows: Mapping[str, Cell]


@dataclass(frozen=True)
class Missing:
    """A line that says what is missing and why, and the command that makes it (empty where there is none)."""

    message: str
    command: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer that a page gives, in a word or two."""

    text: str
    is_good: bool


@dataclass(frozen=True)
class Tiles:
    """A few large numbers by name; those in `bad` stand out."""

    rows: Mapping[str, int]
    bad: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Card:
    """Pictures beside each other, each above its lines, under one head."""

    head: Row
    sides: tuple[Row, ...]


@dataclass(frozen=True)
class Gallery:
    """Cards, as many in a row as there is room for."""

    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Items:
    """Lines of a list."""

    rows: tuple[Cell, ...]


@dataclass(frozen=True)
class Details:
    """Blocks that are hidden until the reader opens them."""

    title: str
    blocks: tuple["Block", ...]


Block = (
    str
    | Markup
    | Code
    | Note
    | Caution
    | Table
    | Figure
    | Facts
    | Missing
    | Answer
    | Tiles
    | Gallery
    | Items
    | Bars
    | Details
)
"""A paragraph of plain text, HTML that was escaped before, or one of the above."""


@dataclass(frozen=True)
class Section:
    """A heading, which may be empty, and what stands below it."""

    heading: str
    blocks: tuple[Block, ...] = field(default_factory=tuple)
