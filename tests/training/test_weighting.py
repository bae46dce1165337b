"""Eq. 6 against PyTorch's numbers and by hand, and the other ways to learn its weights."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax.training.weighting import (
    Weighting,
    log_variances,
    penalties,
    task_weights,
    weighted_total,
)

FIXTURES = Path(__file__).parent.parent / "goldens" / "classification"
CASES = sorted(path.stem for path in FIXTURES.glob("mga_*.npz"))
LOSSES = jnp.asarray([0.7, 0.03], jnp.float32)
IS_CLASS = jnp.asarray([True, False])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("dtype", "close"), [("float32", 1e-5), ("float64", 1e-12)], ids=["float32", "float64"]
)
def test_weighted_total_and_its_gradient_equal_pytorch(case: str, dtype: str, close: float) -> None:
    golden = np.load(FIXTURES / f"{case}.npz")
    likelihood = golden["train/cross_entropy"].mean()
    guidance = golden["attention_loss/mse/area"].mean()
    with jax.enable_x64(dtype == "float64"):
        losses = jnp.asarray([likelihood, guidance], dtype)
        s = jnp.asarray(golden["log_variances"], dtype)
        total, gradient = jax.value_and_grad(weighted_total, argnums=1)(losses, s)
    assert float(total) == pytest.approx(float(golden["train/loss"]), rel=close)
    np.testing.assert_allclose(
        gradient, golden["log_variances_gradient"], rtol=close, atol=close / 10
    )


def test_effective_weights_halve_the_precision() -> None:
    s = jnp.asarray([0.0, np.log(4.0)], jnp.float32)
    np.testing.assert_allclose(task_weights(s), [0.5, 0.125], rtol=1e-6)


@pytest.mark.parametrize(
    ("form", "variances"),
    [
        (Weighting.UNCERTAINTY, LOSSES),
        (Weighting.SIGMA, LOSSES),
        (Weighting.KENDALL, LOSSES * jnp.asarray([2.0, 1.0])),
    ],
)
def test_three_forms_have_one_optimum(form: Weighting, variances: jax.Array) -> None:
    theta = jnp.sqrt(variances) - 1 if form == Weighting.SIGMA else jnp.log(variances)
    total = functools.partial(weighted_total, is_class=IS_CLASS, form=form)
    gradient = jax.grad(total, argnums=1)(LOSSES, theta)
    np.testing.assert_allclose(gradient, [0.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(log_variances(theta, form=form), jnp.log(variances), rtol=1e-5)
    weights = task_weights(theta, is_class=IS_CLASS, form=form)
    np.testing.assert_allclose(weights, 0.5 / LOSSES, rtol=1e-5)


@pytest.mark.parametrize("form", Weighting)
def test_every_form_starts_at_a_variance_of_one(form: Weighting) -> None:
    theta = jnp.zeros(2, jnp.float32)
    np.testing.assert_array_equal(log_variances(theta, form=form), [0.0, 0.0])
    expected = [1.0 if form == Weighting.KENDALL else 0.5, 0.5]
    weights = task_weights(theta, is_class=IS_CLASS, form=form)
    np.testing.assert_array_equal(weights, expected)
    total = weighted_total(LOSSES, theta, is_class=IS_CLASS, form=form)
    penalty = 2 * np.log(2) if form == Weighting.POSITIVE else 0.0
    assert float(total) == pytest.approx(float((np.array(expected) * LOSSES).sum()) + penalty)


def test_the_positive_form_never_goes_below_zero() -> None:
    theta = jnp.linspace(-3.0, 3.0, 101, dtype=jnp.float32)
    assert float(penalties(theta, form=Weighting.POSITIVE).min()) >= 0.0
    assert float(penalties(theta, form=Weighting.UNCERTAINTY).min()) < 0.0


def test_only_the_share_that_counts_is_penalised() -> None:
    theta = jnp.asarray([1.0, 1.0], jnp.float32)
    share = jnp.asarray([1.0, 0.0], jnp.float32)
    none = jnp.zeros(2, jnp.float32)
    assert float(weighted_total(none, theta, penalised=share)) == pytest.approx(0.5)
