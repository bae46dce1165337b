"""Bilinear resizes as matrix products, against JAX's own and against direct interpolation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax.errors import ConfigError
from mgajax.models.interpolation import interpolation_matrix, resize

SIZES = [(7, 5), (26, 20), (19, 3), (1, 1)]


def drawn(height: int = 13, width: int = 10) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((2, height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
def test_half_pixel_grid_is_jax_without_antialiasing(size: tuple[int, int]) -> None:
    x = drawn()
    expected = jax.image.resize(x, (2, *size, 3), method="linear", antialias=False)
    np.testing.assert_allclose(resize(jnp.asarray(x), size=size), expected, atol=3e-6)


@pytest.mark.parametrize("size", SIZES)
def test_corner_grid_interpolates_between_corner_pixels(size: tuple[int, int]) -> None:
    x = drawn()
    rows = np.linspace(0, 12, size[0]) if size[0] > 1 else np.zeros(1)
    columns = np.linspace(0, 9, size[1]) if size[1] > 1 else np.zeros(1)
    expected = np.apply_along_axis(lambda v: np.interp(rows, np.arange(13), v), 1, x)
    expected = np.apply_along_axis(lambda v: np.interp(columns, np.arange(10), v), 2, expected)
    found = resize(jnp.asarray(x), size=size, grid="corners")
    np.testing.assert_allclose(found, expected, atol=3e-6)


def test_one_pixel_fills_the_map() -> None:
    x = drawn(1, 1)
    assert np.array_equal(resize(jnp.asarray(x), size=(4, 6)), np.broadcast_to(x, (2, 4, 6, 3)))


def test_the_same_size_changes_nothing() -> None:
    x = drawn()
    assert np.array_equal(resize(jnp.asarray(x), size=(13, 10)), x)


@pytest.mark.parametrize("grid", ["half_pixel", "corners"])
def test_constants_survive(grid: str) -> None:
    for old, new in [(1, 5), (5, 1), (8, 3), (3, 8), (33, 17)]:
        matrix = interpolation_matrix(old, new, grid=grid)
        assert matrix.shape == (new, old)
        assert np.all(matrix >= 0)
        np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-15)


def test_powers_of_two_are_exact_in_bfloat16() -> None:
    for ratio in (2, 4, 8):
        matrix = interpolation_matrix(8, 8 * ratio)
        assert np.array_equal(matrix, np.asarray(jnp.asarray(matrix, jnp.bfloat16), np.float64))
    assert resize(jnp.ones((1, 2, 2, 1), jnp.bfloat16), size=(4, 4)).dtype == jnp.bfloat16


def test_unknown_grid() -> None:
    with pytest.raises(ConfigError, match="grid='half': .*half_pixel, corners"):
        resize(jnp.ones((1, 2, 2, 1), jnp.float32), size=(4, 4), grid="half")
