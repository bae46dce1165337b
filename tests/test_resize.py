"""Mask resizing against PyTorch's `interpolate` and `adaptive_avg_pool2d` (committed fixture)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax.errors import ConfigError
from mgajax.resize import METHODS, resize_features, resize_masks, resize_matrix

FIXTURE = Path(__file__).parent / "goldens" / "classification" / "resize.npz"
SIZES = ("7x7", "5x9", "3x28", "21x4", "30x40")


@pytest.mark.parametrize("method", METHODS)
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
    assert stored == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("old", "new"), [(224, 14), (21, 5), (5, 21), (9, 9)])
def test_rows_sum_to_one(method: str, old: int, new: int) -> None:
    np.testing.assert_allclose(resize_matrix(old, new, method=method).sum(1), 1.0, rtol=1e-6)


def test_area_keeps_the_mass_of_a_small_lesion_where_sampling_loses_it() -> None:
    rows, columns = np.mgrid[:224, :224]
    disc = ((rows - 95.5) ** 2 + (columns - 128.0) ** 2 < 4.0**2).astype(np.float32)
    masks = jnp.asarray(disc[None, :, :, None])
    small = resize_masks(masks, size=(14, 14), method="area")
    assert float(jnp.mean(small)) == pytest.approx(disc.mean(), rel=1e-6)
    sampled = resize_masks(masks, size=(14, 14), method="nearest_exact")
    assert float(jnp.mean(sampled)) != pytest.approx(disc.mean(), rel=0.2)


def test_bilinear_equals_jax_without_antialiasing() -> None:
    masks = jnp.asarray(np.random.default_rng(0).random((1, 20, 30, 2)), jnp.float32)
    expected = jax.image.resize(masks, (1, 7, 11, 2), "linear", antialias=False)
    np.testing.assert_allclose(
        resize_masks(masks, size=(7, 11), method="bilinear"), expected, atol=1e-6
    )


@pytest.mark.parametrize(("old", "new"), [(4, 8), (5, 3), (1, 4), (7, 7), (6, 1)])
def test_aligned_corners_interpolate_between_the_ends(old: int, new: int) -> None:
    line = np.random.default_rng(0).random(old)
    places = np.linspace(0, old - 1, new) if new > 1 else np.zeros(1)
    expected = np.interp(places, np.arange(old), line)
    matrix = resize_matrix(old, new, method="bilinear_corners")
    np.testing.assert_allclose(matrix @ line, expected, atol=1e-6)


def test_features_keep_their_type() -> None:
    x = jnp.ones((1, 3, 4, 2), jnp.bfloat16)
    assert resize_features(x, size=(6, 8)).dtype == jnp.bfloat16
    assert resize_features(x, size=(3, 4)) is x


def test_unknown_method() -> None:
    with pytest.raises(ConfigError, match="'bilinaer'.*did you mean 'bilinear'"):
        resize_features(jnp.ones((1, 2, 2, 1)), size=(4, 4), method="bilinaer")
