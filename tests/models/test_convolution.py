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
    actual, expected = (results(way, x, weights) for way in (convolution, lax.conv_general_dilated))
    jax.tree.map(same, actual, expected)


def convolutions(function: Callable, *arrays: jax.Array, platform: str) -> list[str]:
    """The lines of a program for a platform, which need not be here, that hold convolutions."""
    lowered = jax.jit(function).trace(*arrays).lower(lowering_platforms=(platform,))
    return [line for line in lowered.as_text().splitlines() if "stablehlo.convolution" in line]


@pytest.mark.parametrize(
    ("kernel", "channels"), [(1, 2), (3, 512), (5, 2)], ids=["1x1", "many channels", "small map"]
)
def test_a_cpus_program_has_a_product_and_any_others_a_convolution(
    kernel: int, channels: int
) -> None:
    """Though a CPU traces them all."""
    x, weights = jnp.ones((1, 4, 4, 2)), jnp.ones((kernel, kernel, 2, channels))

    def total(x: jax.Array, weights: jax.Array) -> jax.Array:
        pads = ((kernel // 2, kernel // 2),) * 2
        return jnp.sum(convolve(x, weights, (1, 1), pads, dimension_numbers=LAYOUT))

    gradient = jax.value_and_grad(total, argnums=(0, 1))
    programs = {p: convolutions(gradient, x, weights, platform=p) for p in ("cpu", "cuda", "tpu")}
    assert {p: len(lines) for p, lines in programs.items()} == {"cpu": 0, "cuda": 3, "tpu": 3}


def test_the_usual_convolution_is_one_everywhere() -> None:
    x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2))
    usual = functools.partial(
        convolve, strides=(1, 1), padding=((1, 1), (1, 1)), dimension_numbers=LAYOUT
    )
    assert len(convolutions(usual, x, kernel, platform="cpu")) == 1


def test_gradients_in_loops_are_in_the_layout_of_a_cpus_fast_convolutions() -> None:
    x, kernel = jnp.ones((1, 5, 5, 2), jnp.float32), jnp.ones((3, 3, 2, 2), jnp.float32)

    def total(x: jax.Array, kernel: jax.Array) -> jax.Array:
        pads = ((1, 1), (1, 1))
        return jnp.sum(convolve_in_loops(x, kernel, (1, 1), pads, dimension_numbers=LAYOUT))

    def layouts(platform: str) -> set[str]:
        lines = convolutions(jax.grad(total, argnums=(0, 1)), x, kernel, platform=platform)
        assert len(lines) >= 2
        return {line.split("dim_numbers = ")[1].split("window")[0] for line in lines}

    fast = "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f], "
    assert layouts("cpu") == {fast}
    assert layouts("tpu") != {fast}
