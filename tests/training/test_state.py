"""Schedules and optimisers, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from mgajax.training.state import create_state, learning_rate, make_optimiser


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.2, 0.2, 0.2, 0.2]),
        ("cosine", [0.2, 0.1 * (1 + np.cos(np.pi / 4)), 0.1, 0.0]),
        ("poly", [0.2, 0.2 * 0.75**2, 0.2 * 0.5**2, 0.0]),
    ],
)
def test_schedules_go_from_the_rate_to_their_end(schedule: str, expected: list[float]) -> None:
    settings = ConfigDict({"learning_rate": 0.2, "schedule": schedule, "power": 2.0})
    rate = learning_rate(settings, total_steps=4)
    np.testing.assert_allclose([rate(step) for step in (0, 1, 2, 4)], expected, atol=1e-8)


def stepped(**settings: float | str) -> tuple[float, float]:
    """A weight of 1 and a log variance of 0 after one step with gradients 2 and −3, rate 0.1."""
    optimiser = make_optimiser(optax.constant_schedule(0.1), **settings)
    variables = {"params": {"weight": jnp.ones((), jnp.float32)}}
    state = create_state(variables, terms=("mse",), optimiser=optimiser)
    gradients = {
        "model": {"weight": jnp.float32(2.0)},
        "log_variances": {"mse": jnp.float32(-3.0)},
    }
    with jax.numpy_dtype_promotion("standard"):  # as the train step calls it
        updates, _ = optimiser.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return float(params["model"]["weight"]), float(params["log_variances"]["mse"])


@pytest.mark.parametrize(
    ("settings", "weight", "log_variance"),
    [
        ({}, 0.9, 0.1),  # Adam's first step is its rate
        ({"log_variance_rate": 5.0}, 0.9, 0.5),
        ({"name": "sgd"}, 0.8, 0.1),
        ({"name": "sgd", "momentum": 0.9}, 0.8, 0.1),
        ({"name": "sgd", "weight_decay": 0.5}, 0.75, 0.1),
    ],
)
def test_one_step(settings: dict, weight: float, log_variance: float) -> None:
    assert stepped(**settings) == pytest.approx((weight, log_variance), rel=1e-5)
