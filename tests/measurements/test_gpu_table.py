"""`docs/measurements/gpu_table.py`: order, time and what is kept. Compiles nothing, needs no GPU."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from measurement_scripts import load_script

from mgajax import config as configs
from mgajax.cli import make_parser

table = load_script("gpu_table")
ROWS = table.plan(["mga_resnet18", "unet"])
SETTINGS: dict[str, Any] = {"steps": 40}


class Clock:
    """A fake clock and rows with fixed durations."""

    def __init__(self, **seconds: float) -> None:
        self.time, self.seconds = 0.0, seconds
        self.begun: list[str] = []

    def run(self, row: Any, limit_s: float) -> dict[str, Any]:
        """As `run_row`; 0 seconds for a row that fails."""
        self.begun.append(row.name)
        seconds = self.seconds[row.network]
        self.time += min(seconds, limit_s) or 1.0
        if seconds > limit_s:
            raise TimeoutError
        if not seconds:
            raise table.RowError("exit code 1: out of memory")
        return {row.step: {}}

    def fill(self, out: Path, *, limit_s: float, most_s: float = 1e9) -> int:
        """`table.fill` of ROWS."""
        failed: int = table.fill(
            out,
            ROWS,
            settings=SETTINGS,
            run=self.run,
            limit_s=limit_s,
            most_s=most_s,
            now=lambda: self.time,
        )
        return failed


def test_train_steps_come_first_and_both_types_of_the_paper_s_network() -> None:
    names = [row.name for row in table.plan(list(table.NETWORKS))]
    assert names[:3] == [
        "mga_resnet18 float32 train",
        "mga_resnet18 bfloat16 train",
        "hmsanet float32 train",
    ]
    assert len(set(names)) == len(names) == 32
    assert all(name.endswith("train") for name in names[:16])
    assert names.index("segnet float32 train") < names.index("hmsanet bfloat16 train")


@pytest.mark.parametrize("trial", [False, True])
@pytest.mark.parametrize("network", table.NETWORKS)
def test_the_command_line_understands_a_row(network: str, trial: bool) -> None:
    options = argparse.Namespace(steps=40, trial=trial, peer_python=Path("p"), peer_modes="")
    row = table.Row(network, "bfloat16", "eval")
    words = table.command(row, options=options, overrides=["--config.seed=7"])
    arguments, rest = make_parser().parse_known_args(words[3:])
    assert (arguments.only, arguments.peer, arguments.peer_python.name) == ("eval", "torch", "p")
    config = configs.load(arguments.config, overrides=rest)
    assert (config.model.dtype, config.devices, config.seed) == ("bfloat16", 1, 7)
    assert config.preparation.image_size == (
        64 if trial else 224 if config.task == "classification" else 512
    )
    if network == "hmsanet":
        assert (config.batch_size, config.model.options.repeats) == (4 if trial else 2, "scanned")


def test_an_interrupted_table_keeps_its_rows_and_resumes(tmp_path, capsys) -> None:
    out = tmp_path / "table.json"
    first = Clock(mga_resnet18=50.0, unet=100.0)
    assert first.fill(out, limit_s=260.0) == 0
    # unet in bfloat16 takes as long as in float32 and is not begun; the shorter eval step is.
    assert first.begun == [ROWS[0].name, ROWS[1].name, "unet float32 train", ROWS[4].name]
    assert "unet bfloat16 train: left out: 100 s expected, 60 s left" in capsys.readouterr().out
    rows = json.loads(out.read_text())["rows"]
    assert {name: row["row_s"] for name, row in rows.items()} == {
        name: 50.0 if "mga" in name else 100.0 for name in first.begun
    }
    second = Clock(mga_resnet18=50.0, unet=100.0)
    second.fill(out, limit_s=1e9)
    assert sorted(first.begun + second.begun) == sorted(row.name for row in ROWS)
    assert "unet float32 train: there already" in capsys.readouterr().out


def test_a_network_that_overruns_or_fails_leaves_the_others_their_time(tmp_path, capsys) -> None:
    out = tmp_path / "table.json"
    slow = Clock(mga_resnet18=500.0, unet=10.0)
    assert slow.fill(out, limit_s=500.0, most_s=200.0) == 0
    # Not in the other type; another step is tried.
    assert [name for name in slow.begun if "mga" in name] == [ROWS[0].name, ROWS[4].name]
    assert len([name for name in slow.begun if "unet" in name]) == 4
    assert "mga_resnet18 float32 train: left out: killed after 200 s" in capsys.readouterr().out
    broken = Clock(mga_resnet18=0.0, unet=10.0)
    assert broken.fill(out, limit_s=300.0) == 4
    assert "failed after 1 s: exit code 1: out of memory" in capsys.readouterr().out
    assert len(json.loads(out.read_text())["rows"]) == 4


def test_rows_of_other_settings_are_not_added_to(tmp_path) -> None:
    out = tmp_path / "table.json"
    out.write_text(json.dumps({"settings": {"steps": 4}, "rows": {}}))
    with pytest.raises(SystemExit, match="other settings"):
        Clock().fill(out, limit_s=1.0)


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": {}}'])
def test_a_file_that_is_no_table_is_left_as_it_is(tmp_path, text: str) -> None:
    out = tmp_path / "table.json"
    out.write_text(text)
    with pytest.raises(SystemExit, match="table.json is no table of this script"):
        Clock().fill(out, limit_s=1.0)
    assert out.read_text() == text


def _run(code: str, folder: Path, limit_s: float = 30.0) -> dict[str, Any]:
    words = [sys.executable, "-c", code]
    report: dict[str, Any] = table.run_row(words, limit_s, log=folder / "log")
    return report


def test_a_process_gives_its_report_or_its_last_line(tmp_path) -> None:
    code = "import sys; print('told'); open(sys.argv[2], 'w').write('{}')"
    assert _run(code, tmp_path) == {}
    assert "told" in (tmp_path / "log").read_text()
    with pytest.raises(table.RowError, match="exit code 1: no room"):
        _run("import sys; sys.exit('first\\nno room')", tmp_path)
    with pytest.raises(table.RowError, match="exit code 0: "):
        _run("", tmp_path)


def test_a_process_that_overruns_is_killed_with_its_children(tmp_path) -> None:
    late = tmp_path / "late"
    inner = f"import time; time.sleep(0.6); open({str(late)!r}, 'w')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with pytest.raises(TimeoutError):
        _run(code, tmp_path, limit_s=0.3)
    time.sleep(0.6)
    assert not late.exists()


def test_the_table_names_failed_rows() -> None:
    results = {
        "p50_ms": 2.0,
        "ratio": 1.5,
        "block_ratios": [1.4, 1.6],
        "mfu": 0.25,
        "trace_and_lower": {"wall_s": 1.0},
        "compile": {"wall_s": 2.0},
        "peer": {
            "p50_ms": 3.0,
            "mode": "cuda_graph",
            "tried": {"cuda_graph": {"trial_ms": 3.0}, "compiled": {"failed": "no compiler"}},
        },
    }
    report = {"batch_size": 32, "image_size": 224, "train": results}
    report |= {"peer": {"torch": "2", "device": "a GPU"}, "provenance": {"jax": "1"}}
    lines = "\n".join(table.lines_of({"rows": {"mga_resnet18 float32 train": report}}))
    assert "a GPU, jax 1, torch 2" in lines
    assert "32 × 224²  2.00      3.00           1.500  1.400 to 1.600  cuda_graph  25.0%" in lines
    assert "mga_resnet18 float32 train: PyTorch's compiled failed: no compiler" in lines
