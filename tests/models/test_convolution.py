"""Quick convolutions are those of `lax.conv_general_dilated`."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mgajax.models.convolution import convolve, convolve_in_loops

LAYOUT = ("NHWC", "HWIO", "NHWC")


@pytest.mark.parametrize(
    ("convolution", "size", "channels", "kernel", "stride", "padding", "dilation"),
    [
        (convolve_in_loops, (7, 10), 4, 3, 1, ((1, 1), (1, 1)), 1),
        (convolve_in_loops, (7, 10), 4, 3, 2, ((1, 1), (1, 1)), 1),
        (convolve_in_loops, (8, 9), 4, 3, 2, ((0, 2), (1, 0)), 1),
        (convolve_in_loops, (6, 5), 4, 1, 1, ((0, 0), (0, 0)), 1),
        (convolve_in_loops, (2, 9), 4, 3, 1, ((1, 1), (1, 1)), 1),
        (convolve, (7, 10), 4, 3, 2, ((1, 1), (1, 1)), 1),
        (convolve, (6, 5), 4, 1, 1, ((0, 0), (0, 0)), 1),
        (convolve, (6, 5), 4, 1, 2, ((0, 0), (0, 0)), 1),
        (convolve, (4, 3), 384, 3, 1, ((1, 1), (1, 1)), 1),
        (convolve, (5, 4), 192, 3, 2, ((1, 1), (1, 1)), 1),
        (convolve, (5, 4), 192, 3, 2, ((0, 2), (1, 0)), 1),
        (convolve, (9, 9), 4, 3, 1, ((6, 6), (6, 6)), 6),
        (convolve, (3, 5), 480, 3, 1, ((2, 2), (2, 2)), 2),
    ],
)
def test_values_and_gradients(
    convolution: Callable,
    size: tuple,
    channels: int,
    kernel: int,
    stride: int,
    padding: tuple,
    dilation: int,
) -> None:
    """Many channels make a matrix product of it."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, *size, 3)), jnp.float32)
    weights = jnp.asarray(rng.standard_normal((kernel, kernel, 3, channels)), jnp.float32)
    weights /= channels**0.5

    @functools.partial(jax.jit, static_argnums=0)
    def results(convolution: Callable, x: jax.Array, weights: jax.Array) -> tuple:
        def total(x: jax.Array, weights: jax.Array) -> jax.Array:
            y = convolution(
                x,
                weights,
                (stride, stride),
                padding,
                rhs_dilation=(dilation, dilation),
                dimension_numbers=LAYOUT,
            )
            return jnp.sum(jnp.sin(y))

        return jax.value_and_grad(total, argnums=(0, 1))(x, weights)

    same = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=2e-5)
    found, expected = (results(way, x, weights) for way in (convolution, lax.conv_general_dilated))
    jax.tree.map(same, found, expected)


def test_small_maps_of_many_channels_are_one_product_on_a_cpu() -> None:
    if jax.default_backend() != "cpu":
        pytest.skip("accelerators keep their convolutions")
    x, kernel = jnp.ones((1, 4, 4, 2), jnp.float32), jnp.ones((3, 3, 2, 512), jnp.float32)

    def names(kernel: jax.Array) -> set[str]:
        settings = {"padding": ((1, 1), (1, 1)), "dimension_numbers": LAYOUT}
        traced = jax.make_jaxpr(lambda x: convolve(x, kernel, (1, 1), **settings))(x)
        return {equation.primitive.name for equation in traced.jaxpr.eqns}

    assert "conv_general_dilated" not in names(kernel)
    assert "conv_general_dilated" in names(kernel[..., :2])


def test_the_gradients_are_in_the_layout_of_the_fast_convolutions() -> None:
    if jax.default_backend() != "cpu":
        pytest.skip("accelerators keep JAX's own form")
    x, kernel = jnp.ones((1, 5, 5, 2), jnp.float32), jnp.ones((3, 3, 2, 2), jnp.float32)

    def total(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.sum(convolve_in_loops(x, kernel, (1, 1), ((1, 1), (1, 1))))

    lowered = jax.jit(jax.grad(total, argnums=(0, 1))).lower(x, kernel).as_text()
    layouts = {
        line.split("dim_numbers = ")[1].split("window")[0]
        for line in lowered.splitlines()
        if "stablehlo.convolution" in line
    }
    assert layouts == {"[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f], "}
