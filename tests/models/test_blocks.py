"""Batch normalisation, maxima and convolution, each against plain numpy or a one-line definition."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax.errors import ConfigError
from mgajax.models.batch_norm import BatchNorm
from mgajax.models.blocks import (
    Dropout,
    Layers,
    convolve,
    peak,
)


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def normalise(norm: BatchNorm, x: jax.Array) -> tuple[jax.Array, dict]:
    @jax.jit
    def run(x: jax.Array) -> tuple[jax.Array, dict]:
        variables = norm.init(jax.random.key(0), x, train=False)
        return norm.apply(variables, x, train=True, mutable=["batch_stats"])

    y, new = run(x)
    return y, new["batch_stats"]


def test_batch_norm_uses_biased_and_stores_unbiased_variance() -> None:
    x = normal(2, 3, 3, 5) * 3.0 + 1.0
    y, statistics = normalise(BatchNorm(momentum=0.75), x)
    values = np.asarray(x, np.float64).reshape(18, 5)
    expected = (values - values.mean(0)) / np.sqrt(values.var(0) + 1e-5)
    np.testing.assert_allclose(np.reshape(y, (18, 5)), expected, atol=2e-6)
    np.testing.assert_allclose(statistics["mean"], 0.25 * values.mean(0), rtol=1e-5)
    unbiased = 0.75 + 0.25 * values.var(0, ddof=1)
    np.testing.assert_allclose(statistics["var"], unbiased, rtol=1e-5)


def test_batch_norm_keeps_digits_where_the_mean_is_large() -> None:
    x = normal(64, 8, 8, 1) + 4000.0
    _, statistics = normalise(BatchNorm(momentum=0.0), x)
    assert float(statistics["var"][0]) == pytest.approx(np.asarray(x, np.float64).var(), rel=2e-3)


def test_batch_norm_computes_in_float32_under_bfloat16() -> None:
    x = (normal(64, 8, 8, 4) + 7.0).astype(jnp.bfloat16)
    y, statistics = normalise(BatchNorm(momentum=0.0, dtype="bfloat16"), x)
    assert y.dtype == jnp.bfloat16
    expected = np.asarray(x, np.float64).mean((0, 1, 2))
    np.testing.assert_allclose(statistics["mean"], expected, rtol=1e-6)


def test_batch_norm_refuses_a_single_value() -> None:
    with pytest.raises(ConfigError, match="1 value per channel"):
        normalise(BatchNorm(), normal(1, 1, 1, 4))


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_peak_is_the_maximum_and_compilation_changes_no_gradient(axis: int) -> None:
    """The case that defeats `jnp.max` needs a whole network: `resnet18_cbam` in test_parity."""
    x, gate = normal(4, 6, 6, 32), normal(4, 1, 1, 32, seed=1)
    np.testing.assert_array_equal(peak(x, axis), jnp.max(x, axis=axis, keepdims=True))

    def objective(x, gate):
        attended = x * jax.nn.sigmoid(gate) * 1.7 + 0.3
        return jnp.sum(jnp.sin(peak(attended, axis)))

    eager = jax.grad(objective)(x, gate)
    compiled = jax.jit(jax.grad(objective))(x, gate)
    np.testing.assert_allclose(compiled, eager, rtol=1e-5, atol=1e-6)


def test_of_equal_values_the_first_peak_gets_the_whole_gradient() -> None:
    flat = jnp.ones((1, 4, 4, 1), jnp.float32)
    gradient = jax.grad(lambda x: jnp.sum(peak(x, 1)))(flat)
    np.testing.assert_array_equal(gradient[0, 0, :, 0], np.ones(4))
    assert float(jnp.sum(gradient)) == 4.0


@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_a_convolution_keeps_the_size_and_has_no_bias(kernel: int) -> None:
    layer = Layers().conv(4, kernel=kernel, name="conv")
    shapes = jax.eval_shape(layer.init_with_output, jax.random.key(0), normal(1, 9, 10, 3))
    assert shapes[0].shape == (1, 9, 10, 4)
    assert set(shapes[1]["params"]) == {"kernel"}


@pytest.mark.parametrize(("unit", "drawn_by"), [("element", 6 * 5 * 64), ("channel", 64)])
def test_dropout_drops_its_share_and_scales_the_rest(unit: str, drawn_by: int) -> None:
    x = jnp.ones((3, 6, 5, 64), jnp.float32)
    layer = Dropout(0.25, unit=unit)
    dropped = layer.apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.75)}
    distinct = dropped if unit == "element" else dropped[:, :1, :1]
    np.testing.assert_array_equal(dropped, jnp.broadcast_to(distinct, x.shape))
    assert distinct[0].size == drawn_by
    assert float(jnp.mean(dropped == 0)) == pytest.approx(0.25, abs=0.1)
    for rate, train in ((0.25, False), (0.0, True)):  # no key is asked for
        np.testing.assert_array_equal(Dropout(rate, unit=unit).apply({}, x, train=train), x)


def both_ways(x: jax.Array, kernel: jax.Array, *where: Any, **settings: Any) -> list[jax.Array]:
    """Our convolution, and that of `lax`."""
    ways = (convolve, jax.lax.conv_general_dilated)
    return jax.jit(lambda x, kernel: [way(x, kernel, *where, **settings) for way in ways])(
        x, kernel
    )


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (2, 5), (4, 4), (6, 6)])
@pytest.mark.parametrize(("taps", "stride"), [(3, 1), (3, 2), (7, 1), (7, 2)])
def test_small_maps_give_the_sums_of_a_convolution(
    size: tuple[int, int], taps: int, stride: int
) -> None:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, *size, 3)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((taps, taps, 3, 4)), jnp.float32)
    strides, padding = (stride, stride), [(taps // 2, taps // 2)] * 2
    settings = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    actual, expected = both_ways(x, kernel, strides, padding, **settings)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "dilation"),
    [((2, 2), 2), ((1, 3), 4), ((2, 5), 1), ((8, 9), 12), ((12, 13), 12), ((5, 7), 4), ((6, 6), 5)],
)
def test_dilated_convolution_equals_that_of_lax(size: tuple[int, int], dilation: int) -> None:
    x, kernel = normal(2, *size, 3), normal(3, 3, 3, 4, seed=1)
    settings = {"rhs_dilation": (dilation,) * 2, "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    padding = [(dilation, dilation)] * 2
    actual, expected = both_ways(x, kernel, (1, 1), padding, **settings)
    assert actual.shape == expected.shape == (2, *size, 4)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
