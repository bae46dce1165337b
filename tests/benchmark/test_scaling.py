"""Scaling over devices: rows, efficiencies, and the collectives of the compiled step."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax import config as configs
from mgajax import models
from mgajax.benchmark.collectives import count_collectives
from mgajax.benchmark.hlo import read_module
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
  %alone = f32[8]{0} all-reduce(%x), replica_groups={{0},{1}}, to_apply=%add
  %too = f32[8]{0} all-reduce(%x), replica_groups=[2,1]<=[2], to_apply=%add
  %begun = (f32[8]{0}, f32[16]{0}) all-gather-start(%x), dimensions={0}
  %done = f32[16]{0} all-gather-done(%begun)
  %at.once = f32[4]{0} all-reduce-start(%z), channel_id=1, to_apply=%add, backend_config={"collective_backend_config":{"is_sync":true}}
}
"""


ON_A_TPU = """\
HloModule jit_step, is_scheduled=true

%fused_computation.49 (param_0.119: f32[2,128]) -> (f32[2,128], f32[2,512], s32[2], u32[]) {
  %param_0.119 = f32[2,128]{1,0:T(2,128)S(1)} parameter(0)
  %all-gather.6 = f32[2,512]{1,0:T(2,128)} all-gather(%param_0.119), channel_id=2, replica_groups={{0,1,2,3}}, dimensions={1}, use_global_device_ids=true
  ROOT %custom-call.1 = (f32[2,128]{1,0:T(2,128)S(1)}, f32[2,512]{1,0:T(2,128)S(1)}, s32[2]{0:S(4)}, u32[]{:S(2)}) custom-call(%all-gather.6), custom_call_target="AsyncCollectiveStart"
}

%async_collective_fusion.50 (param_0.123: f32[2,128], param_1.116: f32[2,512], param_2.93: bf16[56,32,8,128]) -> (bf16[56,32,8,128], f32[2,128], f32[2,512]) {
  %param_2.93 = bf16[56,32,8,128]{3,1,2,0:T(8,128)(2,1)S(1)} parameter(2)
  %param_0.123 = f32[2,128]{1,0:T(2,128)S(1)} parameter(0)
  %param_1.116 = f32[2,512]{1,0:T(2,128)S(1)} parameter(1)
  %all-gather.8 = f32[2,512]{1,0:T(2,128)S(1)} all-gather(%param_0.123), channel_id=2, replica_groups={{0,1,2,3}}, dimensions={1}, use_global_device_ids=true
  ROOT %tuple.6 = (bf16[56,32,8,128]{3,1,2,0:T(8,128)(2,1)S(1)}, f32[2,128]{1,0:T(2,128)S(1)}, f32[2,512]{1,0:T(2,128)S(1)}) tuple(%param_2.93, %param_0.123, %all-gather.8)
}

%fused_computation.51 (param_0.125: f32[2,128], param_1.118: f32[2,512]) -> f32[2,512] {
  %param_0.125 = f32[2,128]{1,0:T(2,128)S(1)} parameter(0)
  %param_1.118 = f32[2,512]{1,0:T(2,128)S(1)} parameter(1)
  %all-gather.10 = f32[2,512]{1,0:T(2,128)} all-gather(%param_0.125), channel_id=2, replica_groups={{0,1,2,3}}, dimensions={1}, use_global_device_ids=true
  ROOT %custom-call.3 = f32[2,512]{1,0:T(2,128)S(1)} custom-call(%param_0.125, %param_1.118, %all-gather.10), custom_call_target="AsyncCollectiveDone"
}

ENTRY %main (mean: f32[2,128], x: bf16[56,32,8,128]) -> f32[2,512] {
  %mean = f32[2,128]{1,0:T(2,128)S(1)} parameter(0)
  %x = bf16[56,32,8,128]{3,1,2,0:T(8,128)(2,1)S(1)} parameter(1)
  %async-collective-start = (f32[2,128]{1,0:T(2,128)S(1)}, f32[2,512]{1,0:T(2,128)S(1)}, s32[2]{0:S(4)}, u32[]{:S(2)}) fusion(%mean), kind=kCustom, output_to_operand_aliasing={{0}: (0, {})}, calls=%fused_computation.49
  %get-tuple-element.7 = f32[2,128]{1,0:T(2,128)S(1)} get-tuple-element(%async-collective-start), index=0
  %get-tuple-element.8 = f32[2,512]{1,0:T(2,128)S(1)} get-tuple-element(%async-collective-start), index=1
  %fusion.50 = (bf16[56,32,8,128]{3,1,2,0:T(8,128)(2,1)S(1)}, f32[2,128]{1,0:T(2,128)S(1)}, f32[2,512]{1,0:T(2,128)S(1)}) fusion(%get-tuple-element.7, %get-tuple-element.8, %x), kind=kOutput, calls=%async_collective_fusion.50, backend_config={"estimated_cycles":"37969"}
  %get-tuple-element.24 = f32[2,128]{1,0:T(2,128)S(1)} get-tuple-element(%fusion.50), index=1
  %get-tuple-element.25 = f32[2,512]{1,0:T(2,128)S(1)} get-tuple-element(%fusion.50), index=2
  %all-reduce.6 = f32[2,4,64]{2,0,1:T(2,128)S(1)} all-reduce(%mean), channel_id=4, replica_groups={{0,1,2,3}}, to_apply=%region_8.9.clone
  ROOT %async-collective-done = f32[2,512]{1,0:T(2,128)S(1)} fusion(%get-tuple-element.24, %get-tuple-element.25), kind=kCustom, output_to_operand_aliasing={{}: (1, {})}, calls=%fused_computation.51
}
"""


def test_a_collective_that_overlaps_computation_counts_once_on_a_tpu() -> None:
    size = 4 * 2 * 512
    assert count_collectives(read_module(ON_A_TPU)) == {
        "all-gather": {"count": 1, "asynchronous": 1, "bytes": size, "largest_bytes": size},
        "all-reduce": {"count": 1, "asynchronous": 0, "bytes": 2048, "largest_bytes": 2048},
    }


def test_collectives_are_counted_with_their_bytes_and_loops() -> None:
    assert count_collectives(read_module(LOOPED)) == {
        "all-reduce": {
            "count": 5,
            "asynchronous": 0,
            "bytes": 3 * 32 + 24 + 8 + 16,
            "largest_bytes": 32,
        },
        "all-gather": {"count": 1, "asynchronous": 1, "bytes": 64, "largest_bytes": 64},
    }


@pytest.mark.parametrize("parallel", ["pmap", "shard_map"])
def test_collectives_of_a_compiled_sum(parallel: str) -> None:
    layout = make_layout(parallel=parallel, devices=4)

    def step(x: jax.Array) -> jax.Array:
        return jax.lax.psum(jnp.sum(x, axis=0), AXIS)

    summed = layout.wrap(step, inputs=("sharded",), outputs="replicated")
    compiled = summed.lower(layout.shard(np.ones((8, 100), np.float32))).compile()
    assert count_collectives(read_module(compiled.as_text())) == {
        "all-reduce": {"count": 1, "asynchronous": 0, "bytes": 400, "largest_bytes": 400}
    }


@pytest.mark.slow(finds="devices that reduce gradients one by one, or rows of other batches")
def test_scales_weakly_and_strongly() -> None:
    config = configs.load(NARROW, overrides=SMALL)
    report = measure_scaling(config, devices=(1, 2), steps=2, simulated=True)
    report = json.loads(json.dumps(report))
    assert [(row["devices"], row["batch_size"]) for row in report["weak"]] == [(1, 4), (2, 8)]
    assert [(row["devices"], row["batch_size"]) for row in report["strong"]] == [(1, 4), (2, 4)]
    for scaling in ("weak", "strong"):
        first, second = report[scaling]
        assert first["efficiency"] == 1.0
        assert second["efficiency"] == pytest.approx(second["images_per_s"] / first["images_per_s"])
    # One reduction holds the gradients; XLA sends 1,395 of the 308,275 values with others.
    reduced = report["weak"][1]["collectives"]["all-reduce"]
    network = models.create("resnet18", num_classes=3, **config.model.options)
    parameters = models.count(models.variable_shapes(network, image_size=32, channels=1))
    assert reduced["largest_bytes"] == pytest.approx(4 * parameters, rel=5e-3)
    assert reduced["bytes"] > reduced["largest_bytes"]
    assert "kept" in scaling_table(report)


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
