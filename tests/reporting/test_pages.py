"""All pages: text from outside is shown and never obeyed, tables scroll, nothing is loaded."""

import ast
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import drawn_folders as draw
import numpy as np
import pytest
from kaggle_fixture import write_copy
from unrendered import leave_blank

from mgajax.audit.association import Association
from mgajax.audit.audit_result import (
    AuditResult,
    IdentityMatch,
    Pair,
    ReportedSlice,
    SharedPatient,
    SplitPatient,
)
from mgajax.audit.background_shortcut import BalancedAccuracy, Shortcut
from mgajax.audit.page import audit_page
from mgajax.curation.findings import Finding, FindingSummary
from mgajax.inference.prediction_page import overview_page, scan_page
from mgajax.inference.problems import Problem
from mgajax.inference.results import ScanResult, SliceResult
from mgajax.reporting.dataset_report import report_dataset
from mgajax.reporting.html import blocks
from mgajax.reporting.html.explanation_page import explanation_page
from mgajax.reporting.html.page import html_page
from mgajax.reporting.results_report import report_results
from mgajax.schema import DATA_SETS

ROOT = Path(__file__).resolve().parents[2]
EVIL = "<script>alert('x')<\\script><img src=x onerror=y>\"'&{{ 7 * 7 }}"
"""May stand in a file's name, too: it has no slash."""


class Elements(HTMLParser):
    """Elements of a page with their attributes and parents, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.table_parents: list[str | None] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag == "table":
            self.table_parents.append(self.open[-1][1].get("class"))
        if tag not in ("meta", "img", "input"):
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.seen)


def assert_safe(page: str, *, scripts: int = 0) -> Elements:
    """Evil text is there as text; nothing runs but our script, and nothing is loaded from outside."""
    elements = Elements(page)
    assert not elements.open
    assert elements.count("script") == scripts
    assert not any(key.startswith("on") for _, attributes in elements.seen for key in attributes)
    assert not any(attributes.get("src") == "x" for _, attributes in elements.seen)
    assert "<script>alert" in elements.text, "shown as it is"
    assert "{{ 7 * 7 }}" in elements.text
    for _, attributes in elements.seen:
        for key in ("src", "href"):
            assert not re.match(r"(?!data:image/)\w+:|//", attributes.get(key) or "")
    assert elements.count("h1") == 1
    assert elements.count("link") == 0, "the look stands in the page"
    assert {name for name, _ in elements.seen} >= {"main", "footer", "style"}
    assert elements.table_parents == ["box"] * elements.count("table"), "each scrolls by itself"
    return elements


def test_every_block_and_cell_escapes(tmp_path: Path) -> None:
    """All kinds of blocks, so that a new one cannot be forgotten."""
    file = draw.picture(tmp_path / f"{EVIL.replace('{', '')}.png")
    cells: tuple[blocks.Cell, ...] = (
        EVIL,
        blocks.Link(EVIL, EVIL),
        blocks.Code(EVIL),
        blocks.Note(EVIL),
        blocks.Caution(EVIL),
        blocks.Tag(EVIL, EVIL),
        blocks.Thumbnail(EVIL, alt=EVIL, href=EVIL),
        blocks.Bars((blocks.Bar(EVIL, 0.5, EVIL),)),
        blocks.ShareBar(0.5, 0.4, 0.6, mark=0.3),
        (EVIL, blocks.Note(EVIL)),
        blocks.Number(0.5, 0.4, 0.6),
    )
    table = blocks.Table((EVIL,) * len(cells), (cells,), caption=EVIL, name="evil")
    shown: tuple[blocks.Block, ...] = (
        EVIL,
        table,
        blocks.Figure((file,), alt=EVIL, caption=EVIL),
        blocks.Facts({EVIL: EVIL}),
        blocks.Missing(EVIL, EVIL),
        blocks.Answer(EVIL, is_good=False),
        blocks.Tiles({EVIL: 1}, frozenset([EVIL])),
        blocks.Gallery((blocks.Card((EVIL,), (cells,)),)),
        blocks.Items(cells),
        blocks.Details(EVIL, (EVIL, table)),
        blocks.Code(EVIL),
        blocks.Note(EVIL),
        blocks.Caution(EVIL),
        blocks.Bars((blocks.Bar(EVIL, 0.5, EVIL),)),
    )
    kinds = {type(item).__name__ for item in (*shown, *cells, cells[7].rows[0], shown[7].cards[0])}
    tested = {
        name
        for name, kind in vars(blocks).items()
        if isinstance(kind, type) and kind.__module__ == blocks.__name__
    }
    assert tested - kinds == {"Section"}
    sections = [blocks.Section(EVIL, shown), blocks.Section("2", ("x",))]
    for folder in (None, tmp_path):
        page = html_page(EVIL, sections, folder=folder, trail=[blocks.Link(EVIL, "#")], banner=EVIL)
        assert_safe(page)


def audited() -> str:
    first = ReportedSlice(0, EVIL, "CAP", EVIL, EVIL, EVIL)
    pair = Pair(first, first, EVIL, EVIL, 0.9, leaks=True)
    score = BalancedAccuracy(0.5, 0.4, 0.6)
    result = AuditResult(
        directory=EVIL,
        kind=EVIL,
        split=EVIL,
        slices=1,
        patients=1,
        split_patients=(SplitPatient(EVIL, {EVIL: 1}),),
        trained_on=EVIL,
        shared_patients=(SharedPatient(EVIL, tested=1, trained=2),),
        pairs=(pair,) * 70,
        copies_within=(pair,),
        identities=(IdentityMatch((EVIL, EVIL), 1, 0.9),),
        contradicted_labels=(EVIL,),
        multi_class_patients=(EVIL,) * 70,
        findings=(FindingSummary(Finding.UNDECODABLE, 1, (EVIL,)),),
        association=Association((EVIL,), ((1, 2, 0),), ((1, 2, 0),), 0.5, None),
        shortcut=Shortcut(score, {EVIL: score}, score, 0.3, (EVIL,), left_out=EVIL),
        thresholds={"crop_searched": 0.1, "hash_bits": 70.0, "correlation": 0.8},
    )
    grey = np.zeros((1, 8, 8), np.uint8)
    return audit_page(result, thumbnails=grey, shapes=np.array([[8, 8]], np.int32))


def scan() -> ScanResult:
    result = SliceResult(
        number=1,
        name=EVIL,
        source=Path(EVIL),
        position=1.0,
        voxel_ml=None,
        members=np.array([[0.2, 0.3, 0.5]]),
        lesion_pixels=3,
        lung_pixels=None,
        oddities=(),
    )
    return ScanResult(
        name=EVIL,
        patient=EVIL,
        source=Path(EVIL),
        kind="pictures",
        slices=(result,),
    )


def explained() -> str:
    method = {"seconds_per_slice": 0.1, "includes_compilation": True, "largest_relative_gap": None}
    report = {"scores": {f"{EVIL}/{EVIL}/positive": {}}, "methods": {f"{EVIL}/{EVIL}": method}}
    return explanation_page([], title=EVIL, report=report)


@pytest.mark.parametrize("make", [audited, explained])
def test_names_from_outside_are_shown_not_obeyed(make: Callable[[], str]) -> None:
    assert_safe(make())


def test_a_prediction_shows_names_and_its_script_gets_them_whole() -> None:
    overview = overview_page([scan()], problems=[Problem("odd", EVIL)], notes=[EVIL])
    assert_safe(overview)
    page = scan_page(scan(), layers=["lesion", "attention"], notes=[EVIL])
    elements = Elements(page)
    assert elements.count("script") == 1
    assert "<script>alert" in elements.text
    script = re.search(r"const SCAN=(.*);\n", page)
    assert script is not None
    assert "<" not in script[1]
    assert json.loads(script[1])["slices"][0]["text"].startswith(f"Slice 1 of 1: {EVIL}")


def test_a_report_shows_names_of_runs_patients_sources_and_studies(monkeypatch, tmp_path) -> None:
    leave_blank(monkeypatch)
    runs = tmp_path / "runs"
    run = draw.explanation(draw.classifier(runs / EVIL) / "explained").parent
    for path in (run / "evaluation" / "test_predictions.csv", run / "split.csv"):
        path.write_text(path.read_text().replace("zhao", EVIL.replace('"', "")))
    report = run / "evaluation" / "test.json"
    report.write_text(report.read_text().replace('"zhao"', json.dumps(EVIL)))
    summary = run / "explained" / "summary.json"
    summary.write_text(summary.read_text().replace("a/run", json.dumps(EVIL)[1:-1]))
    draw.segmenter(runs / "unet")
    slices = runs / "unet" / "evaluation" / "test_slices.csv"
    slices.write_text(slices.read_text().replace("jun", EVIL.replace('"', "")))
    study = draw.experiment(runs / "study")
    content = json.loads((study / "results.json").read_text()) | {"title": EVIL, "source": EVIL}
    (study / "results.json").write_text(json.dumps(content))
    (study / "table4.md").write_text(
        f"# {EVIL}\n\n## {EVIL}\n\n| a |\n|---|\n| {EVIL} |\n\n{EVIL}\n"
    )
    draw.picture(study / f"{EVIL.replace('{', '')}.png")
    (study / f"{EVIL}.csv").write_text(f'a,b\n"{EVIL.replace(chr(34), "")}",1\n')
    search = runs / "search"
    search.mkdir()
    (search / "tuning.json").write_text(json.dumps({"objective": EVIL, "command": EVIL}))
    pages = report_results([runs], out=tmp_path / "site").pages
    assert len(pages) == 5
    for path in pages:
        assert_safe(path.read_text("utf-8"))


def test_a_data_card_shows_countries_and_patients(monkeypatch, tmp_path) -> None:
    leave_blank(monkeypatch)
    copy = write_copy(tmp_path / "copy")
    country = EVIL.replace('"', "").encode()
    for table in copy.rglob("meta_data_*.csv"):
        table.write_bytes(table.read_bytes().replace(b"Iran", country))
    report_dataset(copy, out=tmp_path / "card")
    assert_safe((tmp_path / "card" / "card.html").read_text("utf-8"))


def test_no_tag_is_written_outside_the_templates() -> None:
    """Strings of the code, their docstrings left out."""
    for file in sorted((ROOT / "mgajax").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.search(r"</\w|<(div|td|tr|p|span)\b", node.value), file


def test_the_schema_names_every_data_set() -> None:
    built = {path.parent.name for path in (ROOT / "tfds_builders").glob("*/builder.py")}
    assert set(DATA_SETS) == built
