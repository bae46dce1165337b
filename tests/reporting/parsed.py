"""A page as a test reads it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

VOID = {"meta", "link", "img", "br", "hr"}


@dataclass
class ParsedPage(HTMLParser):
    """Links, ids, pictures, tables and text of a page; every tag closed in order."""

    path: Path
    links: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    images: list[dict] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    text: str = ""
    open_tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))
        assert not self.open_tags, self.open_tags

    def handle_starttag(self, tag, attrs) -> None:
        attributes = dict(attrs)
        self.tags.append(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes[key] for key in ("href", "src") if key in attributes]
        if tag == "img":
            self.images.append(attributes)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open_tags.pop() == tag, f"{self.path}: </{tag}>"

    def handle_data(self, data) -> None:
        self.text += data
        if self.open_tags and {"td", "th"} & set(self.open_tags):
            self.tables[-1][-1][-1] += data

    def row(self, first: str) -> list[str]:
        """The first row of all tables whose first cell is this."""
        return next(row for table in self.tables for row in table if row[0] == first)


def assert_sound(page: ParsedPage, *, site: Path) -> None:
    """Every link leads to a file of the site or to an id of the page; nothing from outside runs."""
    assert len(set(page.ids)) == len(page.ids), "ids are unique"
    for link in page.links:
        if link == "data:,":
            continue
        target, _, anchor = link.partition("#")
        file = (page.path.parent / unquote(target)).resolve() if target else page.path.resolve()
        assert file.is_file(), f"{page.path}: {link}"
        assert file.is_relative_to(site.resolve()), f"{page.path}: {link} leaves the site"
        if anchor:
            assert anchor in page.ids, f"{page.path}: {link}"
    assert not {"script", "iframe", "object", "embed"} & set(page.tags)
    for image in page.images:
        assert len(image["alt"]) > 10, image
        assert int(image["width"]) > 0
        assert int(image["height"]) > 0
    assert page.tags.count("h1") == 1
    assert "main" in page.tags
