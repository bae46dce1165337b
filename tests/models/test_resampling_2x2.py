"""2×2 windows: pooling by places, unpooling, transposed convolution."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mgajax.models.blocks import Layers
from mgajax.models.resampling_2x2 import TransposedConv2x2, max_pool_2x2, pad_to, unpool_2x2


def drawn(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize("size", [(6, 8), (7, 8), (5, 3)])
def test_pooling_and_its_gradient(size: tuple[int, int]) -> None:
    x = drawn(2, *size, 3)

    def plain(x: jax.Array) -> jax.Array:
        window = (1, 2, 2, 1)
        return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")

    def ours(x: jax.Array) -> jax.Array:
        return max_pool_2x2(x).values

    upstream = drawn(2, size[0] // 2, size[1] // 2, 3)

    @functools.partial(jax.jit, static_argnames="pool")
    @functools.partial(jax.grad, has_aux=True)
    def gradient(x: jax.Array, pool: Callable) -> tuple[jax.Array, jax.Array]:
        pooled = pool(x)
        return jnp.sum(pooled * upstream), pooled

    actual, expected = (gradient(x, pool) for pool in (ours, plain))
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def test_of_equal_values_the_first_wins() -> None:
    x = jnp.zeros((1, 2, 2, 1), jnp.float32)
    assert max_pool_2x2(x).positions.tolist() == [[[[0]]]]
    noise = jnp.array([0.0, 1.0, 2.0, 1.0]).reshape(1, 2, 2, 1) * jnp.finfo(jnp.float32).eps
    assert max_pool_2x2(1 + noise).positions.tolist() == [[[[2]]]]
    assert max_pool_2x2(1 + noise, rounding=4.0).positions.tolist() == [[[[0]]]]
    assert max_pool_2x2(1 + 4 * noise, rounding=4.0).positions.tolist() == [[[[2]]]]
    gradient = jax.grad(lambda x: jnp.sum(max_pool_2x2(x).values))(x)
    assert gradient[0, :, :, 0].tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("size", [(6, 8), (7, 9)])
def test_unpooling_puts_values_back_where_they_were(size: tuple[int, int]) -> None:
    x, pool = drawn(2, *size, 3), jax.jit(max_pool_2x2)
    pooled = pool(x)
    unpool = jax.jit(functools.partial(unpool_2x2, size=size))
    spread = unpool(pooled.values, pooled.positions)
    assert spread.shape == x.shape
    nonzero = np.asarray(spread) != 0
    np.testing.assert_array_equal(np.asarray(spread)[nonzero], np.asarray(x)[nonzero])
    assert nonzero.sum() == pooled.values.size
    again = pool(jnp.where(spread == 0, -jnp.inf, spread))
    np.testing.assert_array_equal(again.positions, pooled.positions)


def test_padding_puts_the_smaller_half_first() -> None:
    x = jnp.ones((1, 1, 1, 1), jnp.float32)
    assert pad_to(x, size=(2, 4), centred=True)[0, :, :, 0].tolist() == [[0, 1, 0, 0], [0] * 4]
    assert pad_to(x, size=(2, 2), centred=False)[0, :, :, 0].tolist() == [[1, 0], [0, 0]]


def test_transposed_convolution_equals_that_of_lax() -> None:
    module, x = TransposedConv2x2(5, Layers()), drawn(2, 3, 4, 6)
    params = {"kernel": drawn(2, 2, 6, 5), "bias": drawn(5)}
    # That of lax slides its kernel as a convolution does; ours says what a pixel becomes.
    turned = np.array(params["kernel"])[::-1, ::-1]
    expected = jax.jit(functools.partial(lax.conv_transpose, strides=(2, 2), padding="VALID"))(
        x, turned
    )
    actual = jax.jit(module.apply)({"params": params}, x) - params["bias"][None, None, None, :]
    np.testing.assert_allclose(actual, expected, atol=1e-5)
