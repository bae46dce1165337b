"""Normalisation of a pooled map: what pooling the normalised map gives, without that map."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax.models.normalisation import NormSettings, normalise, normalise_largest
from mgajax.models.pooling import max_pool_3x3

CHANNELS = 6
SCALES = (1.5, -0.7, 0.2, -2.0, 1.0, 0.0)


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def passes(x: np.ndarray, dtype: str, *, scales: tuple[float, ...] = SCALES) -> tuple[Any, Any]:
    """Values, moments and gradients: pooled before, and after normalisation."""
    settings = NormSettings(dtype=dtype)
    height, width = ((side + 1) // 2 for side in x.shape[1:3])
    upstream = jnp.asarray(drawn(len(x), height, width, CHANNELS, seed=1), dtype)
    vectors = (
        jnp.asarray(scales, settings.wide),
        jnp.asarray(drawn(CHANNELS, seed=2), settings.wide),
    )

    def before(x: jax.Array, scale: jax.Array, bias: jax.Array) -> Any:
        return normalise_largest(x, max_pool_3x3, scale, bias, jnp.zeros_like(bias), settings)

    def after(x: jax.Array, scale: jax.Array, bias: jax.Array) -> Any:
        y, moments = normalise(x, scale, bias, jnp.zeros_like(bias), settings)
        return max_pool_3x3(y), moments

    def results(function: Any) -> Any:
        def total(*arguments: jax.Array) -> Any:
            y, moments = function(*arguments)
            return jnp.sum(y * upstream), (y, moments)

        run = jax.jit(jax.value_and_grad(total, (0, 1, 2), has_aux=True))
        (_, outputs), gradients = run(jnp.asarray(x, dtype), *vectors)
        return outputs, gradients

    return results(before), results(after)


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (1, 2)])
def test_the_order_of_pool_and_normalisation_changes_nothing(size: tuple[int, int]) -> None:
    """In float64; scales of both signs. Where a scale is 0 the pixels of a window are equal after it,
    and its gradient is any of theirs."""
    with jax.enable_x64(True):
        before, after = passes(10 + drawn(3, *size, CHANNELS), "float64")
    (y, moments), (dx, dscale, dbias) = before
    (expected, expected_moments), (expected_dx, expected_dscale, expected_dbias) = after
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(moments, expected_moments)
    np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=1e-12)
    np.testing.assert_allclose(dscale[:-1], expected_dscale[:-1], rtol=1e-12)
    np.testing.assert_allclose(dbias, expected_dbias, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_values_are_the_same_bit_for_bit(dtype: str) -> None:
    """Rounding keeps the order of values."""
    before, after = passes(drawn(4, 16, 16, CHANNELS), dtype)
    np.testing.assert_array_equal(before[0][0], after[0][0])


def test_a_nan_reaches_its_channel() -> None:
    """The moments of its channel hold it, and so does every value there; the others stay clean."""
    x = drawn(2, 8, 8, CHANNELS)
    x[0, 3, 3, 2] = np.nan
    before, after = passes(x, "float32")
    isnan = np.isnan(np.asarray(before[0][0]))
    np.testing.assert_array_equal(isnan, np.isnan(np.asarray(after[0][0])))
    assert isnan[..., 2].all()
    assert not np.delete(isnan, 2, axis=-1).any()
