"""The segmenters' losses against float64 formulas written out by numpy, and stored references."""

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mgajax.errors import ConfigError
from mgajax.models.hmsanet import combine
from mgajax.models.resize import resize_features
from mgajax.training import segmentation_losses
from mgajax.training.segmentation_losses import BINARY_OFFSET, IGNORE, lesion_targets

# Under jit each is one program, not a hundred.
PAIRS = tuple(
    jax.jit(loss)
    for loss in (
        segmentation_losses.pixel_cross_entropy,
        segmentation_losses.pixel_binary_cross_entropy,
        segmentation_losses.rmi,
        segmentation_losses.lesion_dice,
    )
)
pixel_cross_entropy, pixel_binary_cross_entropy, rmi, lesion_dice = PAIRS


def drawn(*shape: int, classes: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Float32 logits and int32 classes, a sixth of them unknown."""
    rng = np.random.default_rng(seed)
    logits = 2.0 * rng.standard_normal((*shape, classes))
    targets = rng.integers(0, classes, shape)
    targets = np.where(rng.random(shape) < 1 / 6, IGNORE, targets)
    return logits.astype(np.float32), targets.astype(np.int32)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    largest = logits.max(-1, keepdims=True)
    return logits - largest - np.log(np.exp(logits - largest).sum(-1, keepdims=True))


def rmi_by_formula(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The formula with an explicit inverse and determinant, window by window, float64 [b]."""
    height, width = (side // 4 + 1 for side in targets.shape[1:])

    def regions(image: np.ndarray) -> np.ndarray:
        """All 3×3 regions of the pooled map as centred columns [9, n]."""
        padded = np.pad(image, ((2, 5), (2, 5)))
        pooled = np.zeros((height, width))
        for row, column in np.ndindex(height, width):
            pooled[row, column] = padded[4 * row :, 4 * column :][:4, :4].sum() / 16
        columns = [
            pooled[row : row + 3, column : column + 3].ravel()
            for row, column in np.ndindex(height - 2, width - 2)
        ]
        return np.stack(columns, 1) - np.mean(columns, 0)[:, None]

    losses = np.zeros(len(targets))
    for image, k in np.ndindex(len(targets), logits.shape[-1]):
        known = targets[image] != IGNORE
        share = 1 / (1 + np.exp(-logits[image, :, :, k].astype(np.float64)))
        truth, guess = regions(1.0 * (targets[image] == k)), regions(share * known + 1e-6)
        cross, ridge = truth @ guess.T, 5e-4 * np.eye(9)
        left = truth @ truth.T - cross @ np.linalg.inv(guess @ guess.T + ridge) @ cross.T
        losses[image] += 0.5 * np.linalg.slogdet(left + ridge)[1] / 9
    return losses


def reduced(pair: tuple, *, offset: float = 0.0) -> float:
    """What a step makes of a term."""
    values, weights = (np.asarray(array, np.float64) for array in pair)
    return float((values * weights).sum() / (weights.sum() + offset))


@functools.cache
def slopes(loss: Callable) -> Callable[..., jax.Array]:
    """The gradient of the sum of a loss's values."""
    return jax.jit(jax.grad(lambda logits, targets: jnp.sum(loss(logits, targets)[0])))


def on_device(logits: np.ndarray, targets: np.ndarray) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(logits), jnp.asarray(targets)


def test_a_pixel_is_lesion_from_half_on_and_unknown_without_a_mask() -> None:
    shares = jnp.asarray([0, 127, 128, 255], jnp.float32)[None, None, :, None] / 255.0
    targets = lesion_targets(jnp.tile(shares, (2, 1, 1, 1)), jnp.asarray([1, 0], jnp.float32))
    assert targets.dtype == jnp.int32
    assert np.asarray(targets).tolist() == [[[0, 0, 1, 1]], [[IGNORE] * 4]]


@pytest.mark.parametrize("classes", [2, 3])
def test_cross_entropy_is_the_mean_over_known_pixels(classes: int) -> None:
    logits, targets = drawn(3, 9, 14, classes=classes)
    known = targets != IGNORE
    chosen = np.where(known, targets, 0)[..., None]
    likely = np.take_along_axis(log_softmax(logits.astype(np.float64)), chosen, -1)[..., 0]
    means, counts = pixel_cross_entropy(*on_device(logits, targets))
    assert np.asarray(counts).tolist() == known.sum((1, 2)).tolist()
    np.testing.assert_allclose(means, -(likely * known).sum((1, 2)) / known.sum((1, 2)), rtol=1e-6)
    assert reduced((means, counts)) == pytest.approx(-likely[known].mean(), rel=1e-6)


def test_binary_cross_entropy_sums_classes_and_divides_by_one_pixel_more() -> None:
    logits, targets = drawn(3, 9, 14, classes=3)
    truth = targets[..., None] == np.arange(3)
    share = 1 / (1 + np.exp(-logits.astype(np.float64)))
    errors = -np.log(np.where(truth, share, 1 - share)).sum(-1)
    known = targets != IGNORE
    pair = pixel_binary_cross_entropy(*on_device(logits, targets))
    expected = errors[known].sum() / (known.sum() + 1)
    assert reduced(pair, offset=BINARY_OFFSET) == pytest.approx(expected, rel=1e-6)


def test_sure_logits_neither_overflow_nor_lose_their_gradient() -> None:
    logits = jnp.asarray([[[[500.0, -500.0], [-500.0, 500.0]]]], jnp.float32)
    targets = jnp.asarray([[[0, 0]]], jnp.int32)
    for loss, expected in ((pixel_cross_entropy, 500.0), (pixel_binary_cross_entropy, 500.0)):
        means, _ = loss(logits, targets)
        np.testing.assert_allclose(means, [expected], rtol=1e-6)
        gradient = slopes(loss)(logits, targets)
        np.testing.assert_allclose(gradient, [[[[0, 0], [-0.5, 0.5]]]], atol=1e-6)


@pytest.mark.parametrize(("height", "width", "classes"), [(32, 32, 2), (21, 34, 2), (15, 40, 3)])
def test_rmi_is_the_formula(height: int, width: int, classes: int) -> None:
    logits, targets = drawn(2, height, width, classes=classes)
    values, weights = rmi(*on_device(logits, targets))
    np.testing.assert_allclose(values, rmi_by_formula(logits, targets), rtol=1e-5)
    assert np.asarray(weights).tolist() == [1.0, 1.0]


def disc(size: int) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    near = (rows - 0.4 * size) ** 2 + (columns - 0.5 * size) ** 2 < (0.2 * size) ** 2
    return near[None].astype(np.int32)


@pytest.mark.parametrize("certainty", [0.0, 1.0, 4.0, 30.0])
def test_rmi_is_exact_in_float32_where_covariances_would_not_be(certainty: float) -> None:
    """Up to a perfect prediction of a large image, where the determinant is that of the ridge."""
    targets = disc(256)
    drift = np.random.default_rng(0).standard_normal(targets.shape)
    margin = certainty * (2 * targets - 1) + 0.2 * certainty * drift
    logits = np.stack((-margin, margin), axis=-1).astype(np.float32)
    logits_on_device, truth = on_device(logits, targets)
    np.testing.assert_allclose(
        rmi(logits_on_device, truth)[0], rmi_by_formula(logits, targets), rtol=1e-5
    )
    single = np.asarray(slopes(rmi)(logits_on_device, truth))
    with jax.enable_x64(True):
        double = np.asarray(slopes(rmi)(jnp.asarray(logits, jnp.float64), truth))
    assert np.abs(single - double).max() < 1e-4 * np.abs(double).max()


def test_rmi_gradient_is_the_slope() -> None:
    logits, targets = drawn(1, 24, 20)
    direction = np.random.default_rng(7).standard_normal(logits.shape)
    with jax.enable_x64(True):
        x, truth = jnp.asarray(logits, jnp.float64), jnp.asarray(targets)
        gradient = np.asarray(slopes(rmi)(x, truth))
    ahead, behind = (rmi_by_formula(logits + h * direction, targets) for h in (1e-5, -1e-5))
    slope = float((ahead - behind)[0] / 2e-5)
    assert float(np.sum(gradient * direction)) == pytest.approx(slope, rel=1e-6)


def test_rmi_is_lower_for_the_right_regions() -> None:
    targets = disc(64)
    margin = 4.0 * (2 * targets - 1)
    moved = np.roll(margin, 9, axis=2)
    right, wrong, nothing = (
        float(rmi(*on_device(np.stack((-m, m), -1).astype(np.float32), targets))[0][0])
        for m in (margin, moved, 0 * margin)
    )
    assert right < wrong < nothing


def test_rmi_needs_a_neighbourhood() -> None:
    with pytest.raises(ConfigError, match="rmi: images of 7×64 pixels .* at least 8"):
        rmi(*on_device(*drawn(1, 7, 64)))
    assert np.isfinite(rmi(*on_device(*drawn(1, 8, 8)))[0]).all()


def test_dice_is_pooled_by_its_weights() -> None:
    logits, targets = drawn(4, 8, 9)
    targets[2] = 0
    logits[2, ..., 1] = -9.0
    targets[3] = IGNORE
    guess, truth = logits[..., 1] >= logits[..., 0], targets == 1
    known = targets != IGNORE
    tp, fp, fn = (guess & truth, guess & ~truth & known, ~guess & truth)
    values, weights = lesion_dice(*on_device(logits, targets))
    divisor = 2 * tp.sum((1, 2)) + fp.sum((1, 2)) + fn.sum((1, 2))
    assert np.asarray(weights).tolist() == divisor.tolist()
    assert np.asarray(weights)[2:].tolist() == [0.0, 0.0]
    pooled = 2 * tp.sum() / (2 * tp.sum() + fp.sum() + fn.sum())
    assert reduced((values, weights)) == pytest.approx(pooled, rel=1e-6)
    assert np.asarray(values)[2:].tolist() == [0.0, 0.0]


def test_dice_draws_the_line_at_one_half() -> None:
    logits = jnp.asarray([[[[0.3, 0.3], [0.0, -1e-3]]]], jnp.float32)
    values, weights = lesion_dice(logits, jnp.ones((1, 1, 2), jnp.int32))
    assert (float(values[0]), float(weights[0])) == (pytest.approx(2 / 3), 3.0)


@pytest.mark.parametrize("loss", PAIRS)
def test_an_image_without_known_pixels_weighs_nothing(loss: Callable) -> None:
    logits, targets = drawn(2, 16, 16)
    targets[0] = IGNORE
    values, weights = loss(*on_device(logits, targets))
    assert (float(values[0]), float(weights[0])) == (0.0, 0.0)
    assert float(weights[1]) > 0
    gradient = slopes(loss)(*on_device(logits, targets))
    assert np.all(np.asarray(gradient[0]) == 0)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("loss", PAIRS[:3])
def test_one_image_on_each_of_eight_devices_is_a_batch_of_eight(loss: Callable) -> None:
    """Known pixels: all of the first image, fewer and fewer of the others, none of the last."""
    if jax.device_count() < 8:
        pytest.skip("needs 8 devices")
    logits, targets = drawn(8, 16, 16)
    for image in range(8):
        targets[image, : 16 * image // 7] = IGNORE
    offset = BINARY_OFFSET if loss is pixel_binary_cross_entropy else 0.0

    def total(x: jax.Array, truth: jax.Array, axis: str | None):
        values, weights = loss(x, truth)
        sums = jnp.stack((jnp.sum(values * weights), jnp.sum(weights)))
        count = sums[1] if axis is None else lax.psum(sums[1], axis)
        return sums[0] / (count + offset)

    whole = jax.jit(jax.value_and_grad(lambda x, truth: total(x, truth, None)))
    spread = jax.pmap(
        jax.value_and_grad(lambda x, truth: total(x, truth, "data")), axis_name="data"
    )
    with jax.enable_x64(True):  # what is left is no rounding of float32
        pair = on_device(logits.astype(np.float64), targets)
        alone, gradient = jax.device_get(whole(*pair))
        shares, gradients = jax.device_get(spread(*(x[:, None] for x in pair)))
    assert gradients.dtype == np.float64
    assert shares.sum() == pytest.approx(alone, rel=1e-12)
    largest = np.abs(gradient).max()
    np.testing.assert_allclose(gradients[:, 0], gradient, rtol=0, atol=1e-12 * largest)
    unweighted = np.mean(
        [reduced(loss(*on_device(logits[i : i + 1], targets[i : i + 1]))) for i in range(7)]
    )
    assert loss is rmi or unweighted != pytest.approx(float(alone), rel=1e-3)


@pytest.fixture
def goldens(shared: Path) -> Path:
    return shared / "goldens" / "segmentation"


@pytest.mark.parametrize(
    ("dtype", "close"), [("float32", 1e-5), ("float64", 1e-7)], ids=["float32", "float64"]
)
def test_losses_of_the_stored_prediction_are_the_references(
    goldens: Path, dtype: str, close: float
) -> None:
    """CE, BCE and ½ BCE + ½ RMI of NVIDIA's two-scale prediction, which rounds to float32 itself."""
    golden = np.load(goldens / "rmi_128.npz")
    logits = np.load(goldens / "two_scale_128.npz")["pred"].transpose(0, 2, 3, 1).astype(dtype)
    targets = np.load(goldens / "train_128_f64.npz")["gts"].astype(np.int32)
    with jax.enable_x64(dtype == "float64"):
        pair = on_device(logits, targets)
        by_pixel, by_class, by_region = (
            jax.device_get(loss(*pair))
            for loss in (pixel_cross_entropy, pixel_binary_cross_entropy, rmi)
        )
    binary = reduced(by_class, offset=BINARY_OFFSET)
    assert by_region[0].dtype == dtype
    assert reduced(by_pixel) == pytest.approx(float(golden["ce"]), rel=close)
    assert binary == pytest.approx(float(golden["bce_only"]), rel=close)
    assert 0.5 * binary + 0.5 * reduced(by_region) == pytest.approx(float(golden["rmi"]), rel=close)


@pytest.mark.parametrize(
    ("dtype", "close"), [("float32", 1e-5), ("float64", 1e-12)], ids=["float32", "float64"]
)
def test_training_losses_of_the_stored_passes_are_the_references(
    goldens: Path, dtype: str, close: float
) -> None:
    """OCR's, main and the two scales' own cross-entropy, from the stored outputs of both passes."""
    golden = np.load(goldens / "train_128_f64.npz")
    stored = np.load(goldens / "train_forward_128_f64.npz")

    def read(name: str) -> dict[float, jax.Array]:
        passes = ((0.5, "lo"), (1.0, "hi"))
        return {
            scale: jnp.asarray(stored[f"{prefix}_{name}"].transpose(0, 2, 3, 1), dtype)
            for scale, prefix in passes
        }

    with jax.enable_x64(dtype == "float64"):
        targets = jnp.asarray(golden["gts"].astype(np.int32))
        logits, trust = read("cls_out"), {0.5: read("logit_attn")[0.5]}
        low = resize_features(logits[0.5], size=(128, 128))
        outputs = (combine(read("aux_out"), trust), combine(logits, trust), low, logits[1.0])
        losses = [
            reduced(jax.device_get(pixel_cross_entropy(output, targets))) for output in outputs
        ]
    np.testing.assert_allclose(losses, golden["parts_wt0.05"], rtol=close)
    assert 0.4 * losses[0] + losses[1] + 0.05 * (losses[2] + losses[3]) == pytest.approx(
        float(golden["loss_wt0.05"]), rel=close
    )
