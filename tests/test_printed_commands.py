"""Every command line that README, docs, notebooks, configurations and `--help` print is one."""

import ast
from pathlib import Path

import pytest
from printed_commands import fault, fault_of_part, in_blocks, in_help, in_notebook, in_spans

ROOT = Path(__file__).resolve().parent.parent
TEXTS = [
    *ROOT.glob("*.md"),
    *(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
    *(ROOT / "tfds_builders").rglob("*.md"),
]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CONFIGS = sorted((ROOT / "configs").rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", TEXTS, ids=named)
def test_texts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    faults = {line: fault(line) for line in in_blocks(text)}
    faults |= {line: fault_of_part(line) for line in in_spans(text)}
    assert {line: problem for line, problem in faults.items() if problem} == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_notebooks(path: Path) -> None:
    assert {line: problem for line in in_notebook(path) if (problem := fault(line))} == {}


@pytest.mark.parametrize("path", CONFIGS, ids=named)
def test_configurations(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert {line: problem for line in in_blocks(text) if (problem := fault(line))} == {}


def test_help() -> None:
    lines = list(in_help())
    assert len(lines) > 30, "every command has an example or two"
    assert {line: problem for line in lines if (problem := fault(line))} == {}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("```bash\npip install -e . && mgajax quickstart\n```\n", ["mgajax quickstart"]),
        ("1. so\n\n   ```\n   $ mgajax doctor\n   ```\n", ["mgajax doctor"]),
        (
            "text\n\n    JAX_PLATFORMS=cpu mgajax train \\\n        --config a\n",
            ["mgajax train --config a"],
        ),
        ("`mgajax doctor` is no block\n", []),
    ],
)
def test_lines_are_found(text: str, lines: list[str]) -> None:
    assert in_blocks(text) == lines


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("mgajax evaluate --workdir runs/mga", None),
        ("mgajax evaluate", "--workdir"),
        ("mgajax evaluate --workdir a --splits test", "--splits"),
        ("mgajax audit --data d --config.seed=1", "unknown"),
        ("mgajax evaluate --workdir a --config.seed=1", None),
        ("mgajax judge", "judge"),
    ],
)
def test_faults_are_found(line: str, message: str | None) -> None:
    problem = fault(line)
    assert problem is None if message is None else message in (problem or "")


def test_parts_name_commands_and_options_that_there_are() -> None:
    assert fault_of_part("mgajax benchmark step --peer torch") is None
    assert fault_of_part("mgajax experiment NAME") is None
    assert fault_of_part("mgajax train --process 2") == "unknown: --process"
    assert fault_of_part("mgajax benchmark steps") == "no command steps"
