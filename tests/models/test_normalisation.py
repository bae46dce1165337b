"""Normalisation of a pooled map: what pooling the normalised map gives, without that map."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mgajax.models.normalisation import NormSettings, normalise, normalise_and_pool
from mgajax.models.pooling import max_pool_3x3

CHANNELS = 6
SCALES = (1.5, -0.7, 0.2, -2.0, 1.0, 0.0)


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def passes(x: np.ndarray, dtype: str, *, scales: tuple[float, ...] = SCALES) -> tuple[Any, Any]:
    """Values, moments and gradients: of the function, and of its three layers one after the other."""
    settings = NormSettings(dtype=dtype)
    height, width = ((side + 1) // 2 for side in x.shape[1:3])
    upstream = jnp.asarray(drawn(len(x), height, width, CHANNELS, seed=1), dtype)
    vectors = [jnp.asarray(drawn(CHANNELS, seed=seed), settings.wide) for seed in (2, 3)]

    def together(x: jax.Array, *vectors: jax.Array) -> Any:
        return normalise_and_pool(x, max_pool_3x3, *vectors, settings)

    def apart(x: jax.Array, *vectors: jax.Array) -> Any:
        y, moments = normalise(x, *vectors, settings)
        return max_pool_3x3(jax.nn.relu(y)), moments

    def results(function: Any) -> Any:
        def total(*arguments: jax.Array) -> Any:
            y, moments = function(*arguments)
            return jnp.sum(y * upstream), (y, moments)

        run = jax.jit(jax.value_and_grad(total, (0, 1, 2), has_aux=True))
        arguments = jnp.asarray(x, dtype), jnp.asarray(scales, settings.wide), *vectors
        (_, outputs), gradients = run(*arguments)
        return outputs, gradients

    return results(together), results(apart)


@pytest.fixture(params=["cpu", "cuda", "tpu"])
def platform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every layer takes the form that it has there."""

    def chosen(*operands: Any, default: Any, **forms: Any) -> Any:
        return forms.get(request.param, default)(*operands)

    monkeypatch.setattr(lax, "platform_dependent", chosen)
    return request.param


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (1, 2)])
def test_the_order_of_the_layers_changes_nothing(size: tuple[int, int]) -> None:
    """In float64; scales of both signs. Where a scale is 0 the pixels of a window are equal after it,
    and its gradient is any of theirs."""
    with jax.enable_x64(True):
        together, apart = passes(10 + drawn(3, *size, CHANNELS), "float64")
    (y, moments), (dx, dscale, dbias) = together
    (expected, expected_moments), (expected_dx, expected_dscale, expected_dbias) = apart
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(moments, expected_moments)
    np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=1e-12)
    np.testing.assert_allclose(dscale[:-1], expected_dscale[:-1], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dbias, expected_dbias, rtol=1e-12)


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_values_are_the_same_bit_for_bit(dtype: str) -> None:
    """Rounding keeps the order of values."""
    together, apart = passes(drawn(4, 16, 16, CHANNELS), dtype)
    np.testing.assert_array_equal(together[0][0], apart[0][0])


@pytest.mark.usefixtures("platform")
def test_a_nan_reaches_its_channel() -> None:
    """The moments of its channel hold it, and so does every value there; the others stay clean."""
    x = drawn(2, 8, 8, CHANNELS)
    x[0, 3, 3, 2] = np.nan
    (y, _), _ = passes(x, "float32")[0]
    isnan = np.isnan(np.asarray(y))
    assert isnan[..., 2].all()
    assert not np.delete(isnan, 2, axis=-1).any()


@pytest.mark.parametrize("platform", ["tpu"], indirect=True)
@pytest.mark.parametrize(("mean", "expected"), [(0.0, 0.0), (4000.0, 3999.0), (100.0, 0.0)])
@pytest.mark.usefixtures("platform")
def test_a_variance_about_an_expected_mean_keeps_its_digits(mean: float, expected: float) -> None:
    """A hundred deviations off it loses four decimal digits of seven, as stated."""
    x = mean + drawn(64, 8, 8, 1).astype(np.float32)
    vector = jnp.ones((1,), jnp.float32)
    about = jnp.full((1,), expected, jnp.float32)
    _, (found, variance) = normalise(jnp.asarray(x), vector, vector, about, NormSettings())
    truth = np.asarray(x, np.float64)
    assert float(found[0]) == pytest.approx(truth.mean(), rel=1e-6, abs=1e-6)
    off = (truth.mean() - expected) ** 2
    assert float(variance[0]) == pytest.approx(truth.var(), rel=1e-6 + 2e-7 * off)


def test_a_cpu_alone_pools_last() -> None:
    """Its compiler would find the largest again in every operation that follows."""
    settings, vector = NormSettings(), jax.ShapeDtypeStruct((64,), jnp.float32)

    def layer(x: jax.Array, *vectors: jax.Array) -> jax.Array:
        return normalise_and_pool(x, max_pool_3x3, *vectors, settings)[0]

    traced = jax.jit(layer).trace(jax.ShapeDtypeStruct((2, 8, 8, 64), jnp.float32), *[vector] * 3)
    rectified = {
        platform: "(tensor<2x8x8x64xf32>) -> tensor<2x8x8x64xf32>"
        in "".join(
            line
            for line in traced.lower(lowering_platforms=(platform,)).as_text().splitlines()
            if "call @relu" in line
        )
        for platform in ("cpu", "cuda", "tpu")
    }
    assert rectified == {"cpu": True, "cuda": False, "tpu": False}
