"""What an installation holds, without building one."""

import fnmatch
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mgajax import config as configs

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `setup.py` says."""
    setuptools = pytest.importorskip("setuptools", reason="setuptools is absent")
    said: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", said.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    return said


def test_configurations_are_installed_inside_the_package(given: dict[str, Any]) -> None:
    assert {name.split(".")[0] for name in given["packages"]} == {"mgajax", "tfds_builders"}
    assert given["package_dir"] == {"mgajax.configs": configs.loading.CONFIGS_FOLDER}
    folders = {str(Path(name).parent).replace("/", ".") for name in configs.shipped_names()}
    assert {f"mgajax.{name}" for name in folders} <= set(given["packages"])


def test_every_file_of_the_package_is_installed(given: dict[str, Any]) -> None:
    """Templates, cards and citations, too."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = ["*.py", *settings["package-data"]["*"]]
    places = [*(ROOT / "mgajax").rglob("*"), *(ROOT / "tfds_builders").rglob("*")]
    for file in places:
        if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith("."):
            package = ".".join(file.parent.relative_to(ROOT).parts)
            assert package in given["packages"], file
            assert any(fnmatch.fnmatch(file.name, pattern) for pattern in patterns), file


def test_an_installed_package_reads_its_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside it may lie another project's."""
    for folder in (tmp_path / "mgajax" / "configs", tmp_path / "configs"):
        folder.mkdir(parents=True)
        (folder / "mine.py").touch()
    monkeypatch.setattr(configs.loading, "PACKAGE", tmp_path / "mgajax")
    assert configs.shipped_file("configs/mine.py") == tmp_path / "mgajax" / "configs" / "mine.py"
