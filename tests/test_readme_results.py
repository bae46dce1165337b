"""The README's tables of results are those that the committed results give."""

from pathlib import Path

import pytest

from mgajax.reporting.readme import BLOCK, rewritten

ROOT = Path(__file__).resolve().parent.parent


def test_committed_tables_are_what_their_results_give() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if not BLOCK.search(text):
        pytest.skip("no results are committed yet")
    assert rewritten(text, folder=ROOT) == text, "run: mgajax report --readme README.md"
