"""Sets that a run was not trained on: rows of a table, and a section each, on the run's page."""

import json
from pathlib import Path

import drawn_folders as draw
import pytest
from parsed import ParsedPage, assert_sound
from unrendered import leave_blank

from mgajax.reporting.results_report import report_results


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    leave_blank(monkeypatch)
    return draw.classifier(tmp_path / "mga")


def page_of(run: Path) -> ParsedPage:
    site = run.parent / "site"
    report_results([run], out=site)
    parsed = ParsedPage(site / "mga" / "index.html")
    assert_sound(parsed, site=site)
    return parsed


def test_a_set_is_a_row_and_a_section(run: Path) -> None:
    draw.other_set(run, name="hospital")
    draw.other_set(run, name="north", leaks=True)
    draw.picture(run / "evaluation" / "hospital_attention.png")
    parsed = page_of(run)
    rows = next(table for table in parsed.tables if table[0][:2] == ["Set", "Kind"])
    assert [row[0] for row in rows[1:]] == ["its own test split", "hospital", "north (leaks)"]
    assert rows[2][1:4] == ["folder of classes", "12", "–"]
    assert rows[2][-4:] == ["0.0", "100.0", "0.0", "slices"]
    assert "Results on another set: hospital" in parsed.text
    assert "What must be known of <hospital>." in parsed.text
    assert "People of this set trained the run" in parsed.text
    assert any("hospital_attention.png" in link for link in parsed.links)
    top = ParsedPage(run.parent / "site" / "index.html")
    assert any(
        "test, hospital, north" in cell for table in top.tables for row in table for cell in row
    )


def test_a_run_without_other_sets_says_nothing_of_them(run: Path) -> None:
    (run / "evaluation" / "comparison.json").write_text('{"set": "other"}')
    assert "Other sets" not in page_of(run).text


def test_a_damaged_report_is_named_with_the_command(run: Path) -> None:
    draw.other_set(run, name="hospital")
    path = run / "evaluation" / "hospital.json"
    content = json.loads(path.read_text())
    del content["remarks"]
    path.write_text(json.dumps(content))
    text = page_of(run).text
    assert "not a report of this version" in text
    assert "--data PATH --name hospital" in text
