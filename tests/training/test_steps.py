"""One step, many devices: the same numbers however it is spread."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from drawn import (
    LOG_VARIANCE_RATE,
    draw_examples,
    small_resnet,
    start,
    step_settings,
    train_steps,
    with_lungs,
)

from mgajax.data.augmentation import Augmentation
from mgajax.data.loader import take, to_float, training_rows
from mgajax.training import steps
from mgajax.training.feed import Feed
from mgajax.training.sharding import make_layout

STEPS, BATCH = 10, 8
ONE = make_layout(parallel="jit", devices=1)


CLOSE = 1e-8
"""Of float64 with pixels of float32, whose last bit is the compiler's: 5e-10 was seen."""


@pytest.fixture(scope="module")
def examples():
    return with_lungs(draw_examples(24))


@pytest.fixture(scope="module")
def rows():
    return [
        training_rows(np.arange(24), step=step, batch_size=BATCH, seed=0) for step in range(STEPS)
    ]


@pytest.fixture(scope="module")
def resnet_on_one_device(rows):
    return train_steps(ONE, draw_examples(24), rows, make_model=small_resnet, dtype="float64")


def test_ten_steps_of_a_resnet_equal_one_device(rows, resnet_on_one_device) -> None:
    layout = make_layout(parallel="pmap", devices=4)
    actual = train_steps(
        layout, draw_examples(24), rows, resident=True, make_model=small_resnet, dtype="float64"
    )
    assert_same_training(actual, resnet_on_one_device)
    assert_equal_on_all_devices(actual[0], devices=4)


@pytest.fixture(scope="module")
def one_device(examples, rows):
    return train_steps(ONE, examples, rows, dtype="float64")


@pytest.mark.parametrize(
    ("parallel", "devices", "resident"),
    [
        ("shard_map", 2, False),
        ("jit", 4, False),
        ("pmap", 8, False),
        ("shard_map", 8, True),
        ("jit", 8, True),
    ],
)
def test_ten_steps_equal_one_device(examples, rows, one_device, parallel, devices, resident):
    """A network of two layers: how a step is distributed does not depend on depth."""
    layout = make_layout(parallel=parallel, devices=devices)
    actual = train_steps(layout, examples, rows, resident=resident, dtype="float64")
    assert_same_training(actual, one_device)
    assert_equal_on_all_devices(actual[0], devices=devices)


def assert_same_training(actual, expected) -> None:
    (state, logged), (expected_state, expected_logged) = actual, expected
    for step, (row, other) in enumerate(zip(logged, expected_logged, strict=True)):
        assert row.keys() == other.keys()
        for name in other:
            np.testing.assert_allclose(
                row[name], other[name], rtol=CLOSE, atol=CLOSE / 10, err_msg=f"{name}, step {step}"
            )
    for part in ("params", "batch_stats"):
        first, second = flat(getattr(state, part)), flat(getattr(expected_state, part))
        assert first.dtype == second.dtype == np.float64
        assert np.linalg.norm(first - second) <= CLOSE * np.linalg.norm(second), part


def flat(tree) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(jax.device_get(tree))])


def assert_equal_on_all_devices(state, *, devices: int) -> None:
    """pmap and shard_map check nothing of the kind: each leaf must have been reduced by us."""
    for leaf in jax.tree.leaves(state):
        shards = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(shards) == devices
        assert all(np.array_equal(shards[0], other) for other in shards[1:])


def test_metrics_are_those_of_the_step_taken(resnet_on_one_device) -> None:
    _, logged = resnet_on_one_device
    first, last = logged[0], logged[-1]
    assert first["weight/cross_entropy"] == first["weight/attention"] == 0.5
    assert first["log_variance/attention"] == 0.0
    expected = 0.5 * (first["cross_entropy"] + first["attention"])
    assert first["loss"] == pytest.approx(expected, rel=1e-12)
    s = np.array([last["log_variance/cross_entropy"], last["log_variance/attention"]])
    terms = np.array([last["cross_entropy"], last["attention"]])
    assert last["loss"] == pytest.approx((0.5 * np.exp(-s) * terms + 0.5 * s).sum(), rel=1e-12)
    assert last["loss"] < first["loss"]


@pytest.fixture(scope="module")
def unvaried():
    """A train step without augmentation, its settings, and what it begins with."""
    none = Augmentation(**dict.fromkeys(dataclasses.asdict(Augmentation()), 0.0))
    settings = dataclasses.replace(step_settings(ONE), augmentation=none)
    step = jax.jit(functools.partial(steps.train_step, settings=settings))
    return step, settings, start(ONE, settings)


@pytest.mark.parametrize("annotated", [5, 1])
def test_losses_are_means_over_counted_examples_by_hand(unvaried, annotated: int) -> None:
    step, settings, state = unvaried
    drawn = with_lungs(draw_examples(BATCH))
    known = (np.arange(BATCH) < annotated).astype(np.float32)
    batch = take(drawn.replace(mask_weights=known), np.arange(BATCH, dtype=np.int32))
    after, metrics = step(state, batch)
    assert int(after.step) == 1
    variables = {"params": state.params["model"], "batch_stats": state.batch_stats}
    apply = functools.partial(settings.model.apply, train=True, mutable=["batch_stats"])
    output, _ = jax.jit(apply)(variables, to_float(batch.images))
    scores = np.asarray(output.logits, np.float64)
    likelihoods = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    expected = {"cross_entropy": -likelihoods[np.arange(BATCH), batch.labels].mean()}
    masks = batch.masks.astype(np.float64) / 255
    lungs = masks[..., 1].any(axis=(1, 2))
    for name, stage, channel, counts in (
        ("attention", "stage3", 0, known > 0),
        ("lungs", "stage2", 1, lungs),
    ):
        side = output.attention[stage].shape[1]
        small = masks[..., channel].reshape(BATCH, side, 32 // side, side, 32 // side).mean((2, 4))
        distances = np.square(np.asarray(output.attention[stage])[..., 0] - small).mean((1, 2))
        expected[name] = distances[counts].mean()
    assert {name: float(metrics[name]) for name in expected} == pytest.approx(expected, rel=1e-5)


def test_log_variances_learn_by_their_own_gradient_at_their_own_rate(one_device) -> None:
    """Eq. 6's slope is (1 − L) / 2 where s is 0, and Adam's first step is the rate downhill."""
    first, second = one_device[1][:2]
    for name in ("cross_entropy", "attention"):
        expected = LOG_VARIANCE_RATE * first["learning_rate"] * np.sign(first[name] - 1.0)
        assert second[f"log_variance/{name}"] == pytest.approx(expected, rel=1e-6)


def test_a_batch_without_masks_leaves_its_variance_alone(examples) -> None:
    blind = examples.replace(mask_weights=np.zeros_like(examples.mask_weights))
    rows = [np.arange(BATCH, dtype=np.int32)]
    state, logged = train_steps(ONE, blind, rows, dtype="float64")
    assert logged[0]["attention"] == 0.0
    assert float(state.params["log_variances"]["attention"]) == 0.0
    assert float(state.params["log_variances"]["cross_entropy"]) != 0.0


def test_lungs_are_a_third_term_of_equation_6(one_device) -> None:
    state, logged = one_device
    names = ("cross_entropy", "attention", "lungs")
    assert set(state.params["log_variances"]) == set(names)
    s = np.array([logged[-1][f"log_variance/{name}"] for name in names])
    terms = np.array([logged[-1][name] for name in names])
    assert (s != 0.0).all()
    expected = (0.5 * np.exp(-s) * terms + 0.5 * s).sum()
    assert logged[-1]["loss"] == pytest.approx(expected, rel=1e-12)


@pytest.fixture(scope="module")
def single_precision(examples, rows):
    return train_steps(ONE, examples, rows[:3], weighting="uncertainty_kendall")


def test_devices_do_not_matter_in_float32(examples, rows, single_precision) -> None:
    """As users train."""
    layout = make_layout(parallel="pmap", devices=4)
    _, logged = train_steps(
        layout, examples, rows[:3], resident=True, weighting="uncertainty_kendall"
    )
    for row, other in zip(logged, single_precision[1], strict=True):
        assert row.keys() == other.keys() >= {"lungs", "weight/lungs", "log_variance/lungs"}
        for name in other:
            np.testing.assert_allclose(row[name], other[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_configured_form_of_the_weights_is_the_one_that_is_learned(single_precision) -> None:
    first = single_precision[1][0]
    assert first["weight/cross_entropy"] == 1.0
    assert first["weight/attention"] == first["weight/lungs"] == 0.5
    expected = first["cross_entropy"] + 0.5 * (first["attention"] + first["lungs"])
    assert first["loss"] == pytest.approx(expected, rel=1e-6)


def test_bfloat16_leaves_the_state_in_float32(examples, rows) -> None:
    state, (metrics,) = train_steps(ONE, examples, rows[:1], dtype="bfloat16")
    leaves = jax.tree.leaves((state.params, state.batch_stats))
    assert {str(leaf.dtype) for leaf in leaves} == {"float32"}
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert np.isfinite(list(metrics.values())).all()


def test_each_map_is_compared_with_its_own_mask(examples) -> None:
    settings = step_settings(ONE)
    state = start(ONE, settings)
    batch = jax.device_put(take(examples, np.arange(8, dtype=np.int32)))
    outputs = jax.jit(functools.partial(steps.predict_step, settings=settings))(state, batch)
    variables = {"params": state.params["model"], "batch_stats": state.batch_stats}
    output = jax.jit(settings.model.apply)(variables, to_float(batch.images))
    masks = batch.masks.astype(np.float32) / 255
    for name, stage, channel in (("attention", "stage3", 0), ("lungs", "stage2", 1)):
        side = output.attention[stage].shape[1]
        small = masks[..., channel].reshape(8, side, 32 // side, side, 32 // side).mean((2, 4))
        distance = np.square(np.asarray(output.attention[stage])[..., 0] - small)
        np.testing.assert_allclose(outputs[name], distance.mean((1, 2)), rtol=1e-5)
    known = np.asarray(outputs[steps.weight_name("lungs")])
    np.testing.assert_array_equal(known, [1, 1, 0, 1, 1, 1, 1, 1])


@pytest.mark.parametrize("devices", [1, 4])
def test_prediction_ignores_batch_size_and_padding(examples, devices) -> None:
    layout = make_layout(parallel="pmap", devices=devices)
    settings = step_settings(layout)
    state = start(layout, settings)
    feed = Feed(examples=examples, layout=layout, resident=False)
    predict = feed.compile_step(
        functools.partial(steps.predict_step, settings=settings), outputs="sharded"
    )
    whole = layout.gather(predict(state, *feed.inputs(np.arange(8, dtype=np.int32))))
    padded = np.array([2, 5, -1, -1], np.int32)
    part = layout.gather(predict(state, *feed.inputs(padded)))
    assert whole["attention_map"].shape == (8, 8, 8)
    for name in ("logits", "cross_entropy", "attention", "lungs", "attention_map"):
        np.testing.assert_allclose(part[name][:2], whole[name][[2, 5]], rtol=1e-5, atol=1e-6)


def test_gradients_are_flat_before_the_optimiser_on_a_gpu_only() -> None:
    kernels = {
        "kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 1, 4),
        "bias": np.arange(4, dtype=np.float32),
    }
    traced = jax.jit(steps.in_stored_order).trace(kernels)
    has_barrier = {
        platform: "optimization_barrier" in traced.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda", "tpu")
    }
    assert has_barrier == {"cpu": False, "cuda": True, "tpu": False}
    jax.tree.map(np.testing.assert_array_equal, jax.jit(steps._through_vectors)(kernels), kernels)
