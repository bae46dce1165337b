"""The pages that are written from the code hold every command, key and public name."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from mgajax import config, explanation

ROOT = Path(__file__).resolve().parent.parent


def load_pages() -> ModuleType:
    """`docs/code_pages.py`, which is of no package."""
    specification = importlib.util.spec_from_file_location(
        "code_pages", ROOT / "docs" / "code_pages.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pages = tmp_path_factory.mktemp("pages")
    load_pages().write(pages)
    return pages


def test_every_command_has_its_options(folder: Path) -> None:
    index = (folder / "commands" / "index.md").read_text()
    for command in ("quickstart", "train", "benchmark", "doctor"):
        assert f"[{command}]({command}.md)" in index
    train = (folder / "commands" / "train.md").read_text()
    assert "| `--config` `CONFIG` | a file of configs/ **Required.** |" in train
    assert "## mgajax benchmark compile" in (folder / "commands" / "benchmark.md").read_text()


@pytest.mark.parametrize(
    "settings", [config.classification("mga_resnet18"), config.segmentation("hmsanet")]
)
def test_every_key_is_listed_with_its_comment(folder: Path, settings) -> None:
    page = (folder / "configuration.md").read_text()
    for key in config.flatten(settings):
        rows = [line for line in page.splitlines() if line.startswith(f"| `{key}` |")]
        assert rows, key
        assert any(row.split("|")[3].strip() for row in rows), f"{key} has no comment"


def test_names_of_a_room_that_imports_late_are_there(folder: Path) -> None:
    page = (folder / "python" / "explanation.md").read_text()
    assert all(f"mgajax.explanation.{name}\n" in page for name in explanation.__all__)
