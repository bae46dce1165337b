"""The stem's max pool: each platform's form against a window reduction."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax.models.pooling import _largest_of_windows, largest_of_nine, max_pool_3x3


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


POOLS = {"nine": largest_of_nine, "windows": _largest_of_windows}


@pytest.mark.parametrize("levels", ["many", "few"])
@pytest.mark.parametrize("size", [(7, 12), (12, 12), (1, 2), (8, 5)])
def test_max_pool_equals_a_window_reduction(size: tuple[int, int], levels: str) -> None:
    """On every platform; of equal values, which few grey levels make, the same one wins."""
    x = normal(2, *size, 3)
    x = jnp.round(x) if levels == "few" else x
    upstream = normal(2, *((side + 1) // 2 for side in size), 3, seed=1)

    def reduced(x: jax.Array) -> jax.Array:
        return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))

    @functools.partial(jax.jit, static_argnames="pool")
    @functools.partial(jax.grad, has_aux=True)
    def gradient(x: jax.Array, pool) -> tuple[jax.Array, jax.Array]:
        pooled = pool(x)
        return jnp.sum(pooled * upstream), pooled

    expected, expected_pooled = gradient(x, reduced)
    for pool in POOLS.values():
        actual, pooled = gradient(x, pool)
        np.testing.assert_array_equal(pooled, expected_pooled)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_a_nan_is_passed_on_to_every_window_that_it_is_in(pool: Callable) -> None:
    x = normal(1, 8, 8, 1).at[0, 3, 3, 0].set(jnp.nan)
    expected = np.zeros((4, 4), bool)
    expected[1:3, 1:3] = True
    np.testing.assert_array_equal(np.isnan(jax.jit(pool)(x))[0, :, :, 0], expected)


def test_max_pool_reduces_windows_on_a_tpu_only() -> None:
    traced = jax.jit(max_pool_3x3).trace(jnp.ones((1, 8, 8, 2), jnp.float32))
    reduces = {
        platform: "stablehlo.reduce_window"
        in traced.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda", "tpu")
    }
    assert reduces == {"cpu": False, "cuda": False, "tpu": True}


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_the_first_of_equal_values_gets_the_whole_gradient(pool: Callable) -> None:
    flat = jnp.ones((1, 4, 4, 1), jnp.float32)
    gradient = jax.grad(lambda x: jnp.sum(pool(x)))(flat)
    # Each window's first pixel in the frame: two windows share none.
    expected = np.zeros((4, 4))
    expected[np.ix_((0, 1), (0, 1))] = 1.0
    np.testing.assert_array_equal(gradient[0, :, :, 0], expected)
