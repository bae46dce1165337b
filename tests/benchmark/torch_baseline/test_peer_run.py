"""The two sides in one run, the other as a process."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from mgajax import config as configs
from mgajax.benchmark.step_time import measure_step
from mgajax.benchmark.tables import step_table
from mgajax.errors import ConfigError

SMALL = ("--config.preparation.image_size=32", "--config.batch_size=4", "--config.devices=1")
PYTHON = Path(sys.executable)


@pytest.mark.slow(finds="two processes that do not take turns, or a mode of PyTorch's that fails")
def test_both_sides_take_the_same_steps_in_turns() -> None:
    config = configs.load("tests/narrow/mga_resnet18.py", overrides=SMALL)
    modes = ("contiguous", "channels_last", "compiled")
    report = measure_step(config, steps=4, peer_python=PYTHON, peer_modes=modes)
    report = json.loads(json.dumps(report))
    assert report["augmentation"] == "off"
    assert report["peer"]["threads"] == report["cpu_threads"]
    for part in ("train", "eval"):
        row = report[part]
        assert row["steps"] == 4
        assert set(row["peer"]["tried"]) == set(modes)
        assert row["peer"]["mode"] in modes
        assert len(row["block_ratios"]) == 4
        assert min(row["block_ratios"]) <= row["ratio"] <= max(row["block_ratios"])
    losses = [row["first_loss"] for row in report["train"]["peer"]["tried"].values()]
    assert losses == pytest.approx([report["train"]["first_loss"]] * 3, rel=1e-4)
    assert "torch / mgajax" in step_table(report)


@pytest.mark.slow(finds="a mode's failure in the other process that is not told here")
def test_a_mode_that_does_not_work_is_reported() -> None:
    config = configs.load("tests/narrow/resnet18.py", overrides=SMALL)
    with pytest.raises(ConfigError, match="--peer_modes cuda_graph: here contiguous"):
        measure_step(config, steps=4, peer_python=PYTHON, peer_modes=("cuda_graph",))
