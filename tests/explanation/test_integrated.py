"""Integrated Gradients: the rules, the goldens, and what is refused."""

import warnings
from pathlib import Path

import jax
import numpy as np
import pytest
from explanation.drawn_networks import (
    MLP,
    NARROW,
    Mlp,
    golden_inputs,
    golden_network,
    small_variables,
)
from goldens.parity import relative_gap

from mgajax.errors import ConfigError, DataError
from mgajax.explanation import baselines
from mgajax.explanation.attribution import CompletenessWarning
from mgajax.explanation.integrated import integrated_gradients, quadrature

RULES = ("gauss_legendre", "left", "right", "middle", "trapezoid")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("steps", [2, 7, 64])
def test_weights_sum_to_one_and_integrate_a_line(rule: str, steps: int) -> None:
    points = quadrature(rule, steps=steps)
    assert points.weights.sum() == pytest.approx(1, abs=1e-14)
    assert ((points.nodes >= 0) & (points.nodes <= 1)).all()
    shift = {"left": -1 / (2 * steps), "right": 1 / (2 * steps)}.get(rule, 0.0)
    assert points.weights @ points.nodes == pytest.approx(0.5 + shift, abs=1e-14)


def test_gauss_legendre_is_exact_for_polynomials() -> None:
    points = quadrature("gauss_legendre", steps=4)
    assert points.weights @ points.nodes**7 == pytest.approx(1 / 8, abs=1e-14)


@pytest.mark.slow(
    finds="a rule of the integral that gives a whole network other maps than Captum's"
)
@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize(
    ("rule", "steps", "stored", "tolerance"),
    [
        # Computed in float64, stored rounded to float32.
        ("gauss_legendre", 50, "ig_gausslegendre_50_f64", 1e-7),
        ("left", 64, "ig_riemann_left_64_f32", 1e-6),
        ("right", 64, "ig_riemann_right_64_f32", 1e-6),
        # Stored in float32 only; there one ReLU on the path fell on the other side of its kink.
        ("middle", 64, "ig_riemann_middle_64_f32", 3e-4),
        ("trapezoid", 64, "ig_trapezoid_true_weights_64_f64", 1e-7),
    ],
)
def test_resnet18_golden(
    shared: Path, rule: str, steps: int, stored: str, tolerance: float
) -> None:
    golden = np.load(shared / "goldens/attribution/attr_resnet18_64.npz")
    with jax.enable_x64(True):
        network = golden_network(shared, "resnet18", dtype="float64")
        explained = integrated_gradients(
            network.model,
            network.variables,
            *golden_inputs("black", dtype=np.float64),
            golden["target"].reshape(1),
            rule=rule,
            steps=steps,
        )
    assert relative_gap(explained.attributions.transpose(0, 3, 1, 2), golden[stored]) < tolerance
    assert explained.difference[0] == pytest.approx(float(golden["diff_target_f64"]), rel=1e-7)
    delta = float(golden[f"{stored}/delta"].ravel()[0])
    allowed = 1e-6 if stored.endswith("f64") else 2e-4
    assert explained.completeness_gap[0] == pytest.approx(delta, abs=allowed)


@pytest.mark.slow(finds="rounding in float32 that a whole network's path makes large")
def test_resnet18_golden_in_float32(shared: Path) -> None:
    """Some ReLU on the path is next to its kink, and falls to either side by processor: 2e-4 here."""
    golden = np.load(shared / "goldens/attribution/attr_resnet18_64.npz")
    network = golden_network(shared, "resnet18")
    explained = integrated_gradients(
        network.model, network.variables, *golden_inputs("black"), golden["target"].reshape(1)
    )
    stored = golden["ig_gausslegendre_50_f32"]
    assert relative_gap(explained.attributions.transpose(0, 3, 1, 2), stored) < 1e-3


@pytest.fixture
def small():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 6)).astype(np.float32)
    return Mlp(), small_variables(MLP), x, 0.3 * x[::-1].copy(), np.array([0, 1, 2, 0, 1])


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batches_do_not_change_the_result(small, batch_size: int) -> None:
    explained = integrated_gradients(*small, steps=20, batch_size=batch_size)
    whole = integrated_gradients(*small, steps=20, batch_size=100)
    np.testing.assert_allclose(explained.attributions, whole.attributions, atol=1e-6)
    assert (np.abs(explained.completeness_gap) <= 0.08 * np.abs(explained.difference)).all()


def test_several_baselines_are_averaged(small) -> None:
    model, variables, x, first, targets = small
    other = np.zeros_like(x)
    both = integrated_gradients(model, variables, x, np.stack([first, other]), targets)
    apart = [integrated_gradients(model, variables, x, b, targets) for b in (first, other)]
    mean = (apart[0].attributions + apart[1].attributions) / 2
    np.testing.assert_allclose(both.attributions, mean, atol=1e-6)
    gaps = (apart[0].completeness_gap + apart[1].completeness_gap) / 2
    np.testing.assert_allclose(both.completeness_gap, gaps, atol=1e-6)


def test_too_few_steps_warn_and_enough_do_not(small) -> None:
    with pytest.warns(CompletenessWarning, match="sum to .* the logit differs by .* tolerance"):
        integrated_gradients(*small, rule="left", steps=1, tolerance=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        integrated_gradients(*small, steps=500, tolerance=0.05)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"baselines": np.zeros((5, 4), np.float32)}, DataError, "baselines (5, 4) with images"),
        ({"baselines": np.zeros((0, 5, 6), np.float32)}, DataError, "expected the images' shape"),
        ({"baselines": np.zeros((5, 6), np.float16)}, DataError, "baselines are float16"),
        ({"baselines": np.full((5, 6), np.nan, np.float32)}, DataError, "baselines: NaN"),
        ({"targets": np.array([0, 1, 2, 3, 0])}, ConfigError, "targets[3] is 3, expected a class"),
        ({"targets": np.array([0, 1, -1, 2, 0])}, ConfigError, "targets[2] is -1"),
        ({"targets": np.array([0, 1])}, ConfigError, "for each of the 5 images"),
        ({"rule": "simpson"}, ConfigError, "gauss_legendre"),
        ({"rule": "trapezoid", "steps": 1}, ConfigError, "at least 2"),
        ({"batch_size": 0}, ConfigError, "batch_size=0"),
    ],
)
def test_bad_input_is_named(small, change: dict, error: type, words: str) -> None:
    names = ("model", "variables", "images", "baselines", "targets")
    with pytest.raises(error) as caught:
        integrated_gradients(**(dict(zip(names, small, strict=True)) | change))
    assert words in str(caught.value)


def test_baselines() -> None:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((3, 16, 16, 1)).astype(np.float32)
    normals = rng.standard_normal((7, 16, 16, 1)).astype(np.float32)
    dark = baselines.black(images)
    assert dark.shape == images.shape
    assert dark.min() == dark.max() == np.float32(baselines.BLACK)
    soft = baselines.blurred(images)
    assert soft.std() < 0.2 * images.std()
    flat = np.full_like(images, 0.7)
    np.testing.assert_allclose(baselines.blurred(flat), flat, atol=1e-6)
    mean = baselines.mean_of(normals, images=images)
    np.testing.assert_allclose(mean[2], normals.mean(axis=0), atol=1e-6)
    drawn = baselines.draw_from(normals, images=images, count=4, seed=0)
    assert drawn.shape == (4, 3, 16, 16, 1)
    patches = {drawn[k, 1].tobytes() for k in range(4)}
    assert len(patches) == 4
    assert patches <= {normal.tobytes() for normal in normals}


def test_baselines_that_cannot_be() -> None:
    images = np.zeros((2, 8, 8, 1), np.float32)
    with pytest.raises(DataError, match="images' size"):
        baselines.mean_of(np.zeros((3, 8, 9, 1), np.float32), images=images)
    with pytest.raises(DataError, match="draw fewer"):
        baselines.draw_from(images, images=images, count=3, seed=0)


def test_a_model_in_train_mode_is_refused() -> None:
    from mgajax import models

    model = models.create("resnet18", num_classes=3, **NARROW)
    shapes = models.variable_shapes(model, image_size=32, channels=1)
    variables = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)
    images = np.zeros((2, 32, 32, 1), np.float32)
    with pytest.raises(ConfigError, match="train mode.*'train': False"):
        integrated_gradients(
            model, variables, images, images, np.array([0, 1]), call={"train": True}
        )
