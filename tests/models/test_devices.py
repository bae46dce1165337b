"""Statistics and gradients over eight devices equal those of one with the whole batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mgajax.models.blocks import Layers
from mgajax.models.cbam import AttentionPlan
from mgajax.models.initialise import init_variables
from mgajax.models.resnet import BasicBlock, ResNet
from mgajax.training.classification_losses import attention_loss, cross_entropy

BATCH, SIZE = 16, 32
PLAN = AttentionPlan(placement="every_block", flavour="official", stages=(1, 2))


def small_network(*, axis_name: str | None) -> ResNet:
    layers = Layers("float64", axis_name)
    return ResNet(3, BasicBlock, (1, 1, 1, 1), layers, PLAN, "stage2", width=16)


def step(model: ResNet, variables, images, labels, masks):
    """Sums of losses over this shard, divided by the count of the whole batch."""

    def objective(params):
        out, new = model.apply(
            {"params": params, "batch_stats": variables["batch_stats"]},
            images,
            train=True,
            mutable=["batch_stats"],
        )
        likelihood = cross_entropy(out.logits, labels)
        guidance = attention_loss(out.attention[out.guided], masks)
        return jnp.sum(likelihood + 3.0 * guidance) / BATCH, new["batch_stats"]

    return jax.value_and_grad(objective, has_aux=True)(variables["params"])


def test_eight_devices_give_the_numbers_of_one() -> None:
    if jax.device_count() < 8:
        pytest.skip("needs 8 devices")
    with jax.enable_x64(True):  # what is left is no rounding
        compare()


def compare() -> None:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((BATCH, SIZE, SIZE, 1))
    images[:2] += 5.0  # one device's share has statistics of its own
    masks = (rng.random((BATCH, SIZE, SIZE, 1)) < 0.3).astype(np.float64)
    labels = rng.integers(0, 3, BATCH).astype(np.int32)
    single = small_network(axis_name=None)
    variables = init_variables(single, image_size=SIZE, channels=1, seed=0)
    for norm in (variables["params"][f"stage{n}"]["block0"]["cbam"]["spatial"] for n in (1, 2)):
        norm["norm"]["scale"] += 1.0  # the official start, 0, would hide the gates
    # Gradients and statistics have their variables' type: each device would round its share.
    variables = jax.tree.map(np.float64, variables)

    batch = tuple(map(jnp.asarray, (images, labels, masks)))
    (loss, statistics), gradients = jax.jit(lambda v, b: step(single, v, *b))(variables, batch)

    spread = small_network(axis_name="data")

    def shard_step(variables, batch):
        (loss, statistics), gradients = step(spread, variables, *batch)
        return (lax.psum(loss, "data"), statistics), lax.psum(gradients, "data")

    shards = jax.tree.map(lambda a: a.reshape(8, BATCH // 8, *a.shape[1:]), batch)
    over_devices = jax.pmap(shard_step, axis_name="data", in_axes=(None, 0), out_axes=None)
    (loss8, statistics8), gradients8 = over_devices(variables, shards)

    assert float(loss8) == pytest.approx(float(loss), rel=1e-12)
    same = functools.partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
    jax.tree.map(same, jax.device_get(statistics8), jax.device_get(statistics))
    jax.tree.map(same, jax.device_get(gradients8), jax.device_get(gradients))
