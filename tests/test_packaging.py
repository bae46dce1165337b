"""What an installation holds, without building one."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from mgajax import config as configs

ROOT = Path(__file__).resolve().parent.parent


def test_configurations_are_installed_inside_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    setuptools = pytest.importorskip("setuptools", reason="setuptools is absent")
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    assert {name.split(".")[0] for name in given["packages"]} == {"mgajax", "tfds_builders"}
    assert given["package_dir"] == {"mgajax.configs": configs.loading.FOLDER}
    folders = {str(Path(name).parent).replace("/", ".") for name in configs.shipped_names()}
    assert {f"mgajax.{name}" for name in folders} <= set(given["packages"])


def test_an_installed_package_reads_its_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside it may lie another project's."""
    for folder in (tmp_path / "mgajax" / "configs", tmp_path / "configs"):
        folder.mkdir(parents=True)
        (folder / "mine.py").touch()
    monkeypatch.setattr(configs.loading, "PACKAGE", tmp_path / "mgajax")
    assert configs.shipped("configs/mine.py") == tmp_path / "mgajax" / "configs" / "mine.py"
