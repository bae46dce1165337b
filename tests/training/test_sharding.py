"""Layouts: valid and invalid settings."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mgajax.errors import ConfigError
from mgajax.training.sharding import AXIS, Parallel, check_batch_size, make_layout, round_up


@pytest.mark.parametrize("parallel", list(Parallel))
def test_sharded_in_sharded_and_replicated_out(parallel) -> None:
    layout = make_layout(parallel=parallel, devices=4)

    def step(scale, values):
        total = values.sum()
        if layout.axis_name is not None:
            total = lax.psum(total, AXIS)
        return total, values * scale

    wrapped = layout.wrap(step, inputs=("replicated", "sharded"), outputs=("replicated", "sharded"))
    values = np.arange(8, dtype=np.float32)
    total, scaled = wrapped(layout.replicate(jnp.float32(2)), layout.shard(values))
    assert float(total) == values.sum()
    np.testing.assert_array_equal(layout.gather(scaled), 2 * values)


def test_a_batch_that_does_not_divide_names_those_that_do() -> None:
    layout = make_layout(parallel="pmap", devices=8)
    with pytest.raises(
        ConfigError, match="batch_size=30 does not divide by 8 devices; use 24 or 32"
    ):
        check_batch_size(30, layout=layout)
    with pytest.raises(ConfigError, match="use 8"):
        check_batch_size(5, layout=layout)
    check_batch_size(32, layout=layout)


def test_evaluation_rounds_up() -> None:
    layout = make_layout(parallel="jit", devices=8)
    assert [round_up(size, layout=layout) for size in (1, 7, 8, 32, 33)] == [8, 8, 8, 32, 40]


def test_unknown_ways_and_absent_devices_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of pmap, shard_map, jit"):
        make_layout(parallel="xmap")
    with pytest.raises(ConfigError, match="sees 8"):
        make_layout(parallel="pmap", devices=9)
