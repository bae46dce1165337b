"""HMSANet at its smallest: shapes, the combination of scales, options, parameter counts."""

import functools
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from minute_hmsanet import minute, per_scale_variables, variables

from mgajax import models
from mgajax.errors import ConfigError
from mgajax.models.blocks import Layers
from mgajax.models.hmsanet import LOW_SCALES, HMSANet, combine
from mgajax.models.hrnet import HRNet
from mgajax.models.outputs import SegmenterOutput
from mgajax.training import segmentation_losses


def images(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(5).standard_normal(shape), jnp.float32)


def resized(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Half-pixel bilinear interpolation, one axis after the other, by numpy's own `interp`."""
    for axis, new in ((1, height), (2, width)):
        old = x.shape[axis]
        places = (np.arange(new) + 0.5) * old / new - 0.5
        between = functools.partial(np.interp, places, np.arange(old))
        x = np.apply_along_axis(between, axis, x)
    return x


def drawn_scales(height: int, width: int, scales: tuple[float, ...]) -> tuple[dict, dict]:
    """Logits and attention as a network might give them, float64."""
    rng = np.random.default_rng(0)
    sizes = {s: (math.floor(height * s), math.floor(width * s)) for s in scales}
    logits = {s: rng.standard_normal((2, *size, 3)) for s, size in sizes.items()}
    return logits, {s: rng.uniform(size=(2, *size, 1)) for s, size in sizes.items()}


def combined(logits: dict, attention: dict) -> np.ndarray:
    used = sorted(attention)[:-1]
    with jax.enable_x64(True):
        return np.asarray(
            combine(
                {scale: jnp.asarray(scale_logits) for scale, scale_logits in logits.items()},
                {scale: jnp.asarray(attention[scale]) for scale in used},
            )
        )


@pytest.mark.parametrize(("height", "width"), [(16, 24), (21, 13)])
def test_three_scales_are_equation_1(height: int, width: int) -> None:
    m, a = drawn_scales(height, width, (0.5, 1.0, 2.0))
    up = functools.partial(resized, height=height, width=width)
    bracket = a[1.0] * m[1.0] + (1 - a[1.0]) * up(m[2.0])
    expected = up(a[0.5] * m[0.5]) + up(1 - a[0.5]) * bracket
    np.testing.assert_allclose(combined(m, a), expected, atol=1e-12)
    other = up(a[0.5]) * up(m[0.5]) + up(1 - a[0.5]) * bracket
    assert np.abs(other - expected).max() > 0.1


def test_a_fourth_scale_nests() -> None:
    m, a = drawn_scales(20, 28, (0.25, 0.5, 1.0, 2.0))
    inner = combined({s: m[s] for s in (0.5, 1.0, 2.0)}, {s: a[s] for s in (0.5, 1.0, 2.0)})
    up = functools.partial(resized, height=20, width=28)
    expected = up(a[0.25] * m[0.25]) + (1 - up(a[0.25])) * inner
    np.testing.assert_allclose(combined(m, a), expected, atol=1e-12)


def test_scales_above_one_meet_at_the_lower_one() -> None:
    m, a = drawn_scales(8, 8, (1.0, 1.5, 2.0))
    middle = a[1.5] * m[1.5] + (1 - a[1.5]) * resized(m[2.0], 12, 12)
    expected = a[1.0] * m[1.0] + (1 - a[1.0]) * resized(middle, 8, 8)
    np.testing.assert_allclose(combined(m, a), expected, atol=1e-12)


@pytest.mark.parametrize("trusted", [0.0, 1.0])
def test_high_attention_trusts_the_low_scale(trusted: float) -> None:
    m, a = drawn_scales(16, 16, (0.5, 1.0))
    a = {scale: np.full_like(attention, trusted) for scale, attention in a.items()}
    expected = resized(m[0.5], 16, 16) if trusted else m[1.0]
    np.testing.assert_allclose(combined(m, a), expected, atol=1e-12)


@pytest.mark.parametrize(("height", "width", "dtype"), [(64, 64, "float32"), (97, 130, "bfloat16")])
def test_output_shapes(height: int, width: int, dtype: str) -> None:
    model = minute(scales=(1.0, 2.0, 0.5), layers=Layers(dtype))
    forward = functools.partial(model.apply, train=False)
    out = jax.eval_shape(forward, variables(), images(2, height, width, 1))
    assert {leaf.dtype for leaf in jax.tree.leaves(out)} == {jnp.dtype("float32")}
    assert out.logits.shape == (2, height, width, 2)
    assert set(out.auxiliary) == {"ocr", "scale_0.5", "scale_1.0", "scale_2.0"}
    assert {leaf.shape for leaf in out.auxiliary.values()} == {(2, height, width, 2)}
    assert {name: leaf.shape for name, leaf in out.attention.items()} == {
        "scale_0.5": (2, height // 2, width // 2, 1),
        "scale_1.0": (2, height, width, 1),
    }


def test_two_scales_of_the_network_by_hand() -> None:
    x = images(1, 37, 45, 1)
    out = jax.jit(minute().apply)(variables(), x)
    alone = jax.jit(minute(scales=(1.0,)).apply)
    fine = alone(variables(), x).logits
    half = jnp.asarray(resized(np.asarray(x), 18, 22), jnp.float32)
    coarse = alone(variables(), half).logits
    a = np.asarray(out.attention["scale_0.5"])
    assert np.ptp(a) > 0.05
    expected = resized(a * np.asarray(coarse), 37, 45)
    expected = expected + (1 - resized(a, 37, 45)) * np.asarray(fine)
    np.testing.assert_allclose(out.logits, expected, atol=2e-5)
    np.testing.assert_allclose(out.auxiliary["scale_1.0"], fine, atol=2e-5)
    np.testing.assert_allclose(
        out.auxiliary["scale_0.5"], resized(np.asarray(coarse), 37, 45), atol=2e-5
    )


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 2.0)])
def test_training_sees_two_scales_whatever_inference_does(scales: tuple[float, ...]) -> None:
    forward = functools.partial(minute(scales=scales).apply, train=True, mutable=["batch_stats"])
    out, _ = jax.eval_shape(forward, variables(), images(2, 64, 64, 1))
    assert set(out.attention) == {"scale_0.5"}
    assert set(out.auxiliary) == {"ocr", "scale_0.5", "scale_1.0"}


def test_running_statistics_take_the_low_scale_first_and_dropout_whole_channels() -> None:
    captured = ("stem1/conv", "ocr/joined", "ocr/dropout")

    @jax.jit
    def run(variables: dict, x: jax.Array):
        return minute(dropout=0.5).apply(
            variables,
            x,
            train=True,
            rngs={"dropout": jax.random.key(0)},
            mutable=["batch_stats", "intermediates"],
            capture_intermediates=lambda module, _: "/".join(module.path).endswith(captured),
        )

    _, new = run(variables(), images(2, 64, 64, 1))
    inside = new["intermediates"]
    low, high = (
        np.mean(y, axis=(0, 1, 2)) for y in inside["backbone"]["stem1"]["conv"]["__call__"]
    )
    running = new["batch_stats"]["backbone"]["stem1"]["norm"]["mean"]
    np.testing.assert_allclose(running, 0.09 * low + 0.1 * high, atol=1e-6)

    whole, dropped = (inside["ocr"][name]["__call__"] for name in ("joined", "dropout"))
    nonzero = [np.any(np.asarray(y) != 0, axis=(1, 2), keepdims=True) for y in dropped]
    assert 0 < np.mean(nonzero) < 1
    for before, after, stays in zip(whole, dropped, nonzero, strict=True):
        np.testing.assert_allclose(after, 2.0 * np.asarray(before) * stays, rtol=1e-6)


def test_each_scale_may_keep_statistics_of_its_own() -> None:
    """In training the same numbers as ever; each pass then moves its own set, once a step."""
    start, x = per_scale_variables(), images(2, 64, 64, 1)
    drawn = models.init_variables(minute(statistics="per_scale"), image_size=32, channels=1, seed=1)
    assert jax.tree.map(np.shape, drawn) == jax.tree.map(np.shape, start)

    @functools.partial(jax.jit, static_argnames="statistics")
    def run(variables: dict, statistics: str):
        model = minute(statistics=statistics, remat="modules")
        return model.apply(variables, x, train=True, mutable=["batch_stats"])

    expected, shared = run(variables(), "shared")
    out, new = run(start, "per_scale")
    np.testing.assert_array_equal(out.logits, expected.logits)
    low = new["batch_stats"].pop(LOW_SCALES)

    def moved(full: jax.Array, low: jax.Array, full_before: jax.Array, low_before: jax.Array):
        """One set after both passes, from what each pass did to its own."""
        return 0.9 * (low - 0.9 * low_before) + full - 0.9 * full_before + 0.81 * full_before

    before, low_before = variables()["batch_stats"], start["batch_stats"][LOW_SCALES]
    actual = jax.tree.map(moved, new["batch_stats"], low, before, low_before)
    same = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(same, actual, shared["batch_stats"])


def test_each_scale_is_applied_with_its_own_statistics() -> None:
    start, x = per_scale_variables(), images(1, 32, 32, 1)
    passes = functools.partial(HMSANet.passes, scales=(0.5, 1.0))
    actual = minute(statistics="per_scale").apply(start, x, method=passes)
    for scale, statistics in (
        (0.5, start["batch_stats"][LOW_SCALES]),
        (1.0, variables()["batch_stats"]),
    ):
        alone = {"params": start["params"], "batch_stats": statistics}
        expected = minute().apply(alone, x, method=passes)[scale]
        np.testing.assert_allclose(actual[scale].logits, expected.logits, atol=1e-6)


def test_rematerialisation_changes_no_number() -> None:
    x, start = images(2, 32, 32, 1), variables()
    state = {kind: tree["backbone"] for kind, tree in start.items()}

    @functools.partial(jax.jit, static_argnames="remat")
    @functools.partial(jax.value_and_grad, has_aux=True)
    def loss(params: dict, remat: str):
        trunk = HRNet(minute().trunk, Layers(), remat)
        features, new = trunk.apply(
            {**state, "params": params}, x, train=True, mutable=["batch_stats"]
        )
        return jnp.mean(jnp.square(features)), new

    plain, again = (loss.trace(state["params"], remat=remat) for remat in ("none", "modules"))
    assert "prevent_cse" not in str(plain.jaxpr)
    assert "prevent_cse" in str(again.jaxpr)
    actual, expected = (program.lower().compile()(state["params"]) for program in (again, plain))
    same = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5)
    jax.tree.map(same, actual, expected)


def test_rematerialisation_covers_the_whole_training_pass() -> None:
    def loss(params: dict, remat: str):
        out, new = minute(dropout=0.1, remat=remat).apply(
            {**variables(), "params": params},
            images(2, 32, 32, 1),
            train=True,
            rngs={"dropout": jax.random.key(0)},
            mutable=["batch_stats"],
        )
        return jnp.mean(out.logits), new

    def traced(remat: str):
        gradient = jax.grad(functools.partial(loss, remat=remat), has_aux=True)
        return jax.eval_shape(gradient, variables()["params"])

    assert traced("modules") == traced("none")


def uneven_targets() -> np.ndarray:
    """Classes of eight images of 32×32: all known in the first, nothing in the last."""
    targets = np.random.default_rng(2).integers(0, 2, (8, 32, 32)).astype(np.int32)
    for image in range(8):
        targets[image, : 32 * image // 7] = segmentation_losses.IGNORE
    return targets


def training_loss(output: SegmenterOutput, targets: jax.Array, axis_name: str | None) -> jax.Array:
    """This device's share of the loss: cross-entropy of every output over all known pixels."""
    weighted = {"ocr": 0.4, "scale_0.5": 0.05, "scale_1.0": 0.05}
    share = jnp.zeros((), output.logits.dtype)
    for logits, weight in (
        (output.logits, 1.0),
        *((output.auxiliary[name], weight) for name, weight in weighted.items()),
    ):
        means, counts = segmentation_losses.pixel_cross_entropy(logits, targets)
        count = jnp.sum(counts)
        count = count if axis_name is None else lax.psum(count, axis_name)
        share = share + weight * jnp.sum(means * counts) / count
    return share


@pytest.mark.slow(finds="statistics or losses of the two scales that devices do not share rightly")
def test_one_image_on_each_of_eight_devices_is_a_batch_of_eight() -> None:
    """Loss, gradients and statistics, with known pixels spread unevenly over the devices."""
    if jax.device_count() < 8:
        pytest.skip("needs 8 devices")
    # Gradients and statistics have their variables' type: each device would round its share.
    start, x = jax.tree.map(np.float64, variables()), np.asarray(images(8, 32, 32, 1), np.float64)
    x[:2] += 3.0  # statistics of their own

    def step(params: dict, share: jax.Array, targets: jax.Array, axis_name: str | None):
        model = minute(layers=Layers("float64", axis_name))

        def loss(params: dict):
            out, new = model.apply(
                {**start, "params": params}, share, train=True, mutable=["batch_stats"]
            )
            return training_loss(out, targets, axis_name), new["batch_stats"]

        return jax.value_and_grad(loss, has_aux=True)(params)

    def share_step(params: dict, share: jax.Array, targets: jax.Array):
        (loss, statistics), gradient = step(params, share, targets, "data")
        return (lax.psum(loss, "data"), statistics), lax.psum(gradient, "data")

    with jax.enable_x64(True):
        batch = (jnp.asarray(x), jnp.asarray(uneven_targets()))
        alone = jax.jit(functools.partial(step, axis_name=None))(start["params"], *batch)
        spread = jax.pmap(share_step, axis_name="data", in_axes=(None, 0, 0), out_axes=None)
        shared = spread(start["params"], *(array[:, None] for array in batch))
    (loss, statistics), gradients = jax.device_get(alone)
    (loss8, statistics8), gradients8 = jax.device_get(shared)
    assert float(loss8) == pytest.approx(float(loss), rel=1e-12)
    largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(gradients))
    assert largest > 1e-3
    same = functools.partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-10 * largest)
    jax.tree.map(same, (statistics8, gradients8), (statistics, gradients))


def test_module_counts_are_an_option() -> None:
    assert models.create("hmsanet", num_classes=2, trunk="hrnet_w48").trunk.modules == (1, 4, 3)
    more = models.create("hmsanet", num_classes=2, trunk="hrnet_tiny", modules=[1, 2])
    shapes = models.variable_shapes(more, image_size=64, channels=3)["params"]["backbone"]
    assert {name for name in shapes if "module" in name} == {
        "stage2_module0",
        "stage3_module0",
        "stage3_module1",
    }


def test_initial_values() -> None:
    model = models.create("hmsanet", num_classes=2, trunk="hrnet_w18", modules=(1, 1, 1))
    params = models.init_variables(model, image_size=32, channels=1, seed=0)["params"]
    trunk = params["backbone"]["stage4_module0"]["branch3_block3"]["conv2"]["kernel"]
    assert trunk.std() == pytest.approx(0.001, rel=0.01)
    pixels = params["ocr"]["pixels"]["conv"]
    bound = (9 * 270) ** -0.5
    assert 0.99 * bound < np.abs(pixels["kernel"]).max() <= bound
    assert 0.9 * bound < np.abs(pixels["bias"]).max() <= bound
    assert np.all(params["ocr"]["pixels"]["norm"]["bias"] == 0)
    assert np.all(params["scale_attention"]["norm0"]["scale"] == 1)


@pytest.mark.slow(finds="a start of the largest network that takes minutes")
def test_the_largest_network_starts_in_seconds() -> None:
    begin = time.process_time()
    model = models.create("hmsanet", num_classes=2)
    models.init_variables(model, image_size=32, channels=1, seed=0)
    assert time.process_time() - begin < 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trunk": "hrnet_w84"}, ["trunk='hrnet_w84'", "did you mean 'hrnet_w48'", "hrnet_tiny"]),
        ({"modules": (1, 4)}, ["modules=(1, 4)", "3 positive", "(1, 4, 3)"]),
        ({"modules": (1, 0, 3)}, ["modules=(1, 0, 3)"]),
        ({"scales": (0.5, 2.0)}, ["scales=(0.5, 2.0)", "1.0 among them"]),
        ({"scales": ()}, ["scales=()"]),
        ({"scales": (1.0, 1.0)}, ["scales=(1.0, 1.0)", "different"]),
        ({"scales": (-0.5, 1.0)}, ["scales=(-0.5, 1.0)", "positive"]),
        ({"scales": (math.nan, 1.0)}, ["scales=(nan, 1.0)"]),
        ({"remat": "module"}, ["remat='module'", "did you mean 'modules'", "none"]),
        ({"statistics": "per scale"}, ["statistics='per scale'", "did you mean 'per_scale'"]),
        ({"trunk_law": "publishd"}, ["trunk_law='publishd'", "did you mean 'published'", "he"]),
        ({"repeats": "scaned"}, ["repeats='scaned'", "did you mean 'scanned'", "unrolled"]),
        ({"dropout": 1.0}, ["dropout=1.0"]),
        ({"dtype": "float16"}, ["dtype='float16'", "bfloat16"]),
        ({"dtype": "float64"}, ["dtype='float64'", "jax_enable_x64"]),
        ({"width": 18}, ["hmsanet", "'width'", "trunk"]),
    ],
)
def test_errors_name_option_and_value(options: dict, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        models.create("hmsanet", num_classes=2, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_an_image_that_vanishes_at_a_scale() -> None:
    model = minute(scales=(0.01, 1.0))
    with pytest.raises(ConfigError, match=r"scales: images of 32×32 pixels vanish at scale 0\.01"):
        model.apply(variables(), images(1, 32, 32, 1))
