"""One step, many devices: the same numbers however it is spread."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from drawn import CONFIG, draw_examples, start, step_settings, train_steps

from mgajax.data.loader import Examples, take, to_float, training_rows
from mgajax.training import steps
from mgajax.training.feed import Feed
from mgajax.training.sharding import make_layout
from mgajax.training.tasks import make_task

STEPS, BATCH = 10, 8


@pytest.fixture(scope="module")
def examples():
    return draw_examples(24)


@pytest.fixture(scope="module")
def rows():
    return [
        training_rows(np.arange(24), step=step, batch_size=BATCH, seed=0) for step in range(STEPS)
    ]


@pytest.fixture(scope="module")
def one_device(examples, rows):
    return train_steps(make_layout(parallel="jit", devices=1), examples, rows)


def flat(tree) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(jax.device_get(tree))])


@pytest.mark.parametrize(
    ("parallel", "devices", "resident"),
    [
        ("pmap", 4, True),
        pytest.param("shard_map", 2, False, marks=pytest.mark.slow),
        pytest.param("jit", 4, False, marks=pytest.mark.slow),
        pytest.param("pmap", 8, False, marks=pytest.mark.slow),
        pytest.param("shard_map", 8, True, marks=pytest.mark.slow),
        pytest.param("jit", 8, True, marks=pytest.mark.slow),
    ],
)
def test_ten_steps_equal_one_device(examples, rows, one_device, parallel, devices, resident):
    layout = make_layout(parallel=parallel, devices=devices)
    state, logged = train_steps(layout, examples, rows, resident=resident)
    expected_state, expected = one_device
    for step, (row, other) in enumerate(zip(logged, expected, strict=True)):
        assert row.keys() == other.keys()
        for name in other:
            np.testing.assert_allclose(
                row[name], other[name], rtol=1e-5, atol=1e-6, err_msg=f"step {step}, {name}"
            )
    for part in ("params", "batch_stats"):
        found, wanted = flat(getattr(state, part)), flat(getattr(expected_state, part))
        assert np.linalg.norm(found - wanted) <= 1e-5 * np.linalg.norm(wanted), part
    assert_equal_on_all_devices(state, devices=devices)


def assert_equal_on_all_devices(state, *, devices: int) -> None:
    """pmap and shard_map check nothing of the kind: each leaf must have been reduced by us."""
    for leaf in jax.tree.leaves(state):
        shards = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(shards) == devices
        assert all(np.array_equal(shards[0], other) for other in shards[1:])


def test_metrics_are_those_of_the_step_taken(one_device) -> None:
    _, logged = one_device
    first, last = logged[0], logged[-1]
    assert first["weight/cross_entropy"] == first["weight/attention"] == 0.5
    assert first["log_variance/attention"] == 0.0
    expected = 0.5 * (first["cross_entropy"] + first["attention"])
    assert first["loss"] == pytest.approx(expected, rel=1e-6)
    s = np.array([last["log_variance/cross_entropy"], last["log_variance/attention"]])
    terms = np.array([last["cross_entropy"], last["attention"]])
    assert last["loss"] == pytest.approx((0.5 * np.exp(-s) * terms + 0.5 * s).sum(), rel=1e-5)
    assert last["loss"] < first["loss"]


def test_a_batch_without_masks_leaves_its_variance_alone(examples) -> None:
    blind = Examples(
        images=examples.images,
        masks=examples.masks,
        labels=examples.labels,
        mask_weights=np.zeros_like(examples.mask_weights),
    )
    layout = make_layout(parallel="jit", devices=1)
    state, logged = train_steps(layout, blind, [np.arange(BATCH, dtype=np.int32)])
    assert logged[0]["attention"] == 0.0
    assert float(state.params["log_variances"]["attention"]) == 0.0
    assert float(state.params["log_variances"]["cross_entropy"]) != 0.0


def with_lungs(examples: Examples) -> Examples:
    """Lungs in the left half of every slice but the third."""
    lungs = np.zeros_like(examples.masks)
    lungs[:, :, :16] = 255
    lungs[2] = 0
    return examples.replace(lungs=lungs)


@pytest.fixture(scope="module")
def lungs_on_one_device(examples, rows):
    layout = make_layout(parallel="jit", devices=1)
    return train_steps(layout, with_lungs(examples), rows[:3], lungs="stage2")


@pytest.mark.parametrize(
    ("parallel", "resident"),
    [("pmap", True), pytest.param("shard_map", False, marks=pytest.mark.slow)],
)
def test_lungs_and_lesions_on_many_devices(
    examples, rows, lungs_on_one_device, parallel, resident
) -> None:
    layout = make_layout(parallel=parallel, devices=4)
    found = train_steps(layout, with_lungs(examples), rows[:3], resident=resident, lungs="stage2")
    for row, other in zip(found[1], lungs_on_one_device[1], strict=True):
        assert row.keys() == other.keys() >= {"lungs", "weight/lungs", "log_variance/lungs"}
        for name in other:
            np.testing.assert_allclose(row[name], other[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_lungs_are_a_third_term_of_equation_6(lungs_on_one_device) -> None:
    state, logged = lungs_on_one_device
    names = ("cross_entropy", "attention", "lungs")
    assert set(state.params["log_variances"]) == set(names)
    s = np.array([logged[-1][f"log_variance/{name}"] for name in names])
    terms = np.array([logged[-1][name] for name in names])
    assert (s != 0.0).all()
    assert logged[-1]["loss"] == pytest.approx((0.5 * np.exp(-s) * terms + 0.5 * s).sum(), rel=1e-5)


def test_a_configured_form_of_the_weights_is_the_one_that_is_learned(examples) -> None:
    layout = make_layout(parallel="jit", devices=1)
    settings = step_settings(layout)
    config = CONFIG.copy_and_resolve_references()
    config.loss.weighting = "uncertainty_kendall"
    settings = dataclasses.replace(settings, task=make_task(config, model=settings.model))
    batch = jax.device_put(take(examples, np.arange(8, dtype=np.int32)))
    step = jax.jit(functools.partial(steps.train_step, settings=settings))
    _, metrics = step(start(layout, settings), batch)
    assert float(metrics["weight/cross_entropy"]) == 1.0
    assert float(metrics["weight/attention"]) == 0.5
    expected = float(metrics["cross_entropy"]) + 0.5 * float(metrics["attention"])
    assert float(metrics["loss"]) == pytest.approx(expected, rel=1e-6)


def test_each_map_is_compared_with_its_own_mask(examples) -> None:
    layout = make_layout(parallel="jit", devices=1)
    settings = step_settings(layout, lungs="stage2")
    state = start(layout, settings)
    batch = jax.device_put(take(with_lungs(examples), np.arange(8, dtype=np.int32)))
    found = steps.predict_step(state, batch, settings=settings)
    variables = {"params": state.params["model"], "batch_stats": state.batch_stats}
    maps = settings.model.apply(variables, to_float(batch.images), train=False).attention
    masks = batch.masks.astype(np.float32) / 255
    for name, stage, channel in (("attention", "stage3", 0), ("lungs", "stage2", 1)):
        side = maps[stage].shape[1]
        small = masks[..., channel].reshape(8, side, 32 // side, side, 32 // side).mean((2, 4))
        expected = np.square(np.asarray(maps[stage])[..., 0] - small).mean((1, 2))
        np.testing.assert_allclose(found[name], expected, rtol=1e-5)
    known = np.asarray(found[steps.weight_name("lungs")])
    np.testing.assert_array_equal(known, [1, 1, 0, 1, 1, 1, 1, 1])


@pytest.mark.parametrize("devices", [1, 4])
def test_prediction_ignores_batch_size_and_padding(examples, devices) -> None:
    layout = make_layout(parallel="pmap", devices=devices)
    settings = step_settings(layout)
    state = start(layout, settings)
    feed = Feed(examples=examples, layout=layout, resident=False)
    predict = feed.step(functools.partial(steps.predict_step, settings=settings), outputs="sharded")
    whole = layout.gather(predict(state, *feed.inputs(np.arange(8, dtype=np.int32))))
    padded = np.array([2, 5, -1, -1], np.int32)
    part = layout.gather(predict(state, *feed.inputs(padded)))
    assert whole["attention_map"].shape == (8, 2, 2)
    for name in ("logits", "cross_entropy", "attention", "attention_map"):
        np.testing.assert_allclose(part[name][:2], whole[name][[2, 5]], rtol=1e-5, atol=1e-6)
