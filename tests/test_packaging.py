"""What an installation holds, without building one."""

import fnmatch
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mgajax import config as configs

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def setup_arguments(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `setup.py` says."""
    setuptools = pytest.importorskip("setuptools", reason="setuptools is absent")
    arguments: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", arguments.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    return arguments


def test_configurations_are_installed_inside_the_package(setup_arguments: dict[str, Any]) -> None:
    assert {name.split(".")[0] for name in setup_arguments["packages"]} == {
        "mgajax",
        "tfds_builders",
    }
    assert setup_arguments["package_dir"] == {"mgajax.configs": configs.loading.CONFIGS_FOLDER}
    folders = {str(Path(name).parent).replace("/", ".") for name in configs.shipped_names()}
    assert {f"mgajax.{name}" for name in folders} <= set(setup_arguments["packages"])


def test_every_file_of_the_package_is_installed(setup_arguments: dict[str, Any]) -> None:
    """Templates, cards and citations, too."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = ["*.py", *settings["package-data"]["*"]]
    places = [*(ROOT / "mgajax").rglob("*"), *(ROOT / "tfds_builders").rglob("*")]
    for file in places:
        if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith("."):
            package = ".".join(file.parent.relative_to(ROOT).parts)
            assert package in setup_arguments["packages"], file
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


OPTIONAL = (
    *("pydicom", "nibabel", "gdcm", "highdicom", "openpyxl", "tifffile"),
    *("onnx", "onnxruntime", "flatbuffers", "safetensors", "gcsfs"),
)
"""Libraries of extras, which a plain installation lacks."""

WITHOUT_EXTRAS = f"""
import sys
sys.modules.update(dict.fromkeys({OPTIONAL}))  # None: to import one of them fails
from mgajax.cli.command_line import main
import mgajax.cli.quickstart
import mgajax.explanation.explain
import mgajax.experiments.real.experiment
import mgajax.experiments.studies
import mgajax.inference.segment
import mgajax.reporting.results_report
import mgajax.training.loop
sys.exit(main(["evaluate", "--workdir", "nowhere", "--data", "nowhere"]))
"""


def test_a_plain_installation_needs_no_extra_but_where_a_command_says_so(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS], cwd=tmp_path, capture_output=True, text=True
    )
    assert process.returncode == 2, process.stderr
    assert "nowhere" in process.stderr
    assert "Traceback" not in process.stderr
