"""The cost of a step: what is reported, and that no data set is needed."""

import json

import pytest

from mgajax import config as configs
from mgajax.benchmark.step_time import measure_step
from mgajax.errors import ConfigError

SMALL = (
    "--config.preparation.image_size=32",
    "--config.batch_size=4",
    "--config.devices=2",
    "--config.data.dir=",
)


@pytest.mark.parametrize("parallel", ["pmap", "jit"])
def test_reports_time_and_memory(parallel: str) -> None:
    config = configs.load(
        "configs/classification/resnet18.py",
        overrides=[*SMALL, f"--config.parallel={parallel}"],
    )
    found = json.loads(json.dumps(measure_step(config, steps=2)))
    assert (found["model"], found["batch_size"], found["steps"]) == ("resnet18", 4, 2)
    assert len(found["devices"]) == 2
    assert found["compile"]["cpu_s"] > 0
    assert 0 < found["fastest_step_ms"] <= found["step_ms"]
    assert found["images_per_s"] == pytest.approx(4e3 / found["step_ms"])
    assert found["memory"]["intermediate_bytes"] > 0


def test_needs_a_step() -> None:
    config = configs.load("configs/classification/resnet18.py", overrides=SMALL)
    with pytest.raises(ConfigError, match="--steps 0"):
        measure_step(config, steps=0)
