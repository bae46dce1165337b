"""Eq. 4 and 5 against PyTorch's numbers and by hand."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax.errors import ConfigError
from mgajax.models.resize import RESIZE_METHODS, resize_matrix
from mgajax.training.classification_losses import (
    ATTENTION_LOSSES,
    attention_loss,
    cross_entropy,
)

FIXTURES = Path(__file__).parent.parent / "goldens" / "classification"


def discs(size: int = 64) -> jax.Array:
    """The masks of the fixtures."""
    rows, columns = np.mgrid[:size, :size]
    masks = np.zeros((3, size, size, 1), np.float32)
    masks[1, :, :, 0] = (rows - 20) ** 2 + (columns - 41) ** 2 < 9**2
    masks[2, :, :, 0] = (rows - 47) ** 2 + (columns - 10) ** 2 < 14**2
    return jnp.asarray(masks)


def test_cross_entropy_is_the_negative_log_likelihood() -> None:
    logits = jnp.asarray([[2.0, 0.0, -1.0], [500.0, -500.0, 0.0]], jnp.float32)
    labels = jnp.asarray([0, 1], jnp.int32)
    expected = [np.log(np.exp([2.0, 0.0, -1.0]).sum()) - 2.0, 1000.0]
    np.testing.assert_allclose(cross_entropy(logits, labels), expected, rtol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(cross_entropy(x, labels)))(logits)
    np.testing.assert_allclose(gradient[1], [1.0, -1.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("kind", ATTENTION_LOSSES)
@pytest.mark.parametrize("method", RESIZE_METHODS)
@pytest.mark.parametrize(
    ("dtype", "close"), [("float32", 1e-6), ("float64", 1e-13)], ids=["float32", "float64"]
)
def test_attention_loss_is_the_mean_error_over_pixels(
    kind: str, method: str, dtype: str, close: float
) -> None:
    """Of a stored map; `tests/models/test_parity.py` compares with PyTorch."""
    golden = np.load(FIXTURES / "mga_paper_last_block.npz")
    attention = golden["eval/stage3"].transpose(0, 2, 3, 1).astype(dtype)
    masks = np.asarray(discs())
    with jax.enable_x64(dtype == "float64"):
        losses = attention_loss(
            jnp.asarray(attention), jnp.asarray(masks, dtype), kind=kind, resize=method
        )
    matrix = resize_matrix(64, attention.shape[1], method=method)
    small = np.einsum("bHW,hH,wW->bhw", masks[..., 0].astype(np.float64), matrix, matrix)
    error = attention[..., 0] - small
    expected = (np.square(error) if kind == "mse" else np.abs(error)).mean((1, 2))
    np.testing.assert_allclose(losses, expected, rtol=close)


def test_attention_loss_by_hand() -> None:
    half = jnp.full((2, 4, 4, 1), 0.5, jnp.float32)
    masks = jnp.zeros((2, 8, 8, 1), jnp.float32).at[1].set(1.0)
    np.testing.assert_allclose(attention_loss(half, masks), [0.25, 0.25])
    np.testing.assert_allclose(attention_loss(half, masks, kind="l1"), [0.5, 0.5])


def test_an_oblong_map_is_compared_in_its_own_shape() -> None:
    masks = np.zeros((1, 8, 12, 1), np.float32)
    masks[:, :4] = 1.0
    attention = jnp.asarray(masks[:, ::4, ::4])
    np.testing.assert_allclose(attention_loss(attention, jnp.asarray(masks)), [0.0], atol=1e-7)


def test_unknown_kinds_list_the_valid_ones() -> None:
    maps = jnp.zeros((1, 2, 2, 1), jnp.float32)
    with pytest.raises(ConfigError, match="did you mean 'mse'"):
        attention_loss(maps, maps, kind="mes")
    with pytest.raises(ConfigError, match=r"'cubic'.*area"):
        attention_loss(maps, maps, resize="cubic")
