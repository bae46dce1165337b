"""Mask resizing against PyTorch's `interpolate` and `adaptive_avg_pool2d` (committed fixture)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax.errors import ConfigError
from mgajax.models.resize import RESIZE_METHODS, resize_features, resize_masks, resize_matrix

FIXTURE = Path(__file__).parent.parent / "goldens" / "classification" / "resize.npz"
SIZES = ("7x7", "5x9", "3x28", "21x4", "30x40")


@pytest.mark.parametrize("method", RESIZE_METHODS)
@pytest.mark.parametrize("size", SIZES)
def test_equals_pytorch(method: str, size: str) -> None:
    golden = np.load(FIXTURE)
    height, width = map(int, size.split("x"))
    masks = jnp.asarray(golden["mask"].transpose(0, 2, 3, 1), jnp.float32)
    resized = resize_masks(masks, size=(height, width), method=method)
    expected = golden[f"{method}/{size}"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(resized, expected, atol=1e-6)


def test_fixture_and_methods_agree() -> None:
    stored = {key.split("/")[0] for key in np.load(FIXTURE).files} - {"mask"}
    assert stored == set(RESIZE_METHODS)


@pytest.mark.parametrize("method", RESIZE_METHODS)
@pytest.mark.parametrize(
    ("old", "new"), [(224, 14), (21, 5), (5, 21), (9, 9), (1, 5), (5, 1), (33, 17)]
)
def test_rows_are_shares(method: str, old: int, new: int) -> None:
    matrix = resize_matrix(old, new, method=method)
    assert matrix.shape == (new, old)
    assert np.all(matrix >= 0)
    np.testing.assert_allclose(matrix.sum(1), 1.0, rtol=1e-15)


def test_area_keeps_the_mass_of_a_small_lesion_where_sampling_loses_it() -> None:
    rows, columns = np.mgrid[:224, :224]
    disc = ((rows - 95.5) ** 2 + (columns - 128.0) ** 2 < 4.0**2).astype(np.float32)
    masks = jnp.asarray(disc[None, :, :, None])
    small = resize_masks(masks, size=(14, 14), method="area")
    assert float(jnp.mean(small)) == pytest.approx(disc.mean(), rel=1e-6)
    sampled = resize_masks(masks, size=(14, 14), method="nearest_exact")
    assert float(jnp.mean(sampled)) != pytest.approx(disc.mean(), rel=0.2)


@pytest.mark.parametrize("size", [(7, 5), (26, 20), (19, 3), (13, 4), (1, 1)])
def test_bilinear_equals_jax_without_antialiasing(size: tuple[int, int]) -> None:
    x = np.random.default_rng(3).standard_normal((2, 13, 10, 3)).astype(np.float32)
    expected = jax.image.resize(x, (2, *size, 3), "linear", antialias=False)
    np.testing.assert_allclose(resize_features(jnp.asarray(x), size=size), expected, atol=3e-6)


def test_double_precision_stays() -> None:
    """Neither the factors nor the sums are rounded; a third of a pixel shows it."""
    x = np.random.default_rng(3).standard_normal((1, 6, 9, 1))
    places = np.clip((np.arange(4) + 0.5) * 1.5 - 0.5, 0, 5)
    expected = np.apply_along_axis(lambda v: np.interp(places, np.arange(6), v), 1, x)
    with jax.enable_x64(True):
        actual = np.asarray(resize_features(jnp.asarray(x), size=(4, 9)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-15)


def test_one_pixel_fills_the_map() -> None:
    x = jnp.asarray([[[[0.1, -7.3]]]], jnp.float32)
    filled = resize_features(x, size=(4, 6))
    assert np.array_equal(filled, np.broadcast_to(x, (1, 4, 6, 2)))


@pytest.mark.parametrize(("old", "new"), [(4, 8), (5, 3), (1, 4), (7, 7), (6, 1)])
def test_aligned_corners_interpolate_between_the_ends(old: int, new: int) -> None:
    line = np.random.default_rng(0).random(old)
    places = np.linspace(0, old - 1, new) if new > 1 else np.zeros(1)
    expected = np.interp(places, np.arange(old), line)
    matrix = resize_matrix(old, new, method="bilinear_corners")
    np.testing.assert_allclose(matrix @ line, expected, atol=1e-14)


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_powers_of_two_are_exact_in_bfloat16(ratio: int) -> None:
    matrix = resize_matrix(8, 8 * ratio, method="bilinear")
    assert np.array_equal(matrix, np.asarray(jnp.asarray(matrix, jnp.bfloat16), np.float64))


def test_features_keep_their_type() -> None:
    x = jnp.ones((1, 3, 4, 2), jnp.bfloat16)
    assert resize_features(x, size=(6, 8)).dtype == jnp.bfloat16
    assert resize_features(x, size=(3, 4)) is x


def test_unknown_method() -> None:
    with pytest.raises(ConfigError, match="'bilinaer'.*did you mean 'bilinear'"):
        resize_features(jnp.ones((1, 2, 2, 1)), size=(4, 4), method="bilinaer")
