"""Pages as HTML: text is escaped, the style sheet is inside, and nothing is loaded from elsewhere."""

import base64
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from mgajax import __version__
from mgajax.files import write_csv, write_text
from mgajax.reporting.figures.style import DOTS_PER_INCH, figure_files
from mgajax.reporting.html.blocks import Block, Details, Figure, Link, Row, Section, Table
from mgajax.reporting.tables.number import Number

PAGE, TABLES, FIGURES = "index.html", "tables", "figures"
PIXELS_PER_INCH = 104
"""The size at which a figure is shown where there is room: a little larger than in print."""

LEAST_SHARE = 0.62
"""A figure keeps at least this share of that size; where there is less room it scrolls, to stay readable."""


class ShownSize(NamedTuple):
    """Pixels of the page that a figure takes, and the least width."""

    width: int
    height: int
    least: int


def html_page(
    title: str,
    sections: Sequence[Section],
    *,
    folder: Path | None = None,
    trail: Sequence[Link] = (),
    banner: str = "",
    template: str = "page.html",
    **variables: Any,
) -> str:
    """One page as text.

    Args:
      title: its heading.
      sections: in their order; the first one's heading may be empty.
      folder: where the page will lie: figures and tables are in it and are linked. None: the page
        is sent around alone, and holds its figures.
      trail: links to the pages above it, from the top.
      banner: a line over everything.
      template: `page.html`, or one that extends it.
      variables: of that template.
    """

    def address(file: Path) -> str:
        return _embed(file) if folder is None else quote(file.relative_to(folder).as_posix())

    def table_files(table: Table) -> list[Path]:
        return [folder / TABLES / f"{table.name}.csv"] if folder and table.name else []

    def picture_files(picture: Figure) -> list[Path]:
        return [*picture.files, *([picture.data] if picture.data else [])] if folder else []

    return _ENVIRONMENT.get_template(template).render(
        title=title,
        sections=sections,
        trail=trail,
        banner=banner,
        version=__version__,
        address=address,
        table_files=table_files,
        picture_files=picture_files,
        **variables,
    )


@dataclass(frozen=True)
class Page:
    """A page in a folder of its own, with its figures and tables beside it.

    Attributes:
      folder: gets `index.html`, `tables/` and `figures/`.
      title: its heading.
      trail: links to the pages above it, from the top.
    """

    folder: Path
    title: str
    trail: tuple[Link, ...] = ()

    def draw(
        self,
        name: str,
        make: Callable[[Path], Path],
        *,
        alt: str,
        caption: str = "",
        data: Path | None = None,
    ) -> Figure:
        """Draw a figure as SVG, which is sharp at every size and shown, and as PNG.

        `make` draws it to the path that it gets, which has no ending.
        """
        png, svg = figure_files(make(self.folder / FIGURES / name))
        return Figure((svg, png), alt, caption, data)

    def take(self, file: Path, *, name: str, alt: str, caption: str = "") -> Figure:
        """Copy a picture that was made before."""
        return Figure((self.copy(file, folder=FIGURES, name=name),), alt, caption)

    def copy(self, file: Path, *, folder: str, name: str = "") -> Path:
        """Copy a file into a folder of the page, under its own or another name."""
        copied = self.folder / folder / (name or file.name)
        copied.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(file, copied))

    def table(self, lines: Iterable[Sequence[object]], *, name: str) -> Path:
        """Write rows, the header among them, as CSV beside the page's tables."""
        path = self.folder / TABLES / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_csv(lines, path)

    def write(self, sections: Sequence[Section]) -> Path:
        """Write the page, and every table that has a name; see `html_page`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for table in _tables(block for section in sections for block in section.blocks):
            if table.name:
                self.table(_csv_lines(table), name=table.name)
        content = html_page(self.title, sections, folder=self.folder, trail=self.trail)
        return write_text(content, self.folder / PAGE)


def png_url(content: bytes) -> str:
    """A PNG as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def _embed(file: Path) -> str:
    return png_url(file.read_bytes())


def _anchor(heading: str) -> str:
    """A heading's id: its letters and digits, joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def _measure_size(files: Sequence[Path]) -> ShownSize:
    """The size of a figure, from its PNG's pixels."""
    png = next(file for file in files if file.suffix == ".png")
    with Image.open(png) as image:
        width, height = (round(side * PIXELS_PER_INCH / DOTS_PER_INCH) for side in image.size)
    return ShownSize(width, height, least=round(LEAST_SHARE * width))


def _tables(blocks: Iterable[Block]) -> Iterator[Table]:
    for block in blocks:
        if isinstance(block, Table):
            yield block
        elif isinstance(block, Details):
            yield from _tables(block.blocks)


def _csv_lines(table: Table) -> Iterator[list[object]]:
    """Numbers as they are, each end of an interval in a column of its own."""
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.heads)
    spans = [
        any(isinstance(cell, Number) and cell.low is not None for cell in column)
        for column in columns
    ]
    yield [
        name
        for head, span in zip(table.heads, spans, strict=True)
        for name in ((head, f"{head}, low", f"{head}, high") if span else (head,))
    ]
    yield from (_csv_line(row, spans) for row in table.rows)


def _csv_line(row: Row, spans: Sequence[bool]) -> list[object]:
    line: list[object] = []
    for cell, span in zip(row, spans, strict=True):
        if isinstance(cell, Number):
            line += [cell.value, cell.low, cell.high] if span else [cell.value]
        else:
            line += [getattr(cell, "text", cell), *(["", ""] if span else [])]
    return line


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mgajax.reporting.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters["anchor"] = _anchor
    environment.filters["kind"] = lambda item: type(item).__name__
    environment.filters["quoted"] = lambda href: quote(href, safe="/.")
    environment.filters["shown_size"] = _measure_size
    return environment


_ENVIRONMENT = _environment()
