"""Markdown of an experiment as HTML of the site: its tables scroll, its links stay inside."""

from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from mgajax.reporting.page import box


def as_html(text: str, *, folder: Path) -> str:
    """CommonMark with tables; tags in the text are shown, not obeyed.

    The first heading is left out, for the page has one, and the others are set one level lower. A
    link that does not lead to a file of `folder`, or to the web, becomes plain text.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    if tokens and tokens[0].type == "heading_open":
        tokens = tokens[3:]
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
        if token.children:
            token.children = _kept(token.children, folder=folder)
    opening, closing = box("|", label="Table").split("|")
    page: str = parser.renderer.render(tokens, parser.options, {})
    return page.replace("<table>", f"{opening}<table>").replace("</table>", f"</table>{closing}")


def _kept(children: Sequence[Token], *, folder: Path) -> list[Token]:
    kept, open_links = [], []
    for token in children:
        if token.type == "link_open":
            href = str(token.attrs.get("href", ""))
            open_links.append(href.startswith(("https://", "http://")) or (folder / href).is_file())
        if token.type == "image":
            continue  # every figure of an experiment has its place in the gallery
        if token.type in ("link_open", "link_close") and not open_links[-1]:
            continue
        kept.append(token)
    return kept
