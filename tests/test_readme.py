"""What the pages show must run, and what they name must be there."""

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "docs" / "reference" / "from-python.md"


def test_the_python_example_runs() -> None:
    code = re.search(r"```python\n(.*?)```", PYTHON.read_text(), re.DOTALL)
    assert code is not None
    names = {
        "images": jnp.zeros((4, 224, 224, 1), jnp.float32),
        "labels": np.array([0, 1, 2, 1]),
        "patients": ["a", "b", "c", "d"],
    }
    exec(code.group(1), names)
    assert names["metrics"]["n"] == 4
    assert names["output"].attention["stage3"].shape == (4, 14, 14, 1)
    assert "layer3.1.cbam.sa.conv1.weight" in names["state_dict"]


BUILT = {"docs/_build/html"}
"""Named in texts, made by a command beside them."""

TEXTS = [
    str(path.relative_to(ROOT))
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if not {"_build", "generated", "results"} & set(path.parts) and path.name != "CHANGELOG.md"
]

MARKED = [*TEXTS, *(str(path.relative_to(ROOT)) for path in (ROOT / "docs/results").glob("*.md"))]
"""Texts that may have numbers which are written from results."""


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_that_it_names_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    for place in re.findall(r"(?:configs|docs|tests|tfds_builders|mgajax)/[\w/.-]+\w", text):
        assert (ROOT / place).exists() or place in BUILT, place


@pytest.mark.parametrize("name", MARKED)
def test_no_line_begins_with_the_comment_of_a_number(name: str) -> None:
    found = re.findall(r"^ {0,3}<!-- = .{60}", (ROOT / name).read_text(), flags=re.MULTILINE)
    assert not found, "a comment at the start of a line ends the paragraph on a page"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 130
