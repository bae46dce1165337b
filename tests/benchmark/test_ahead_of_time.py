"""Steps compiled for devices that are not there: what is reported, and what is refused."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from mgajax import config as configs
from mgajax.benchmark.ahead_of_time import DeviceMemory, fits, measure_compile
from mgajax.benchmark.chips import CHIPS
from mgajax.benchmark.compare import compare
from mgajax.benchmark.tables import compile_table
from mgajax.cli import main

NARROW = "tests/narrow/resnet18.py"
SMALL = ("--config.preparation.image_size=32", "--config.batch_size=4", "--config.data.dir=")
V5E = next(chip for chip in CHIPS if chip.target == "v5e")


@pytest.mark.parametrize("parallel", ["pmap", "shard_map", "jit"])
def test_reports_memory_bytes_operations_and_collectives(parallel: str) -> None:
    config = configs.load(NARROW, overrides=[*SMALL, f"--config.parallel={parallel}"])
    report = json.loads(json.dumps(measure_compile(config, target="cpu:2", parts=("eval",))))
    assert (report["benchmark"], report["target"], report["effort"]) == ("compile", "cpu:2", "full")
    assert (report["batch_size"], len(report["devices"])) == (4, 2)
    row = report["eval"]
    assert row["memory"]["fits"] is None
    assert row["memory"]["arguments_bytes"] > 4 * 308_275  # the parameters
    assert row["moved"]["bytes"] > row["memory"]["arguments_bytes"]
    assert row["moved"]["padded_bytes"] == row["moved"]["bytes"]
    assert row["flops_per_device"] == pytest.approx(3.7e6, rel=0.05)
    assert (row["priced"], row["mfu_bound"], row["collectives"]) == (None, None, {})
    assert fits(report)


@pytest.mark.slow(finds="a train step whose gradients a compiled program does not exchange")
def test_a_train_step_exchanges_its_gradients() -> None:
    config = configs.load(NARROW, overrides=SMALL)
    report = measure_compile(config, target="cpu:2", parts=("train",), per_device=3)
    assert report["batch_size"] == 6
    assert report["train"]["collectives"]["all-reduce"]["largest_bytes"] > 1e6


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path, capsys) -> None:
    out = tmp_path / "compiled.json"
    words = [
        "benchmark",
        "compile",
        "--config",
        NARROW,
        *SMALL,
        "--target",
        "cpu",
        "--only",
        "eval",
    ]
    assert main([*words, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "resnet18 float32, batch 4 at 32², 1 × cpu" in printed
    assert "no prices" in printed
    assert json.loads(out.read_text())["provenance"]["jax"] == jax.__version__
    figures = compare(out, out)["figures"]
    assert {"eval.moved.bytes", "eval.memory.needed_bytes"} <= figures.keys()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "v7:1"], "--target v7:1:"),
        (["--target", "cpu:3"], "batch_size=4 does not divide by 3 devices; use 3 or 6"),
        (["--target", "cpu", "--per_device", "0"], "--per_device 0: give at least 1"),
        (["--target", "cpu", "--config.devices=2"], "the target cpu has 1; leave it 0"),
        (["--target", "cpu", "--config.parallel=none"], "parallel='none'"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, capsys) -> None:
    assert main(["benchmark", "compile", "--config", NARROW, *SMALL, *words]) == 2
    assert message in capsys.readouterr().err


def device_memory(images: int) -> DeviceMemory:
    state = jax.ShapeDtypeStruct((10**8,), jnp.float32)
    return DeviceMemory(V5E, state=state, images=images)


def test_too_large_a_batch_is_reported_with_the_largest_that_fits() -> None:
    analysis = SimpleNamespace(
        argument_size_in_bytes=500_000_000,
        temp_size_in_bytes=23_700_000_000,
        output_size_in_bytes=450_000_000,
        alias_size_in_bytes=400_000_000,
        generated_code_size_in_bytes=150_000_000,
        peak_memory_in_bytes=20_000_000_000,
    )
    memory = device_memory(64).from_analysis(analysis)
    assert (memory["needed_bytes"], memory["fits"]) == (24_400_000_000, False)
    assert memory["over_bytes"] == 24_400_000_000 - V5E.memory_bytes
    assert memory["batch_that_fits"] == int((V5E.memory_bytes - 4e8) * 64 / 24e9)
    assert (
        device_memory(32).from_analysis(analysis)["batch_that_fits"]
        == memory["batch_that_fits"] // 2
    )


@pytest.mark.parametrize(
    ("count", "line"),
    [(3, "about 3 images a device would fit"), (0, "not even one image a device would fit")],
)
def test_the_table_says_what_would_fit(count: int, line: str) -> None:
    memory = {"fits": False, "over_bytes": 4_250_000_000, "batch_that_fits": count}
    memory |= {"needed_bytes": 20_000_000_000, "available_bytes": 15_750_000_000}
    seconds = {"trace_and_lower": {"wall_s": 1.0}, "compile": {"wall_s": 1.0}}
    report = {"model": "unet", "dtype": "float32", "batch_size": 4, "image_size": 512}
    report |= {"devices": ["TPU v5 lite"], "parallel": "pmap", "augmentation": "on"}
    report |= {"target": "v5e:1x1", "chip": None, "train": {**seconds, "memory": memory}}
    assert f"train does not fit: 4.25 GB too large; {line} (an estimate)" in compile_table(report)


@pytest.mark.parametrize(
    "message",
    [
        "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. "
        "Used 20.00G of 15.75G hbm. Exceeded hbm capacity by 4.25G.",
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries "
        "(20.00G) exceeds available HBM (15.75G).",
    ],
)
def test_a_compiler_that_finds_no_room_is_understood(message: str) -> None:
    memory = device_memory(64).from_message(message)
    assert memory is not None
    assert memory["fits"] is False
    assert memory["over_bytes"] == int(4.25 * 2**30)
    assert device_memory(64).from_message("INTERNAL: something else") is None


def compiled(out: Path, *words: str) -> dict:
    """The command in a process of its own, which compiles as users do."""
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    command = [sys.executable, "-m", "mgajax", "benchmark", "compile", *words, "--out", str(out)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return json.loads(out.read_text())


TPU = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="needs the extra [aot-tpu]"
)
GPU = pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda12_plugin") is None, reason="needs the extra [aot-gpu]"
)
ACCELERATORS = [
    pytest.param("v5e:1x1", marks=TPU),
    pytest.param("v5e:2x2", marks=TPU),
    pytest.param("h100:1", marks=GPU),
    pytest.param("h100:8", marks=GPU),
]


@pytest.mark.slow(finds="a step that no TPU or GPU compiler takes, or whose program is misread")
@pytest.mark.parametrize("target", ACCELERATORS)
def test_a_narrow_network_compiles_for_accelerators(target: str, tmp_path: Path) -> None:
    words = ("--config", "tests/narrow/mga_resnet18.py", "--target", target, "--per_device", "4")
    report = compiled(tmp_path / "found.json", *words, "--config.preparation.image_size=64")
    on_tpu = target.startswith("v5e")
    for step in ("train", "eval"):
        row = report[step]
        assert row["memory"]["fits"]
        assert row["memory"]["batch_that_fits"] > 100
        assert row["moved"]["padded_bytes"] >= row["moved"]["bytes"] > 1e6
        assert row["priced"]["by"] == ("cycles" if on_tpu else "roofline")
        assert {"stem", "stage1", "stage4"} <= row["priced"]["parts"].keys()
        parts = sum(sum(part.values()) for part in row["priced"]["parts"].values())
        assert parts == pytest.approx(row["priced"]["ms"])
        assert 0 < row["mfu_bound"] < 0.5
    assert {"optimiser", "augmentation", "max pool"} <= report["train"]["priced"]["parts"].keys()
    alone = target.endswith((":1", "1x1"))
    assert bool(report["train"]["collectives"]) is not alone
    assert "priced by" in compile_table(report)
