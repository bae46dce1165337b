"""The cost of a step: what is reported, and that no data set is needed."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax import config as configs
from mgajax.benchmark.chips import peak_of
from mgajax.benchmark.compiled_step import make_subject, operations
from mgajax.benchmark.step_time import measure_step
from mgajax.benchmark.tables import step_table
from mgajax.cli import main
from mgajax.errors import ConfigError
from mgajax.training.sharding import make_layout
from mgajax.training.steps import train_step

NARROW = "tests/narrow/resnet18.py"
SMALL = (
    "--config.preparation.image_size=32",
    "--config.batch_size=4",
    "--config.devices=2",
    "--config.data.dir=",
)


def test_a_model_that_lungs_guide_gets_their_masks_too() -> None:
    """Traced, not compiled."""
    shipped = "configs/classification/mga_lungs_resnet18.py"
    subject = make_subject(configs.load(shipped, overrides=[*SMALL, "--config.parallel=jit"]))
    step = functools.partial(train_step, settings=subject.settings)
    _, metrics = jax.eval_shape(step, subject.state, subject.batch)
    assert "lungs" in metrics


PARTITIONED = pytest.mark.slow(finds="a step that XLA partitions, counted or timed as a whole")


@pytest.mark.parametrize("parallel", ["pmap", pytest.param("jit", marks=PARTITIONED)])
def test_reports_time_memory_and_operations(parallel: str) -> None:
    config = configs.load(NARROW, overrides=[*SMALL, f"--config.parallel={parallel}"])
    report = json.loads(json.dumps(measure_step(config, steps=4, peak_tflops=0.1)))
    assert (report["model"], report["batch_size"], report["augmentation"]) == ("resnet18", 4, "on")
    assert len(report["devices"]) == 2
    for part in ("train", "eval"):
        row = report[part]
        assert row["steps"] == 4
        assert row["compile"]["cpu_s"] > 0
        assert 0 < row["fastest_ms"] <= row["p50_ms"] <= row["p90_ms"]
        assert row["images_per_s"] == pytest.approx(4e3 / row["p50_ms"])
        assert row["images_per_s_per_device"] == pytest.approx(row["images_per_s"] / 2)
        assert row["memory"]["intermediate_bytes"] > 0
        rate = row["flops_per_device"] / (1e-3 * row["p50_ms"])
        assert row["mfu"] == pytest.approx(rate / 0.1e12)
    # The backward pass is two convolutions for each of the forward pass.
    assert report["train"]["flops_per_device"] > 2.5 * report["eval"]["flops_per_device"]
    table = step_table(report)
    assert "resnet18 float32, batch 4 at 32², 2 × cpu" in table
    assert "MFU of 0.1 TFLOP/s (float32; --peak_tflops)" in table


@pytest.mark.parametrize("parallel", ["pmap", "jit", "shard_map"])
def test_operations_are_those_of_one_device(parallel: str) -> None:
    layout = make_layout(parallel=parallel, devices=2)
    product = layout.wrap(jnp.matmul, inputs=("sharded", "replicated"), outputs="sharded")
    left = layout.shard(np.ones((8, 64, 16), np.float32))
    right = layout.replicate(np.ones((16, 32), np.float32))
    lowered = product.lower(left, right)
    counted = operations(lowered, lowered.compile(), layout=layout)
    assert counted == pytest.approx(2 * (8 / 2) * 64 * 16 * 32, rel=0.01)


def test_needs_a_step_a_block() -> None:
    config = configs.load(NARROW, overrides=SMALL)
    with pytest.raises(ConfigError, match="--steps 0: give at least 4"):
        measure_step(config, steps=0)


def test_the_command_prints_a_table_and_writes_json(tmp_path, capsys) -> None:
    out = tmp_path / "step.json"
    words = ["benchmark", "step", "--config", NARROW, *SMALL, "--steps", "4", "--out", str(out)]
    assert main([*words, "--only", "eval"]) == 0
    printed = capsys.readouterr().out
    assert "img/s/device" in printed
    assert "{" not in printed
    report = json.loads(out.read_text())
    assert report["peak"] is None
    assert "eval" in report
    assert "train" not in report


@pytest.mark.parametrize(
    ("kind", "dtype", "tflops", "arithmetic"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.4, "bfloat16"),
        ("NVIDIA H100 80GB HBM3", "float32", 494.7, "tf32"),
        ("NVIDIA H100 PCIe", "float32", 378.0, "tf32"),
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312.0, "bfloat16"),
        ("TPU v5 lite", "float32", 197.0, "bfloat16"),
    ],
)
def test_peaks_of_known_devices(kind: str, dtype: str, tflops: float, arithmetic: str) -> None:
    peak = peak_of(kind, dtype=dtype, stated=None)
    assert peak is not None
    assert (peak.tflops, peak.arithmetic) == (tflops, arithmetic)


def test_an_unknown_device_has_no_peak_but_a_stated_one() -> None:
    assert peak_of("cpu", dtype="float32", stated=None) is None
    stated = peak_of("TPU v4", dtype="float32", stated=12.5)
    assert stated is not None
    assert (stated.tflops, stated.source) == (12.5, "--peak_tflops")
