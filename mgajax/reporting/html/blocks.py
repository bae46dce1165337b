"""What a page is made of, before it is HTML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mgajax.reporting.tables.number import Number


@dataclass(frozen=True)
class Link:
    """A text that leads to another page or file of the site."""

    text: str
    href: str


@dataclass(frozen=True)
class Code:
    """A command, a key or a path, set as such."""

    text: str


Cell = str | Number | Link | Code
Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table on the page, and beside it as CSV.

    Attributes:
      name: of the CSV file, without suffix; unique on its page.
      caption: what the table holds, for every reader.
      heads: one a column.
      rows: the first cell names its row.
      faint: rows that are not ours, such as the paper's.
    """

    name: str
    caption: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    faint: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A figure that lies beside the page.

    Attributes:
      files: the same figure in one or more formats; the first is shown, the others are offered.
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
    """Names and what they are."""

    rows: Mapping[str, Cell]


@dataclass(frozen=True)
class Missing:
    """What is not there, why, and the command that makes it (empty where there is none)."""

    what: str
    command: str = ""


@dataclass(frozen=True)
class RawHtml:
    """HTML that was made, and escaped, elsewhere."""

    html: str


@dataclass(frozen=True)
class Fold:
    """Blocks that are closed until they are asked for."""

    title: str
    blocks: tuple["Block", ...]


Block = str | Table | Picture | Facts | Missing | RawHtml | Fold
"""A paragraph of plain text, or one of the above."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    heading: str
    blocks: tuple[Block, ...] = field(default_factory=tuple)
