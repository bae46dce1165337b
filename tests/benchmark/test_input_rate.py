"""The input benchmark times both ways and says what it timed."""

import json

import pytest

from mgajax.benchmark.input_rate import measure_input
from mgajax.errors import ConfigError


@pytest.mark.slow(finds="a feed that is timed otherwise than the steps without it")
@pytest.mark.parametrize("residence", ["device", "host"])
def test_times_real_and_fixed_steps_alike(small_config, residence: str) -> None:
    config = small_config(f"--config.data.residence={residence}", model="resnet18")
    result = measure_input(config, steps=8)
    assert json.loads(json.dumps(result)) == result
    assert result["steps_each_way"] == 8
    assert len(result["block_ratios"]) == 4
    assert min(result["block_ratios"]) <= result["ratio"] <= max(result["block_ratios"])
    assert result["real_ms"] > 0
    assert result["fixed_ms"] > 0
    assert (result["residence"], result["model"]) == (residence, "resnet18")


def test_too_few_steps_are_refused(small_config) -> None:
    with pytest.raises(ConfigError, match="--steps 3: give at least 4"):
        measure_input(small_config(), steps=3)
