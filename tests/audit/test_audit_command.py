"""The command: its exit code, its screen, its two files."""

import argparse
import json
import re
import shutil
from pathlib import Path

import pytest
from drawn_copies import Pictures, planted, write_pictures, write_split

from mgajax.audit.audit import CACHE, IllustratedAudit
from mgajax.audit.page import audit_page
from mgajax.audit.summary import summary
from mgajax.cli.audit import add_audit

Bad = tuple[IllustratedAudit, dict[str, frozenset[str]]]


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_audit(parser.add_subparsers())
    arguments = parser.parse_args(["audit", *words])
    return arguments.run(arguments, [])


def test_a_clean_copy_ends_with_zero(
    clean_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("--data", str(clean_copy), "--out", str(out)) == 0
    assert "clean: no leakage found" in capsys.readouterr().out
    assert [path.name for path in (out / "cache").iterdir()] == [CACHE]
    written = json.loads((out / "audit.json").read_text())
    assert written["clean"] is True
    assert written["slices"] == 32


def test_leaks_end_with_one(people: Pictures, tmp_path: Path, cache: Path, capsys) -> None:
    pictures, pairs = planted(people)
    copy = write_pictures(tmp_path / "copy", pictures)
    split = write_split(tmp_path / "split.csv", pictures, test={"P9001_1.png"})
    out = tmp_path / "out"
    shutil.copytree(cache, out / "cache")
    assert run("--data", str(copy), "--split", str(split), "--out", str(out)) == 1
    screen = capsys.readouterr().out
    assert "NOT CLEAN" in screen
    assert len(screen.splitlines()) <= 40
    written = json.loads((out / "audit.json").read_text())
    assert written["clean"] is False
    leaking = [
        {p["first"]["file_name"], p["second"]["file_name"]} for p in written["pairs"] if p["leaks"]
    ]
    assert leaking == [set(pairs["upside down"])]


def test_the_page_stands_alone_and_shows_the_pairs(bad: Bad) -> None:
    audited, planted_pairs = bad
    page = audit_page(audited.result, thumbnails=audited.thumbnails, shapes=audited.shapes)
    assert "not clean" in page
    for pair in planted_pairs.values():
        assert all(name in page for name in pair)
    assert page.count("data:image/png;base64,") == 2 * len(planted_pairs)
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"?https?:", page)


def test_the_screen_lists_the_findings(bad: Bad) -> None:
    text = summary(bad[0].result)
    assert re.search(r"patients in several splits +1\n", text)
    assert re.search(r"same picture, two patients +5\n", text)
    assert re.search(r"label conflicts +1\n", text)
