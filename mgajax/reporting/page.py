"""Pages as HTML: no scripts, nothing from outside; every table also as CSV."""

import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from mgajax import __version__
from mgajax.files import write_csv, write_text
from mgajax.reporting.figures.style import DOTS_PER_INCH, written
from mgajax.reporting.html.blocks import (
    Block,
    Cell,
    Code,
    Facts,
    Fold,
    Link,
    Missing,
    Picture,
    RawHtml,
    Section,
    Table,
)
from mgajax.reporting.tables.number import Number

PAGE, LOOK, TABLES, FIGURES = "index.html", "style.css", "tables", "figures"
PIXELS_PER_INCH = 104
"""At which a figure is shown where there is room: a little larger than print."""

LEAST_SHARE = 0.62
"""Of that size; a figure that finds less room scrolls, so that its words can be read."""


@dataclass(frozen=True)
class Page:
    """A page of the site in a folder of its own.

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
    ) -> Picture:
        """Draw a figure as SVG, which is sharp at every size and shown, and as PNG.

        `make` draws it to the path that it gets, which has no ending.
        """
        png, svg = written(make(self.folder / FIGURES / name))
        return Picture((svg, png), alt, caption, data)

    def take(self, file: Path, *, name: str, alt: str, caption: str = "") -> Picture:
        """Copy a picture that was made before."""
        return Picture((self.copy(file, folder=FIGURES, name=name),), alt, caption)

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

    def write(self, sections: Sequence[Section], *, look: str) -> Path:
        """Write the page and its tables.

        Args:
          sections: in their order; the first one's heading may be empty.
          look: the style sheet's address, seen from the page.
        """
        body = "\n".join(self._section(section) for section in sections)
        heads = [section.heading for section in sections if section.heading]
        self.folder.mkdir(parents=True, exist_ok=True)
        content = _FRAME.format(
            title=escape(self.title),
            look=escape(look),
            trail=" › ".join(map(_link, self.trail)),
            contents=_contents(heads),
            body=body,
            version=escape(__version__),
        )
        return write_text(content, self.folder / PAGE)

    def _section(self, section: Section) -> str:
        head = f'<h2 id="{anchor(section.heading)}">{escape(section.heading)}</h2>'
        inner = "\n".join(map(self._block, section.blocks))
        return f"<section>\n{head if section.heading else ''}\n{inner}\n</section>"

    def _block(self, block: Block) -> str:
        match block:
            case str():
                return f"<p>{escape(block)}</p>"
            case Table():
                return self._table(block)
            case Picture():
                return self._picture(block)
            case Facts():
                rows = (f"<dt>{escape(k)}</dt><dd>{_cell(v)}</dd>" for k, v in block.rows.items())
                return f"<dl>{''.join(rows)}</dl>"
            case Missing():
                command = f": <code>{escape(block.command)}</code>" if block.command else "."
                return f'<p class="missing">{escape(block.what)}{command}</p>'
            case Fold():
                inner = "".join(map(self._block, block.blocks))
                return f"<details><summary>{escape(block.title)}</summary>{inner}</details>"
            case RawHtml():
                return block.html

    def _table(self, table: Table) -> str:
        file = self.table(_csv_lines(table), name=table.name)
        numeric = [
            any(isinstance(row[i], Number) for row in table.rows) for i in range(len(table.heads))
        ]
        heads = "".join(
            f'<th scope="col"{_class("number" if right else "")}>{escape(text)}</th>'
            for text, right in zip(table.heads, numeric, strict=True)
        )
        rows = "".join(
            f'<tr{_class("faint" if place in table.faint else "")}><th scope="row">{_cell(row[0])}</th>'
            + "".join(
                f"<td{_class('number' if right else '')}>{_cell(cell)}</td>"
                for cell, right in zip(row[1:], numeric[1:], strict=True)
            )
            + "</tr>"
            for place, row in enumerate(table.rows)
        )
        caption = escape(table.caption)
        inner = f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>"
        shown = box(f"<table>{inner}</table>", label=caption)
        return f'<p class="caption">{caption}</p>{shown}{self._files([file])}'

    def _picture(self, picture: Picture) -> str:
        width, height = _shown_size(picture.files)
        alt = escape(picture.alt)
        image = (
            f'<img src="{self._href(picture.files[0])}" alt="{alt}" width="{width}" '
            f'height="{height}" style="min-width:{round(LEAST_SHARE * width)}px" loading="lazy">'
        )
        caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
        files = [*picture.files, *([picture.data] if picture.data else [])]
        return f"<figure>{box(image, label=alt)}{caption}</figure>{self._files(files)}"

    def _files(self, files: Sequence[Path]) -> str:
        """Links to a table's or a figure's files, each by its format."""
        links = (f'<a href="{self._href(file)}">{file.suffix[1:].upper()}</a>' for file in files)
        return f'<p class="files">{" · ".join(links)}</p>'

    def _href(self, file: Path) -> str:
        return escape(quote(file.relative_to(self.folder).as_posix()))


def anchor(heading: str) -> str:
    """A heading's id: its letters and digits, joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def box(inner: str, *, label: str) -> str:
    """HTML that scrolls sideways by itself where it is too wide, by keyboard too."""
    return f'<div class="box" role="region" tabindex="0" aria-label="{label}">{inner}</div>'


def _contents(heads: Sequence[str]) -> str:
    if len(heads) < 2:
        return ""
    items = "".join(f'<li><a href="#{anchor(head)}">{escape(head)}</a></li>' for head in heads)
    return f'<nav aria-label="On this page"><ul class="contents">{items}</ul></nav>'


def _shown_size(files: Sequence[Path]) -> tuple[int, int]:
    """Pixels of the page, from the PNG's own."""
    png = next(file for file in files if file.suffix == ".png")
    with Image.open(png) as image:
        width, height = (round(side * PIXELS_PER_INCH / DOTS_PER_INCH) for side in image.size)
    return width, height


def _cell(cell: Cell) -> str:
    match cell:
        case Number(value=value, low=low) if value is not None and low is not None:
            shown, span = str(cell).split(" ", 1)
            return f'{shown} <span class="span">{span}</span>'
        case Link():
            return _link(cell)
        case Code():
            return f"<code>{escape(cell.text)}</code>"
        case _:
            return escape(str(cell))


def _link(link: Link) -> str:
    return f'<a href="{escape(quote(link.href, safe="/#."))}">{escape(link.text)}</a>'


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _csv_lines(table: Table) -> Iterable[list[object]]:
    """Numbers as they are, each end of an interval in a column of its own."""
    spans = [
        any(isinstance(row[i], Number) and row[i].low is not None for row in table.rows)  # type: ignore[union-attr]
        for i in range(len(table.heads))
    ]
    yield [
        name
        for head, span in zip(table.heads, spans, strict=True)
        for name in ((head, f"{head}, low", f"{head}, high") if span else (head,))
    ]
    for row in table.rows:
        line: list[object] = []
        for cell, span in zip(row, spans, strict=True):
            if isinstance(cell, Number):
                line += [cell.value, cell.low, cell.high] if span else [cell.value]
            else:
                line += [cell if isinstance(cell, str) else cell.text, *(["", ""] if span else [])]
        yield line


_FRAME = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{look}">
</head>
<body>
<header>{trail}</header>
<main>
<h1>{title}</h1>
{contents}
{body}
</main>
<footer>mgajax {version}. Research use only: not a medical device.</footer>
</body>
</html>"""
