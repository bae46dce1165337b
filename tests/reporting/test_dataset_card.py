"""The card's two renderings, and the figures of a data set."""

import html.parser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgajax.reporting.figures.dataset_figures import (
    preparation_panel,
    statistics_figure,
)
from mgajax.reporting.html.blocks import Figure, Section, Table
from mgajax.reporting.html.markdown import as_markdown
from mgajax.reporting.html.page import html_page


@pytest.fixture
def sections(tmp_path: Path) -> list[Section]:
    picture = tmp_path / "drawn.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(picture)
    table = Table(("source", "slices"), (("a|b", "1,200"), ("<script>", "_3_")))
    return [
        Section(
            "Sources & sizes", ("Text with *marks* & <tags>.", table, Figure((picture,), "seen"))
        )
    ]


def test_markdown_keeps_cells_and_marks_apart(sections: list[Section]) -> None:
    text = as_markdown("A card", sections)
    lines = text.splitlines()
    assert lines[0] == "# A card"
    assert "| a\\|b | 1,200 |" in lines
    assert "| \\<script\\> | \\_3\\_ |" in lines
    assert "| --- | ---: |" in lines
    assert "Text with \\*marks\\* & \\<tags\\>." in lines
    assert "![seen](drawn.png)" in lines
    assert text.endswith(")\n")


def test_html_is_one_page_with_its_pictures(sections: list[Section]) -> None:
    page = html_page("A card", sections)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("data:image/png;base64,") == 1
    assert 'src="http' not in page
    opened: list[str] = []

    class Checker(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs) -> None:
            if tag not in ("meta", "img"):
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Checker().feed(page)
    assert not opened


def figure_data(count: int = 40) -> dict:
    rng = np.random.default_rng(0)
    return {
        "countries": {"Iran": 30, "": 9, "Spain": 1},
        "genders": {"Normal": {"M": 9, "F": 11, "": 0}, "COVID-19": {"M": 5, "F": 5, "": 10}},
        "ages": {"Normal": rng.integers(1, 99, count), "COVID-19": np.array([], np.int64)},
        "findings": {"ground-glass opacity": 7, "bilateral": 3},
        "reports": 10,
    }


def test_statistics_figure_is_drawn_and_repeats(tmp_path: Path) -> None:
    first = statistics_figure(**figure_data(), path=tmp_path / "a.png")
    second = statistics_figure(**figure_data(), path=tmp_path / "b.png")
    assert first.read_bytes() == second.read_bytes()
    pixels = np.asarray(Image.open(first).convert("L"))
    assert pixels.shape[0] > 800
    assert (pixels < 128).mean() > 0.005
    other = statistics_figure(**figure_data(count=20), path=tmp_path / "c.png")
    assert other.read_bytes() != first.read_bytes()


def test_statistics_figure_without_reports_or_ages(tmp_path: Path) -> None:
    data = figure_data() | {"findings": {}, "reports": 0, "ages": {}}
    assert statistics_figure(**data, path=tmp_path / "a.png").stat().st_size > 10_000


def test_preparation_panel_takes_pictures_of_any_size(tmp_path: Path) -> None:
    before = [np.full(shape, 120, np.uint8) for shape in ((30, 50), (64, 64), (50, 20))]
    after = [np.full((32, 32), 200, np.uint8)] * 3
    path = preparation_panel(
        before,
        after,
        titles=["zhao", "jun", "cohen"],
        classes=["COVID-19", "Normal", "CAP"],
        path=tmp_path / "p.png",
    )
    greys = np.asarray(Image.open(path).convert("L"))
    assert (greys == 120).mean() > 0.05
    assert (greys == 200).mean() > 0.05
