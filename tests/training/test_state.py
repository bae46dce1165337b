"""Schedules and optimisers, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from mgajax.training.state import create_state, make_optimiser, make_schedule


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
    rate = make_schedule(settings, total_steps=4)
    np.testing.assert_allclose([rate(step) for step in (0, 1, 2, 4)], expected, atol=1e-8)


def stepped(**settings: float | str) -> tuple[float, float]:
    """A weight of 1 and a log variance of 0 after two steps with gradients 2 and −3, rate 0.1."""
    optimiser = make_optimiser(optax.constant_schedule(0.1), **settings)
    variables = {"params": {"weight": jnp.ones((), jnp.float32)}}
    state = create_state(variables, terms=("mse",), optimiser=optimiser)
    gradients = {
        "model": {"weight": jnp.float32(2.0)},
        "log_variances": {"mse": jnp.float32(-3.0)},
    }
    params, opt_state = state.params, state.opt_state
    for _ in range(2):
        with jax.numpy_dtype_promotion("standard"):  # as the train step calls it
            updates, opt_state = optimiser.update(gradients, opt_state, params)
        params = optax.apply_updates(params, updates)
    return float(params["model"]["weight"]), float(params["log_variances"]["mse"])


@pytest.mark.parametrize(
    ("settings", "weight", "log_variance"),
    [
        ({}, 0.8, 0.2),  # under equal gradients Adam's step is its rate
        ({"log_variance_rate": 5.0}, 0.8, 1.0),
        ({"name": "sgd"}, 0.6, 0.2),
        ({"name": "sgd", "momentum": 0.9}, 0.42, 0.2),
        ({"name": "sgd", "weight_decay": 0.5}, 0.5125, 0.2),
    ],
)
def test_two_steps(settings: dict, weight: float, log_variance: float) -> None:
    assert stepped(**settings) == pytest.approx((weight, log_variance), rel=1e-5)
