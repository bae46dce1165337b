"""The planted faults and the mutants still fit the code that they change."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest

FOLDER = Path(__file__).parent / "mutation"
PACKAGE = FOLDER.parent.parent / "mgajax"


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script of `tests/mutation`; cosmic-ray, which it runs, need not be installed."""
    monkeypatch.syspath_prepend(FOLDER)
    for name in ("cosmic_ray", "cosmic_ray.work_db", "cosmic_ray.work_item"):
        monkeypatch.setitem(sys.modules, name, Mock())
    specification = importlib.util.spec_from_file_location(
        f"mutation_{request.param}", FOLDER / f"{request.param}.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, specification.name, module)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", ["planted"], indirect=True)
def test_each_planted_fault_has_its_line_and_its_tests(script: ModuleType) -> None:
    for fault in script.FAULTS:
        assert (PACKAGE / fault.file).read_text().count(fault.right) == 1, fault.name
        assert all((FOLDER.parent / test).exists() for test in fault.tests.split()), fault.name


@pytest.mark.parametrize("script", ["run"], indirect=True)
def test_each_mutated_file_is_there_with_its_tests(script: ModuleType) -> None:
    for name, tests in script.TARGETS.items():
        assert (PACKAGE / f"{name}.py").exists(), name
        assert all((FOLDER.parent / test).exists() for test in tests.split()), name
