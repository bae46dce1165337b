"""The trunk with its repeated parts compiled once."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax import models
from mgajax.models.blocks import Layers
from mgajax.models.hmsanet import HMSANet
from mgajax.models.hrnet import REPEATS, HRNet, TrunkPlan
from mgajax.models.ocr import HeadPlan

PLAN = TrunkPlan(4, modules=(2,), blocks=2, stem=4, bottlenecks=1, bottleneck_width=4)


def trunk(repeats: str, *, remat: str = "none", dtype: str = "float64") -> HRNet:
    return HRNet(PLAN, Layers(dtype), remat, repeats)


@functools.cache
def start() -> dict:
    """Variables of their own for every block and module."""
    rng = np.random.default_rng(4)
    shapes = jax.eval_shape(
        functools.partial(trunk("scanned", dtype="float32").init, train=True),
        jax.random.key(0),
        jnp.zeros((1, 32, 32, 1), jnp.float32),
    )
    return jax.tree.map(
        lambda leaf: jnp.asarray(0.5 + 0.3 * rng.standard_normal(leaf.shape), jnp.float32) ** 2,
        shapes,
    )


def images(dtype: str = "float64") -> jax.Array:
    return jnp.asarray(np.random.default_rng(5).standard_normal((2, 32, 32, 1)), dtype)


def trained(repeats: str):
    """Loss, new statistics and gradients of one training pass, compiled, float64."""

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    @functools.partial(jax.value_and_grad, has_aux=True)
    def run(params: dict):
        features, new = trunk(repeats).apply(
            {**start(), "params": params}, images(), train=True, mutable=["batch_stats"]
        )
        return jnp.mean(jnp.square(features)), new

    return run(start()["params"])


@pytest.mark.slow(finds="a number that the loop over blocks or modules changes")
def test_scanning_changes_no_number() -> None:
    with jax.enable_x64(True):
        unrolled, scanned = (jax.device_get(trained(repeats)) for repeats in REPEATS)
        evaluated = [
            np.asarray(trunk(repeats).apply(start(), images(), train=False)) for repeats in REPEATS
        ]
    largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(unrolled[1]))
    same = functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6 * largest)
    jax.tree.map(same, scanned, unrolled)
    np.testing.assert_allclose(*evaluated, rtol=1e-9)
    before, after = start()["batch_stats"], scanned[0][1]["batch_stats"]
    moved = jax.tree.map(lambda a, b: float(np.abs(np.asarray(a) - b).max()), before, after)
    assert min(jax.tree.leaves(moved)) > 1e-3


def test_scanning_loops_instead_of_repeating() -> None:
    """Blocks loop inside modules, forgotten or not; one pass of the loop per repeated part."""

    def traced(repeats: str, remat: str = "none") -> Any:
        model = trunk(repeats, remat=remat, dtype="float32")
        x = images("float32")

        def loss(params: dict):
            features, new = model.apply(
                {**start(), "params": params}, x, train=True, mutable=["batch_stats"]
            )
            return jnp.mean(features), new

        return jax.jit(jax.grad(loss, has_aux=True)).trace(start()["params"])

    unrolled, scanned = (traced(repeats).lower().as_text() for repeats in REPEATS)
    few, many = (
        program.count("stablehlo.convolution") + program.count("stablehlo.dot_general")
        for program in (scanned, unrolled)
    )
    assert few < 0.6 * many
    assert "stablehlo.while" in scanned
    assert "stablehlo.while" not in unrolled
    assert "prevent_cse" in str(traced("scanned", remat="modules").jaxpr)


def test_scanning_is_an_option_of_the_whole_network() -> None:
    """Gradients and statistics of the two scales keep their tree."""
    chosen = {"repeats": "scanned", "remat": "modules"}
    made = models.create("hmsanet", num_classes=2, **chosen)
    assert {key: getattr(made, key) for key in chosen} == chosen

    def shapes(**options):
        model = HMSANet(2, PLAN, HeadPlan(8, 4, dropout=0.05), Layers(), **options)
        drawn = models.variable_shapes(model, image_size=32, channels=1)

        def loss(params: dict, batch_stats: dict):
            out, new = model.apply(
                {"params": params, "batch_stats": batch_stats},
                images("float32"),
                train=True,
                rngs={"dropout": jax.random.key(0)},
                mutable=["batch_stats"],
            )
            return jnp.mean(out.logits), new

        gradient = jax.grad(loss, has_aux=True)
        return jax.eval_shape(gradient, drawn["params"], drawn["batch_stats"])

    assert shapes(**chosen) == shapes()
