"""Grad-CAM and attention maps on a network whose answer is known."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from explanation.drawn_networks import NARROW, GatedClassifier

from mgajax import models
from mgajax.errors import ConfigError
from mgajax.explanation.class_activation import attention_maps, enlarge, grad_cam, layer_names
from mgajax.explanation.question import ExplainedNetwork


class Counting(nn.Module):
    """Features are the 2×2 means of a grey image and of its negative; logits are their means."""

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        b, h, w, _ = x.shape
        means = x.reshape(b, h // 2, 2, w // 2, 2).mean(axis=(2, 4))
        return Ends(name="ends")(jnp.stack([means, -means], axis=-1))


class Ends(nn.Module):
    @nn.compact
    def __call__(self, features):
        return features.mean(axis=(1, 2))


def test_grad_cam_keeps_positive_evidence_for_the_class() -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 6, 1)).astype(np.float32)
    targets = np.array([0, 1, 0])
    maps = grad_cam(Counting(), {}, x, targets, before="ends", batch_size=2)
    means = x.reshape(3, 2, 2, 3, 2).mean(axis=(2, 4))
    signs = np.array([1, -1, 1], np.float32)[:, None, None]
    # Weights: the gradient of a mean over 6 cells.
    expected = np.maximum(signs * means, 0) / 6
    np.testing.assert_allclose(maps, enlarge(expected, size=(4, 6)), atol=1e-6)


def test_enlarging_keeps_a_constant() -> None:
    flat = np.full((2, 3, 3), 0.25, np.float32)
    np.testing.assert_allclose(enlarge(flat, size=(10, 7)), 0.25)


def test_an_unknown_layer_lists_the_known_ones() -> None:
    x = np.ones((1, 4, 4, 1), np.float32)
    with pytest.raises(ConfigError, match="before='end'.*did you mean 'ends'"):
        grad_cam(Counting(), {}, x, np.array([0]), before="end")


@pytest.fixture(scope="module")
def guided():
    model = models.create("mga_resnet18", num_classes=3, **NARROW)
    return model, models.init_variables(model, image_size=32, channels=1, seed=0)


def test_own_attention() -> None:
    model = GatedClassifier()
    variables = models.init_variables(model, image_size=32, channels=1, seed=0)
    x = np.random.default_rng(0).standard_normal((3, 32, 32, 1)).astype(np.float32)
    maps = attention_maps(model, variables, x, batch_size=2)
    assert set(maps) == {"stage1"}
    assert all(m.shape == (3, 32, 32) and (m > 0).all() and (m < 1).all() for m in maps.values())
    out = model.apply(variables, jnp.asarray(x), train=False)
    coarse = np.asarray(out.attention["stage1"])[..., 0]
    np.testing.assert_allclose(maps["stage1"], enlarge(coarse, size=(32, 32)), atol=1e-5)


def test_the_classifier_has_a_map_for_each_stage_with_attention(guided) -> None:
    model, variables = guided
    x = jax.ShapeDtypeStruct((3, 32, 32, 1), jnp.float32)
    maps = jax.eval_shape(lambda x: model.apply(variables, x, train=False).attention, x)
    assert set(maps) == {"stage1", "stage2", "stage3"}
    assert [map_.shape[0] for map_ in maps.values()] == [3] * 3
    assert {map_.ndim for map_ in maps.values()} == {4}


def test_layers_in_the_order_of_the_call(guided) -> None:
    model, variables = guided
    names = layer_names(
        ExplainedNetwork(model, (("train", False),)), variables, jnp.ones((1, 32, 32, 1))
    )
    assert tuple(names) == ("stem", "stage1", "stage2", "stage3", "stage4", "head")


def test_a_network_without_attention_is_refused() -> None:
    x = np.ones((1, 4, 4, 1), np.float32)
    with pytest.raises(ConfigError, match="no attention maps"):
        attention_maps(Counting(), {}, x)


def test_grad_cam_of_a_classifier_sees_its_last_features(guided) -> None:
    model, variables = guided
    x = np.random.default_rng(0).standard_normal((2, 32, 32, 1)).astype(np.float32)
    maps = grad_cam(model, variables, x, np.array([1, 1]))
    assert maps.shape == (2, 32, 32)
    assert (maps >= 0).all()
    assert jax.tree.all(jax.tree.map(np.isfinite, maps.tolist()))
