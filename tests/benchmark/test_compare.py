"""Two results side by side: ratios, and a refusal to compare different things."""

import json
from pathlib import Path

import pytest

from mgajax.benchmark.compare import compare
from mgajax.benchmark.tables import comparison_table
from mgajax.cli import main
from mgajax.errors import ConfigError, DataError


def written(path: Path, *, p50: float = 10.0, **changes: object) -> Path:
    report = {
        "benchmark": "step",
        "model": "resnet18",
        "batch_size": 32,
        "devices": ["cpu"],
        "provenance": {"git_commit": path.stem, "jax": "0.10.2"},
        "train": {"p50_ms": p50, "mfu": None, "compile": {"wall_s": 2.0}},
        "eval": {"p50_ms": 4.0},
    }
    path.write_text(json.dumps(report | changes))
    return path


def test_ratios_are_a_over_b_and_versions_are_listed(tmp_path: Path) -> None:
    a, b = written(tmp_path / "old.json", p50=12.0), written(tmp_path / "new.json", p50=10.0)
    comparison = compare(a, b)
    assert comparison["figures"]["train.p50_ms"] == {"a": 12.0, "b": 10.0, "ratio": 1.2}
    assert comparison["figures"].keys() == {"train.p50_ms", "train.compile.wall_s", "eval.p50_ms"}
    assert comparison["differences"] == {}
    assert comparison["versions"] == {"git_commit": {"a": "old", "b": "new"}}
    table = comparison_table(comparison)
    assert "1.200" in table
    assert "note: git_commit: 'old' and 'new'" in table


@pytest.mark.parametrize(
    ("key", "value"),
    [("model", "resnet50"), ("devices", ["cpu", "cpu"]), ("batch_size", 16)],
)
def test_different_subjects_are_refused_by_name(tmp_path: Path, key: str, value: object) -> None:
    a, b = written(tmp_path / "a.json"), written(tmp_path / "b.json", **{key: value})
    with pytest.raises(ConfigError, match=rf"different things: {key} .*--anyway"):
        compare(a, b)
    comparison = compare(a, b, differing="allowed")
    assert comparison["differences"][key]["b"] == value
    assert f"differs: {key}" in comparison_table(comparison)


def test_other_files_are_refused(tmp_path: Path) -> None:
    a = written(tmp_path / "a.json")
    with pytest.raises(ConfigError, match="is of benchmark step"):
        compare(a, written(tmp_path / "b.json", benchmark="input"))
    with pytest.raises(DataError, match="no such file"):
        compare(a, tmp_path / "none.json")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(DataError, match="not a result of"):
        compare(a, tmp_path / "other.json")
    with pytest.raises(DataError, match="'scaling'; step, input, compile can be compared"):
        compare(written(tmp_path / "s.json", benchmark="scaling"), a)


def test_the_command_compares_two_files(tmp_path: Path, capsys) -> None:
    a, b = written(tmp_path / "a.json", p50=5.0), written(tmp_path / "b.json", model="unet")
    assert main(["benchmark", "compare", str(a), str(b)]) == 2
    assert "resnet18" in capsys.readouterr().err
    assert main(["benchmark", "compare", str(a), str(b), "--anyway"]) == 0
    assert "0.500" in capsys.readouterr().out
