"""Convolution along columns with lines as vectors, a TPU's form: run here, it gives the same sums."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mgajax.models.line_convolution import convolve_lines

LAYOUT = ("NHWC", "HWIO", "NHWC")


def chosen(*operands: Any, default: Any, tpu: Any, **_: Any) -> Any:
    return tpu(*operands)


@pytest.mark.parametrize("size", [(6, 9), (2, 3)])
@pytest.mark.parametrize("padding", [((3, 3), (3, 3)), ((3, 2), (1, 4))])
def test_lines_give_the_sums_of_taps(
    size: tuple[int, int], padding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values and gradients in float64, also where the taps reach over the whole map."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x = jnp.asarray(rng.standard_normal((2, *size, 2)))
        kernel = jnp.asarray(rng.standard_normal((7, 7 if size[1] > 3 else 4, 2, 3)))

        def results() -> Any:
            def total(x: jax.Array, kernel: jax.Array) -> Any:
                y = convolve_lines(x, kernel, (1, 1), padding, dimension_numbers=LAYOUT)
                return jnp.sum(jnp.sin(y)), y

            return jax.value_and_grad(total, (0, 1), has_aux=True)(x, kernel)

        taps = results()
        monkeypatch.setattr(lax, "platform_dependent", chosen)
        lines = results()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-10), lines, taps)


def test_a_tpu_alone_takes_lines() -> None:
    x, kernel = jnp.ones((1, 8, 8, 2), jnp.float32), jnp.ones((7, 7, 2, 1), jnp.float32)
    padding = ((3, 3), (3, 3))

    def layer(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return convolve_lines(x, kernel, (1, 1), padding, dimension_numbers=LAYOUT)

    traced = jax.jit(layer).trace(x, kernel)
    lines = {
        platform: "tensor<7x16x8xf32>" in traced.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda", "tpu")
    }
    assert lines == {"cpu": False, "cuda": False, "tpu": True}
