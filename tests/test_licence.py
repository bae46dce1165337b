"""Licence, authors and version are the same in every file that names them."""

import re
import tomllib
from pathlib import Path

import mgajax

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = (ROOT / "CITATION.cff").read_text()


def cited(key: str) -> str:
    match = re.search(rf'^{key}: "?([^"\n]+)"?$', CITATION, re.MULTILINE)
    assert match is not None
    return match[1]


def test_one_licence() -> None:
    assert PROJECT["license"] == cited("license") == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "Apache-2.0" in (ROOT / "README.md").read_text()
    assert PROJECT["license-files"] == ["LICENSE", "NOTICE"]


def test_the_same_authors() -> None:
    (author,) = PROJECT["authors"]
    assert f'- name: "{author["name"]}"' in CITATION
    assert f"Copyright 2026 {author['name']}" in (ROOT / "NOTICE").read_text()


def test_one_version() -> None:
    assert "version" in PROJECT["dynamic"]
    assert mgajax.__version__ == cited("version")
    newest = re.search(r"^## ([0-9.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == mgajax.__version__
