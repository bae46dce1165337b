"""Markdown from blocks, and blocks from Markdown."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from mgajax.reporting.html.blocks import Block, Cell, Code, Figure, Section, Table
from mgajax.reporting.tables.markdown import markdown_table


def as_markdown(title: str, sections: Sequence[Section]) -> str:
    """A page of texts, tables, pictures and code as Markdown; ends with a newline.

    Pictures are referred to by file name. The first column of a table is set to the left, the others
    to the right.
    """
    parts = [f"# {_escape(title)}"]
    for section in sections:
        parts.append(f"## {_escape(section.heading)}")
        parts.extend(_write_block(block) for block in section.blocks)
    return "\n\n".join(parts) + "\n"


def from_markdown(text: str, *, folder: Path) -> list[Block]:
    """CommonMark with tables as blocks; tags in the text are shown, not obeyed.

    The first heading is left out, for the page has one, and the others are set one level lower.
    Pictures are left out, too: every figure of an experiment has its place in the gallery. A link
    that does not lead to a file of `folder`, or to the web, becomes plain text.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    renderer = RendererHTML(parser)
    tokens = parser.parse(text)
    if tokens and tokens[0].type == "heading_open":
        tokens = tokens[3:]
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
        if token.children:
            token.children = list(_keep_links(token.children, folder=folder))
    return [
        _table(part, render=lambda inline: renderer.renderInline(inline, parser.options, {}))
        if part[0].type == "table_open"
        else Markup(renderer.render(part, parser.options, {}))
        for part in _parts(tokens)
    ]


def _write_block(block: Block) -> str:
    match block:
        case str():
            return _escape(block)
        case Code():
            return f"```\n{block.text}\n```"
        case Figure():
            return f"![{_escape(block.alt)}]({block.files[0].name})"
        case Table():
            rows = (map(_cell, row) for row in block.rows)
            return markdown_table([_cell(head) for head in block.heads], rows)
    raise TypeError(f"{type(block).__name__}: not for Markdown")


def _escape(text: str) -> str:
    """Text whose marks and tags Markdown leaves alone."""
    for mark in "\\`*_<>[]":
        text = text.replace(mark, f"\\{mark}")
    return text


def _cell(cell: Cell) -> str:
    return _escape(" ".join(str(cell).split())).replace("|", "\\|")


def _parts(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Each table, and what stands between them."""
    part: list[Token] = []
    for token in tokens:
        if token.type == "table_open" and part:
            yield part
            part = []
        part.append(token)
        if token.type == "table_close":
            yield part
            part = []
    if part:
        yield part


def _table(tokens: Sequence[Token], *, render: Callable[[Sequence[Token]], str]) -> Table:
    rows: list[list[Markup]] = []
    right: set[int] = set()
    for before, token in itertools.pairwise(tokens):
        if token.type == "tr_open":
            rows.append([])
        if before.type in ("th_open", "td_open"):
            if "right" in str(before.attrs.get("style", "")):
                right.add(len(rows[-1]))
            rows[-1].append(Markup(render(token.children or [])))
    heads, *body = map(tuple, rows)
    return Table(heads, tuple(body), right=frozenset(right))


def _keep_links(children: Sequence[Token], *, folder: Path) -> Iterator[Token]:
    open_links: list[bool] = []
    for token in children:
        if token.type == "link_open":
            href = str(token.attrs.get("href", ""))
            open_links.append(href.startswith(("https://", "http://")) or (folder / href).is_file())
        if token.type == "image":
            continue
        if token.type in ("link_open", "link_close") and not open_links[-1]:
            continue
        yield token
