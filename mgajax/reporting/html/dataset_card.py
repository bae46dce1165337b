"""A card of sections, tables and pictures, as Markdown and as one self-contained HTML page."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """Cells as they are written; the first column is left-aligned, the others right-aligned."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A PNG beside the card, and what it shows."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Code:
    """Lines that are shown as they are."""

    text: str


Block = str | Table | Picture | Code
"""A paragraph of plain text, a table, a picture or code."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    heading: str
    blocks: tuple[Block, ...]


def card_markdown(title: str, sections: Sequence[Section]) -> str:
    """The card as Markdown; pictures are referred to by file name. Ends with a newline."""
    parts = [f"# {_escaped(title)}"]
    for section in sections:
        parts.append(f"## {_escaped(section.heading)}")
        parts.extend(_markdown(block) for block in section.blocks)
    return "\n\n".join(parts) + "\n"


def card_html(title: str, sections: Sequence[Section]) -> str:
    """The card as one HTML page with its pictures inside; nothing is loaded from elsewhere."""
    body = [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        body.append(f"<h2>{html.escape(section.heading)}</h2>")
        body.extend(_html(block) for block in section.blocks)
    content = "\n".join(body)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{content}\n</body>\n</html>\n"
    )


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#333;max-width:62rem;margin:2rem auto;"
    "padding:0 1rem}h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem}"
    "table{border-collapse:collapse;display:block;overflow-x:auto;font-size:14px}"
    "th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #e3e3e3}"
    "th:first-child,td:first-child{text-align:left}th{font-weight:600;border-color:#8a8a8a}"
    "tr:last-child td{border-bottom:1px solid #8a8a8a}img{max-width:100%}"
    "figure{margin:1rem 0}figcaption{color:#666;font-size:14px}"
)


def _markdown(block: Block) -> str:
    if isinstance(block, Picture):
        return f"![{_escaped(block.caption)}]({block.path.name})"
    if isinstance(block, Table):
        align = ["---", *["---:"] * (len(block.header) - 1)]
        cells = [[_cell(cell) for cell in row] for row in (block.header, *block.rows)]
        lines = [cells[0], align, *cells[1:]]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if isinstance(block, Code):
        return f"```\n{block.text}\n```"
    return _escaped(block)


def _html(block: Block) -> str:
    if isinstance(block, Picture):
        data = base64.b64encode(block.path.read_bytes()).decode("ascii")
        caption = html.escape(block.caption)
        return (
            f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    if isinstance(block, Table):
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in block.header)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in block.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    if isinstance(block, Code):
        return f"<pre>{html.escape(block.text)}</pre>"
    return f"<p>{html.escape(block)}</p>"


def _escaped(text: str) -> str:
    """Text whose marks and tags Markdown leaves alone."""
    for mark in "\\`*_<>[]":
        text = text.replace(mark, f"\\{mark}")
    return text


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")
