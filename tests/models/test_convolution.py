"""Convolutions for loops: the gradients are those of `lax.conv_general_dilated`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mgajax.models.convolution import convolve_in_loops

LAYOUT = ("NHWC", "HWIO", "NHWC")


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding"),
    [
        ((7, 10), 3, 1, ((1, 1), (1, 1))),
        ((7, 10), 3, 2, ((1, 1), (1, 1))),
        ((8, 9), 3, 2, ((0, 2), (1, 0))),
        ((6, 5), 1, 1, ((0, 0), (0, 0))),
        ((2, 9), 3, 1, ((1, 1), (1, 1))),
    ],
)
def test_gradients(size: tuple, window: int, stride: int, padding: tuple) -> None:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, *size, 3)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((window, window, 3, 4)), jnp.float32)

    def gradients(convolution) -> tuple[jax.Array, jax.Array]:
        def total(x: jax.Array, kernel: jax.Array) -> jax.Array:
            y = convolution(x, kernel, (stride, stride), padding, dimension_numbers=LAYOUT)
            return jnp.sum(jnp.sin(y))

        return jax.grad(total, argnums=(0, 1))(x, kernel)

    same = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    jax.tree.map(same, gradients(convolve_in_loops), gradients(lax.conv_general_dilated))


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
