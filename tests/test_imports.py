"""Imports go one way: sources → slices → batches → step → metrics → report."""

import ast
import functools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEAVES = {"schema", "errors", "progress", "locks"}
ALLOWED = {
    "schema": set(),
    "errors": set(),
    "progress": set(),
    "locks": {"errors", "progress"},
    "compilation": set(),
    "resize": {"errors"},
    "hosts": {"errors", "progress"},
    "config": LEAVES,
    "models": {"errors", "resize"},
    "curation": LEAVES,
    "data": LEAVES,
    "audit": LEAVES | {"curation", "data", "reporting"},
    "interop": LEAVES | {"models", "peer"},
    "training": LEAVES | {"config", "data", "hosts", "interop", "models", "resize", "compilation"},
    "export": LEAVES
    | {"config", "data", "models", "interop", "training", "evaluation", "reporting"},
    "evaluation": LEAVES | {"config", "data", "models", "training", "reporting"},
    "inference": LEAVES | {"config", "data", "models", "training", "compilation"},
    "explanation": LEAVES | {"config", "data", "models", "training", "evaluation", "reporting"},
    "prediction": LEAVES
    | {"config", "curation", "data", "models", "inference", "explanation", "reporting"},
    "reporting": LEAVES,
    "peer": set(),
    "benchmark": LEAVES
    | {"config", "data", "models", "training", "interop", "peer", "compilation"},
    "experiments": LEAVES
    | {"config", "data", "hosts", "training", "evaluation", "explanation", "inference"}
    | {"dataset_report", "reporting", "compilation"},
    "site": LEAVES | {"config", "training", "evaluation", "reporting", "dataset_report"},
    "dataset_contents": LEAVES | {"curation", "data"},
    "dataset_report": LEAVES | {"curation", "data", "dataset_contents", "reporting"},
    "cli": None,
    "__main__": {"cli"},
    "__init__": set(),
}
BUILDERS_MAY = LEAVES | {"curation", "data"}


@functools.cache
def imported(file: Path) -> frozenset[str]:
    """Full names of the modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def rooms(names: frozenset[str]) -> set[str]:
    """The rooms of mgajax among imported names (`mgajax.data.loader.take` is in `data`)."""
    parts = [name.split(".") for name in names if name.split(".")[0] == "mgajax"]
    return {part[1] for part in parts if len(part) > 1 and not part[1].startswith("__")}


def files() -> list[Path]:
    return sorted((ROOT / "mgajax").rglob("*.py"))


@pytest.mark.parametrize("file", files(), ids=lambda f: str(f.relative_to(ROOT)))
def test_room_imports_only_what_lies_before_it(file: Path) -> None:
    room = file.relative_to(ROOT / "mgajax").parts[0].removesuffix(".py")
    assert room in ALLOWED, f"{room}: a new room needs a line here"
    allowed = ALLOWED[room]
    if allowed is None:
        return
    found = rooms(imported(file)) - {room}
    assert found <= allowed, f"{file.relative_to(ROOT)} imports {sorted(found - allowed)}"
    assert not any(name.startswith("tfds_builders") for name in imported(file))


@pytest.mark.parametrize(
    "file", sorted((ROOT / "tfds_builders").rglob("*.py")), ids=lambda f: str(f.relative_to(ROOT))
)
def test_builders_import_catalogue_and_splits_only(file: Path) -> None:
    found = rooms(imported(file))
    assert found <= BUILDERS_MAY, f"{file.relative_to(ROOT)} imports {sorted(found)}"


def test_tfds_is_imported_in_the_data_room_and_builders_only() -> None:
    users = {
        str(file.relative_to(ROOT))
        for file in files()
        if any(name.startswith("tensorflow_datasets") for name in imported(file))
    }
    assert all(user.startswith("mgajax/data/") for user in users), users


def test_the_peer_needs_torch_and_numpy_only() -> None:
    for file in (ROOT / "mgajax" / "peer").glob("*.py"):
        packages = {name.split(".")[0] for name in imported(file)}
        assert packages <= {"mgajax", "numpy", "torch", *sys.stdlib_module_names}, file
    users = [
        file for file in files() if any(name.startswith("mgajax.peer") for name in imported(file))
    ]
    outside = {name for file in users if file.parent.name != "peer" for name in imported(file)}
    assert {name for name in outside if name.startswith("mgajax.peer")} <= {
        "mgajax.peer.job.Job",
        "mgajax.peer.job.write_job",
        "mgajax.peer.registry.create",
    }


def test_functions_and_files_stay_short() -> None:
    for file in [*files(), *(ROOT / "tfds_builders").rglob("*.py")]:
        text = file.read_text()
        assert text.count("\n") < 400, f"{file}: over 400 lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{file}: {node.name} is long"


def test_no_two_files_of_the_tests_share_a_name() -> None:
    """Tests import their helpers by name alone: the one that comes first would win."""
    names = [file.name for file in (ROOT / "tests").rglob("*.py") if file.name != "conftest.py"]
    assert {name for name in names if names.count(name) > 1} == set()
