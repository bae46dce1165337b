"""Scaling over devices: rows, efficiencies, and the collectives of the compiled step."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax import config as configs
from mgajax import models
from mgajax.benchmark.collectives import collectives
from mgajax.benchmark.scaling import measure_scaling
from mgajax.benchmark.tables import scaling_table
from mgajax.cli import main
from mgajax.errors import ConfigError
from mgajax.training.sharding import AXIS, make_layout

NARROW = "tests/narrow/resnet18.py"
SMALL = ("--config.preparation.image_size=32", "--config.batch_size=4", "--config.data.dir=")

LOOPED = """\
HloModule example

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%body (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %reduced = f32[8]{0} all-reduce(%x), replica_groups={{0,1}}, to_apply=%add
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %loop = (s32[], f32[8]{0}) while(%start), condition=%test, body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %both = (f32[2,3]{1,0}, bf16[4]{0}) all-reduce(%y, %z), to_apply=%add
  %begun = (f32[8]{0}, f32[16]{0}) all-gather-start(%x), dimensions={0}
  %done = f32[16]{0} all-gather-done(%begun)
}
"""


def test_collectives_are_counted_with_their_bytes_and_loops() -> None:
    assert collectives(LOOPED) == {
        "all-reduce": {"count": 4, "bytes": 3 * 32 + 24 + 8, "largest_bytes": 32},
        "all-gather": {"count": 1, "bytes": 64, "largest_bytes": 64},
    }


@pytest.mark.parametrize("parallel", ["pmap", "shard_map"])
def test_collectives_of_a_compiled_sum(parallel: str) -> None:
    layout = make_layout(parallel=parallel, devices=4)

    def step(x: jax.Array) -> jax.Array:
        return jax.lax.psum(jnp.sum(x, axis=0), AXIS)

    summed = layout.wrap(step, inputs=("sharded",), outputs="replicated")
    compiled = summed.lower(layout.shard(np.ones((8, 100), np.float32))).compile()
    assert collectives(compiled.as_text()) == {
        "all-reduce": {"count": 1, "bytes": 400, "largest_bytes": 400}
    }


@pytest.mark.slow(finds="devices that reduce gradients one by one, or rows of other batches")
def test_scales_weakly_and_strongly() -> None:
    config = configs.load(NARROW, overrides=SMALL)
    found = measure_scaling(config, devices=(1, 2), steps=2, simulated=True)
    found = json.loads(json.dumps(found))
    assert [(row["devices"], row["batch_size"]) for row in found["weak"]] == [(1, 4), (2, 8)]
    assert [(row["devices"], row["batch_size"]) for row in found["strong"]] == [(1, 4), (2, 4)]
    for scaling in ("weak", "strong"):
        first, second = found[scaling]
        assert first["efficiency"] == 1.0
        assert second["efficiency"] == pytest.approx(second["images_per_s"] / first["images_per_s"])
    # One reduction holds the gradients; XLA sends 1,395 of the 308,275 values with others.
    reduced = found["weak"][1]["collectives"]["all-reduce"]
    network = models.create("resnet18", num_classes=3, **config.model.options)
    parameters = models.count(models.variable_shapes(network, image_size=32, channels=1))
    assert reduced["largest_bytes"] == pytest.approx(4 * parameters, rel=5e-3)
    assert reduced["bytes"] > reduced["largest_bytes"]
    assert "kept" in scaling_table(found)


@pytest.mark.parametrize("devices", [(2, 4), (1, 4, 2), ()])
def test_counts_begin_with_one_and_rise(devices: tuple[int, ...]) -> None:
    config = configs.load(NARROW, overrides=SMALL)
    with pytest.raises(ConfigError, match="--devices"):
        measure_scaling(config, devices=devices, steps=2)


def test_mistakes_on_the_command_line_are_one_line(capsys) -> None:
    words = ["benchmark", "scaling", "--config", NARROW]
    assert main([*words, "--devices", "1,two"]) == 2
    assert "write numbers" in capsys.readouterr().err
    assert jax.devices()  # from here on it is too late to simulate others
    assert main([*words, "--simulate", "4"]) == 2
    assert "--simulate 4: JAX runs already" in capsys.readouterr().err
    assert main([*words, "--simulate", "0"]) == 2
