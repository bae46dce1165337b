"""Imports go one way: sources → slices → batches → step → metrics → report."""

import ast
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEAVES = {"schema", "errors", "files", "folders", "progress", "locks", "paper"}
DRAWN = {"reporting.figures", "reporting.tables", "reporting.html"}
"""What draws and formats what it is given."""
ALLOWED = {
    "schema": set(),
    "errors": set(),
    "files": set(),
    "folders": set(),
    "progress": set(),
    "locks": {"errors", "progress"},
    "paper": {"schema"},
    "distributed": {"errors", "progress"},
    "config": LEAVES,
    "models": {"errors"},
    "imaging": {"errors"},
    "curation": LEAVES | {"imaging"},
    "data": LEAVES | {"config", "imaging"},
    **{room: {"schema", "files", "paper", *DRAWN} for room in DRAWN},
    "audit": LEAVES | DRAWN | {"curation", "data", "imaging"},
    "benchmark.torch_baseline": set(),
    "interop": LEAVES | {"models", "benchmark.torch_baseline"},
    "training": LEAVES | {"config", "data", "distributed", "interop", "models"},
    "evaluation": LEAVES | DRAWN | {"config", "data", "models", "training"},
    "interop.export": LEAVES
    | {"config", "data", "models", "interop", "training", "evaluation", *DRAWN},
    "explanation": LEAVES
    | DRAWN
    | {"config", "data", "imaging", "models", "training", "evaluation"},
    "inference": LEAVES
    | DRAWN
    | {"config", "data", "imaging", "models", "training", "explanation"},
    "reporting": LEAVES
    | DRAWN
    | {"config", "curation", "data", "imaging", "models", "training", "evaluation"},
    "benchmark": LEAVES
    | {"config", "data", "distributed", "models", "training", "interop"}
    | {"benchmark.torch_baseline"},
    "experiments": LEAVES
    | DRAWN
    | {"config", "data", "distributed", "training", "evaluation", "explanation", "inference"}
    | {"reporting"},
    "cli": None,
    "__main__": {"cli"},
    "__init__": set(),
}
"""By room, what it may import, lowest first. A room of a room (`interop.export`) has its own floor."""
BUILDERS_MAY = LEAVES | {"curation", "data", "imaging"}


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


def room_of(parts: Sequence[str]) -> str:
    """The room of a module of mgajax: `data` of `mgajax.data.loader`, `interop.export`, too."""
    return inner if (inner := ".".join(parts[1:3])) in ALLOWED else parts[1]


def rooms(names: frozenset[str]) -> set[str]:
    """The rooms of mgajax among imported names."""
    parts = [name.split(".") for name in names if name.split(".")[0] == "mgajax"]
    return {room_of(part) for part in parts if len(part) > 1 and not part[1].startswith("__")}


def files() -> list[Path]:
    return sorted((ROOT / "mgajax").rglob("*.py"))


@pytest.mark.parametrize("file", files(), ids=lambda f: str(f.relative_to(ROOT)))
def test_room_imports_only_what_lies_before_it(file: Path) -> None:
    room = room_of(file.relative_to(ROOT).with_suffix("").parts)
    assert room in ALLOWED, f"{room}: a new room needs a line here"
    allowed = ALLOWED[room]
    if allowed is None:
        return
    imports = rooms(imported(file)) - {room}
    assert imports <= allowed, f"{file.relative_to(ROOT)} imports {sorted(imports - allowed)}"
    assert not any(name.startswith("tfds_builders") for name in imported(file))


@pytest.mark.parametrize(
    "file", sorted((ROOT / "tfds_builders").rglob("*.py")), ids=lambda f: str(f.relative_to(ROOT))
)
def test_builders_import_catalogue_and_splits_only(file: Path) -> None:
    imports = rooms(imported(file))
    assert imports <= BUILDERS_MAY, f"{file.relative_to(ROOT)} imports {sorted(imports)}"


def test_configurations_are_files_that_nobody_imports() -> None:
    """Not even each other: they start from the schema, and are read by their paths."""
    shipped = sorted((ROOT / "configs").rglob("*.py"))
    for file in [*files(), *shipped, *(ROOT / "tests").rglob("*.py")]:
        assert not any(name.split(".")[0] == "configs" for name in imported(file)), file
    for file in shipped:
        assert rooms(imported(file)) <= {"config", "schema"}, file


def test_the_floors_are_in_order() -> None:
    """Each room may import only what is listed before it (or beside it, among the drawing rooms)."""
    lower: set[str] = set()
    for room, allowed in ALLOWED.items():
        if allowed is not None and room != "__main__":
            assert allowed - DRAWN <= lower, f"{room} may import {sorted(allowed - lower - DRAWN)}"
        lower.add(room)
    assert lower >= DRAWN


def test_a_wrong_arrow_is_found(tmp_path: Path) -> None:
    """One against the direction, and one past the floor of an inner room."""
    planted = tmp_path / "planted.py"
    planted.write_text("from mgajax.training.run import Run\nimport mgajax.interop.export.card\n")
    assert rooms(imported(planted)) == {"training", "interop.export"}
    for room in ("data", "models", "interop", "reporting.figures"):
        assert not rooms(imported(planted)) <= (ALLOWED[room] or set())


def test_tfds_is_imported_in_the_data_room_and_builders_only() -> None:
    users = {
        str(file.relative_to(ROOT))
        for file in files()
        if any(name.startswith("tensorflow_datasets") for name in imported(file))
    }
    assert all(user.startswith("mgajax/data/") for user in users), users


def test_the_peer_needs_torch_and_numpy_only() -> None:
    for file in (ROOT / "mgajax" / "benchmark" / "torch_baseline").glob("*.py"):
        packages = {name.split(".")[0] for name in imported(file)}
        assert packages <= {"mgajax", "numpy", "torch", *sys.stdlib_module_names}, file
    users = [
        file
        for file in files()
        if any(name.startswith("mgajax.benchmark.torch_baseline") for name in imported(file))
    ]
    outside = {
        name for file in users if file.parent.name != "torch_baseline" for name in imported(file)
    }
    assert {name for name in outside if name.startswith("mgajax.benchmark.torch_baseline")} <= {
        "mgajax.benchmark.torch_baseline.job.TorchJob",
        "mgajax.benchmark.torch_baseline.job.write_job",
        "mgajax.benchmark.torch_baseline.registry.create",
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
