"""The step that trains segmenters: the same numbers on any number of devices, and which they are."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from drawn import SIDE, MakeModel, computing_in, draw_examples, start
from minute_hmsanet import minute
from ml_collections import ConfigDict

from mgajax.data.augmentation import Augmentation
from mgajax.data.loader import NO_ROW, take, to_float, training_rows
from mgajax.models.blocks import Layers
from mgajax.models.hmsanet import LOW_SCALES, HMSANet
from mgajax.models.initialise import RESNET_LAWS
from mgajax.models.outputs import SegmenterOutput
from mgajax.training import steps
from mgajax.training.feed import Feed
from mgajax.training.sharding import Layout, make_layout
from mgajax.training.state import TrainState, make_optimiser
from mgajax.training.tasks import make_segmentation_task

STEPS, BATCH = 3, 8
STILL = Augmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class SmallSegmenter(nn.Module):
    """Three layers with everything that could differ between devices: statistics and dropout."""

    layers: Layers
    laws = RESNET_LAWS

    @nn.compact
    def __call__(self, images, *, train: bool) -> SegmenterOutput:
        x = jax.nn.relu(
            self.layers.norm(name="norm")(
                self.layers.conv(8, kernel=3, name="conv")(images), train=train
            )
        )
        x = self.layers.dropout(0.3, unit="channel", name="dropout")(x, train=train)
        scores = {
            name: self.layers.class_scores(2, name=name.replace(".", "_"))(x)
            for name in ("main", "ocr", "scale_0.5", "scale_1.0")
        }
        return SegmenterOutput(logits=scores.pop("main"), auxiliary=scores)


def loss_settings(**changed) -> ConfigDict:
    return ConfigDict(
        {
            "kind": "cross_entropy",
            "dice_weight": 0.5,
            "auxiliary_weight": 0.4,
            "scale_weight": 0.05,
        }
        | changed
    )


def step_settings(
    layout: Layout,
    loss: ConfigDict,
    *,
    dtype: str = "float32",
    make_model: MakeModel = SmallSegmenter,
) -> steps.StepSettings:
    schedule = optax.constant_schedule(0.01)
    return steps.StepSettings(
        model=make_model(Layers(dtype, layout.axis_name)),
        optimiser=make_optimiser(schedule, name="sgd", momentum=0.9, weight_decay=5e-4),
        schedule=schedule,
        augmentation=Augmentation(rotation_degrees=0.0, scale=0.5, translate=0.25),
        task=make_segmentation_task(loss),
        seed=0,
        axis_name=layout.axis_name,
    )


@functools.cache
def train(kind: str, *, parallel: str, devices: int) -> tuple[TrainState, list[dict[str, float]]]:
    """A few steps under all losses of a kind, in float64."""
    known = np.tile(np.array([1, 1, 0], np.float32), 8)  # unknown masks spread unevenly
    examples = draw_examples(24).replace(mask_weights=known)
    layout = make_layout(parallel=parallel, devices=devices)
    feed = Feed(examples=examples, layout=layout, resident=False)
    with computing_in("float64"):
        settings = step_settings(layout, loss_settings(kind=kind), dtype="float64")
        function = functools.partial(steps.train_step, settings=settings)
        step = feed.compile_step(function, outputs=("replicated", "replicated"), donate=True)
        state, logged = start(layout, settings), []
        for number in range(STEPS):
            rows = training_rows(np.arange(24), step=number, batch_size=BATCH, seed=0)
            state, metrics = step(state, *feed.inputs(rows))
            logged.append({name: float(value) for name, value in metrics.items()})
    return state, logged


def scales_apart(layers: Layers) -> HMSANet:
    """With running statistics for each scale."""
    return minute(layers=layers, statistics="per_scale")


@functools.cache
def step_and_predict(*, parallel: str, devices: int) -> tuple[TrainState, dict[str, np.ndarray]]:
    """One step of `scales_apart` in float64, and what it then says of slices, one of them in no batch."""
    examples = draw_examples(BATCH)
    layout = make_layout(parallel=parallel, devices=devices)
    feed = Feed(examples=examples, layout=layout, resident=False)
    with computing_in("float64"):
        settings = step_settings(layout, loss_settings(), dtype="float64", make_model=scales_apart)
        step, predict = (
            feed.compile_step(functools.partial(function, settings=settings), outputs=outputs)
            for function, outputs in (
                (steps.train_step, ("replicated", "replicated")),
                (steps.predict_step, "sharded"),
            )
        )
        rows = training_rows(np.arange(BATCH), step=0, batch_size=BATCH, seed=0)
        state, _ = step(start(layout, settings), *feed.inputs(rows))
        judged = np.array([*range(BATCH - 1), NO_ROW], np.int32)
        predicted = layout.gather(predict(state, *feed.inputs(judged)))
    return jax.device_get(state), predicted


@pytest.mark.slow(finds="running statistics of one scale that each device keeps of its own share")
def test_statistics_of_each_scale_are_those_of_the_whole_batch_on_eight_devices() -> None:
    """Training and evaluation, in float64."""
    expected, expected_outputs = step_and_predict(parallel="jit", devices=1)
    state, outputs = step_and_predict(parallel="pmap", devices=8)
    same = functools.partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-9)
    jax.tree.map(same, (state.params, state.batch_stats), (expected.params, expected.batch_stats))
    assert outputs.keys() == expected_outputs.keys()
    jax.tree.map(same, outputs, expected_outputs)
    whole = {name: tree for name, tree in state.batch_stats.items() if name != LOW_SCALES}
    gaps = jax.tree.map(
        lambda low, full: np.abs(low - full).max(), state.batch_stats[LOW_SCALES], whole
    )
    assert max(jax.tree.leaves(gaps)) > 1e-3, "each scale has moved its own"


@pytest.mark.parametrize(("kind", "parallel"), [("cross_entropy", "pmap"), ("rmi", "shard_map")])
def test_one_image_on_each_of_eight_devices_equals_a_batch_of_eight(
    kind: str, parallel: str
) -> None:
    """In float64, with pixels of float32, whose last bit is the compiler's: 5e-10 was seen."""
    expected_state, expected = train(kind, parallel="jit", devices=1)
    state, logged = train(kind, parallel=parallel, devices=8)
    for row, other in zip(logged, expected, strict=True):
        assert row.keys() == other.keys()
        for name in other:
            assert row[name] == pytest.approx(other[name], rel=1e-8, abs=1e-9), name
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-9),
        jax.device_get((state.params, state.batch_stats)),
        jax.device_get((expected_state.params, expected_state.batch_stats)),
    )


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    first = train("cross_entropy", parallel="jit", devices=1)[1][0]
    expected = first["cross_entropy"] + 0.5 * first["soft_dice"] + 0.4 * first["auxiliary"]
    expected += 0.05 * (first["scale_0.5"] + first["scale_1.0"])
    assert first["loss"] == pytest.approx(expected, rel=1e-7)  # the weights are float32
    first = train("rmi", parallel="jit", devices=1)[1][0]
    expected = 0.5 * first["binary_cross_entropy"] + 0.5 * first["rmi"] + 0.4 * first["auxiliary"]
    expected += 0.5 * first["soft_dice"]
    expected += 0.05 * (first["scale_0.5"] + first["scale_1.0"])
    assert first["loss"] == pytest.approx(expected, rel=1e-7)
    assert "cross_entropy" in first, "validation and the log always have it"


def test_soft_dice_is_differentiated_as_one_ratio_of_the_batch() -> None:
    """SGD without momentum moves the parameters by the gradient of the pooled ratio itself."""
    layout = make_layout(parallel="jit", devices=1)
    loss = loss_settings(dice_weight=1.0, auxiliary_weight=0.0, scale_weight=0.0)
    settings = step_settings(layout, loss)
    batch = take(draw_examples(BATCH), np.arange(BATCH, dtype=np.int32))
    state = start(layout, settings)
    plain = dataclasses.replace(settings, augmentation=STILL)

    def gradient(terms: tuple[str, ...]) -> dict:
        def pick(output, batch, masks):
            computed = settings.task.terms(output, batch, masks)
            return {name: computed[name] for name in terms}

        task = dataclasses.replace(settings.task, terms=pick)
        optimiser = make_optimiser(settings.schedule, name="sgd")
        changed = dataclasses.replace(plain, task=task, optimiser=optimiser)
        initial = state.replace(opt_state=optimiser.init(state.params))
        after, _ = jax.jit(functools.partial(steps.train_step, settings=changed))(initial, batch)
        return jax.tree.map(lambda new, old: (old - new) / 0.01, after.params, initial.params)

    def pooled(params: dict) -> jax.Array:
        rngs = {"dropout": jax.random.fold_in(jax.random.key(0), state.step)}
        variables = {"params": params["model"], "batch_stats": state.batch_stats}
        output, _ = settings.model.apply(
            variables, to_float(batch.images), train=True, mutable=["batch_stats"], rngs=rngs
        )
        known = batch.mask_weights[:, None, None]
        likely = jax.nn.softmax(output.logits)[..., 1] * known
        lesion = (batch.masks[..., 0] >= 128).astype(jnp.float32) * known
        return 1.0 - 2.0 * jnp.sum(likely * lesion) / jnp.sum(likely + lesion)

    same = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5)
    jax.tree.map(same, gradient(("soft_dice",)), jax.jit(jax.grad(pooled))(state.params))


def test_scales_without_weight_are_no_terms() -> None:
    layout = make_layout(parallel="jit", devices=1)
    settings = step_settings(layout, loss_settings(kind="rmi", scale_weight=0.0))
    batch = take(draw_examples(BATCH), np.arange(BATCH, dtype=np.int32))
    step = functools.partial(steps.train_step, settings=settings)
    _, metrics = jax.eval_shape(step, start(layout, settings), batch)
    assert "auxiliary" in metrics
    assert "scale_0.5" not in metrics


def test_sgd_decays_weights_before_the_momentum() -> None:
    optimiser = make_optimiser(
        optax.constant_schedule(0.1), name="sgd", momentum=0.9, weight_decay=0.5
    )
    params = {"model": {"w": jnp.float32(2.0)}, "log_variances": {}}
    state = optimiser.init(params)
    weight, buffer = 2.0, 0.0
    for gradient in (1.0, -3.0, 0.5):
        grads = {"model": {"w": jnp.float32(gradient)}, "log_variances": {}}
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimiser.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        buffer = 0.9 * buffer + gradient + 0.5 * weight
        weight -= 0.1 * buffer
        assert float(params["model"]["w"]) == pytest.approx(weight, rel=1e-6)


def test_prediction_counts_known_pixels_and_gives_probabilities() -> None:
    layout = make_layout(parallel="pmap", devices=4)
    settings = step_settings(layout, loss_settings())
    examples, state = draw_examples(6), start(layout, settings)
    feed = Feed(examples=examples, layout=layout, resident=False)
    predict = feed.compile_step(
        functools.partial(steps.predict_step, settings=settings), outputs="sharded"
    )
    rows = np.array([3, 0, 5, -1], np.int32)
    predicted = layout.gather(predict(state, *feed.inputs(rows)))
    assert predicted["lesion"].shape == (4, SIDE, SIDE)
    known = np.where(rows >= 0, examples.mask_weights[rows], 0.0)
    np.testing.assert_array_equal(predicted["cross_entropy/weight"], known * SIDE**2)
    actual = examples.masks[rows, ..., 0] >= 128
    likelihoods = np.where(actual, predicted["lesion"], 1.0 - predicted["lesion"]).astype(
        np.float64
    )
    expected = -np.log(likelihoods).mean(axis=(1, 2)) * known
    np.testing.assert_allclose(predicted["cross_entropy"], expected, rtol=1e-5, atol=1e-7)
