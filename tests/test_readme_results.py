"""The tables of results in README and pages are those that the committed results give."""

from pathlib import Path

import pytest

from mgajax.reporting.readme import BLOCK, rewritten

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ["README.md", "docs/results/index.md"])
def test_committed_tables_are_what_their_results_give(name: str) -> None:
    path = ROOT / name
    text = path.read_text(encoding="utf-8")
    assert BLOCK.search(text)
    assert rewritten(text, folder=path.parent) == text, f"run: mgajax report --readme {name}"
