"""HMSANet-W48 against what NVIDIA's network computed (goldens beside the checkout).

Predictions run operation by operation, which lets the trunk's inside be looked at. Training is
compiled with loops over the equal parts: four times quicker than operation by operation, and all at
once would take a CPU many minutes. `test_hrnet.py` holds the loops to what they stand for.
"""

import dataclasses
import fnmatch
import functools
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens.deterministic_weights import drawn, drawn_images
from goldens.parity import norm_of, relative_gap

from mgajax import interop, models
from mgajax.models.hmsanet import ScalePass, combine
from mgajax.models.resize import resize_features
from mgajax.training import segmentation_losses

GAINS = (
    ("backbone.layer1.*.bn3.weight", 0.2),
    ("backbone.*.branches.*.bn2.weight", 0.2),
    ("backbone.*.fuse_layers.*.0.weight", 0.2),
    ("ocr.ocr_distri_head.object_context_block.f_pixel.2.weight", 0.7),
    ("ocr.ocr_distri_head.object_context_block.f_object.2.weight", 0.7),
    ("ocr.cls_head.weight", 0.5),
    ("ocr.aux_head.2.weight", 0.5),
    ("scale_attn.conv2.weight", 0.4),
)
"""The goldens' damping of some layers; the first pattern that matches counts."""

SCALES = (0.25, 0.5, 1.0, 2.0)
SHAPE = (1, 3, 128, 128)


@pytest.fixture(autouse=True, scope="module")
def room() -> None:
    """Its gradients take 8 GB: other tests' programs make way."""
    jax.clear_caches()


@pytest.fixture(scope="module")
def goldens(shared: Path) -> Path:
    return shared / "goldens" / "segmentation"


@pytest.fixture(scope="module")
def state(goldens: Path) -> dict[str, np.ndarray]:
    """NVIDIA's state dict, every array drawn from its name."""
    lines = (goldens / "hmsanet_state_dict_names.txt").read_text().splitlines()
    arrays = {}
    for name, sizes, _ in (line.split() for line in lines if not line.startswith("#")):
        gain = next((gain for pattern, gain in GAINS if fnmatch.fnmatchcase(name, pattern)), 1.0)
        shape = tuple(int(n) for n in sizes.split("x"))
        arrays[name] = _damped(name, shape, gain)
    return arrays


def _damped(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """The gain multiplies before the rounding to float32, as in the reference."""
    if gain == 1.0:
        return drawn(name, shape)
    normal = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if len(shape) == 1:
        return ((1.0 + 0.1 * normal) * gain).astype(np.float32)
    return (normal * np.sqrt(2.0 / math.prod(shape[1:])) * gain).astype(np.float32)


def nhwc(array: np.ndarray) -> np.ndarray:
    return array.transpose(0, 2, 3, 1)


@pytest.fixture(scope="module")
def variables(state: dict[str, np.ndarray]) -> dict:
    return jax.tree.map(jnp.asarray, interop.from_torch("hmsanet", state))


@pytest.fixture(scope="module")
def outputs(variables: dict) -> tuple[dict[float, ScalePass], dict]:
    """Every scale's pass over the goldens' image, and what the trunk's layers gave at scale 1."""
    model, x = models.create("hmsanet", num_classes=2), jnp.asarray(nhwc(drawn_images(SHAPE)))
    run = functools.partial(model.apply, variables, x, method="passes")
    passes = run(scales=(0.25, 0.5, 2.0))
    full_scale, inside = run(scales=(1.0,), capture_intermediates=True, mutable=["intermediates"])
    return passes | full_scale, inside["intermediates"]


@pytest.mark.slow(finds="weights that are drawn otherwise than the reference drew them")
def test_weights_are_the_references(goldens: Path, state: dict[str, np.ndarray]) -> None:
    golden = np.load(goldens / "weights_check.npz")
    assert sum(float(a.sum(dtype=np.float64)) for a in state.values()) == pytest.approx(
        float(golden["sum"]), rel=1e-9
    )
    assert sum(float(np.abs(a).sum(dtype=np.float64)) for a in state.values()) == pytest.approx(
        float(golden["abs_sum"]), rel=1e-9
    )


def test_resizes(goldens: Path) -> None:
    golden = np.load(goldens / "resize.npz")
    x = jnp.asarray(nhwc(golden["x"]))
    for key in set(golden.files) - {"x"}:
        expected = nhwc(golden[key])
        actual = resize_features(x, size=(expected.shape[1], expected.shape[2]))
        assert relative_gap(actual, expected) < 1e-5, key


@pytest.mark.slow(finds="a module of the published trunk that is joined wrongly")
def test_trunk(goldens: Path, outputs: tuple[dict, dict]) -> None:
    golden, trunk = np.load(goldens / "trunk_128.npz"), outputs[1]["backbone"]
    features = np.asarray(trunk["__call__"][0])
    assert relative_gap(features.mean(axis=(0, 1, 2)), golden["feats_mean"]) < 1e-4
    assert relative_gap(features[:, ::4, ::4, ::8], nhwc(golden["feats_sample"])) < 1e-4
    compared = 0
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        for module in range(modules):
            branches = trunk[f"stage{stage}_module{module}"]["__call__"][0]
            for index, branch in enumerate(branches):
                key = f"tap_stage{stage}_{module}_{index}_sample"
                actual = np.asarray(branch)[:, ::4, ::4, ::16]
                assert relative_gap(actual, nhwc(golden[key])) < 1e-4, key
                compared += 1
    assert compared == 26


@pytest.mark.slow(finds="a wrong sum in the full OCR head or the scale attention")
def test_object_contextual_head(goldens: Path, outputs: tuple[dict, dict]) -> None:
    golden, (passes, inside) = np.load(goldens / "ocr_128.npz"), outputs
    segmented = inside["ocr"]["__call__"][0]
    assert relative_gap(segmented.logits, nhwc(golden["cls"])) < 1e-4
    assert relative_gap(segmented.auxiliary, nhwc(golden["aux"])) < 1e-4
    assert relative_gap(inside["scale_attention"]["__call__"][0], nhwc(golden["attn"])) < 1e-4
    sampled = np.asarray(segmented.features)[:, ::4, ::4, ::8]
    assert relative_gap(sampled, nhwc(golden["ocr_feats_sample"])) < 1e-4
    for key, actual in zip(("up_cls", "up_aux", "up_attn"), passes[1.0], strict=True):
        assert relative_gap(actual, nhwc(golden[key])) < 1e-4, key


@pytest.mark.slow(finds="scales of the whole network that are combined wrongly")
@pytest.mark.parametrize(
    ("file", "scales"),
    [
        ("two_scale_128", (0.5, 1.0)),
        ("nscale_128_0.5_1.0", (0.5, 1.0)),
        ("nscale_128_0.5_1.0_2.0", (0.5, 1.0, 2.0)),
        ("nscale_128_0.25_0.5_1.0_2.0", SCALES),
    ],
)
def test_scales(goldens: Path, outputs: tuple[dict, dict], file: str, scales: tuple) -> None:
    golden, passes = np.load(goldens / f"{file}.npz"), outputs[0]
    combined = combine(
        {scale: passes[scale].logits for scale in scales},
        {scale: passes[scale].attention for scale in scales[:-1]},
    )
    assert relative_gap(combined, nhwc(golden["pred"])) < 1e-4
    for key in set(golden.files) - {"pred"}:
        kind, _, scale = key.partition("_")
        scale_pass = passes[{"05x": 0.5, "10x": 1.0}.get(scale) or float(scale[:-1])]
        actual = scale_pass.logits if kind == "pred" else scale_pass.attention
        expected = nhwc(golden[key])
        thinning = actual.shape[1] // expected.shape[1]
        assert relative_gap(actual[:, ::thinning, ::thinning], expected) < 1e-4, key


@pytest.mark.slow(finds="a published trunk that its loops put together otherwise")
def test_scanned_modules_give_the_same_prediction(goldens: Path, variables: dict) -> None:
    golden = np.load(goldens / "two_scale_128.npz")
    model = models.create("hmsanet", num_classes=2, repeats="scanned")
    actual = model.apply(variables, jnp.asarray(golden_images(1)))
    assert relative_gap(actual.logits, nhwc(golden["pred"])) < 1e-4


def reduced(pair: tuple[jax.Array, jax.Array], *, offset: float = 0.0) -> jax.Array:
    """What a train step makes of a loss term."""
    values, weights = pair
    return jnp.sum(values * weights) / (jnp.sum(weights) + offset)


@pytest.mark.slow(finds="a loss that goes wrong on the logits of the whole network")
def test_losses_of_the_prediction(goldens: Path, outputs: tuple[dict, dict]) -> None:
    """CE, BCE and ½ BCE + ½ RMI of the two-scale prediction."""
    golden, passes = np.load(goldens / "rmi_128.npz"), outputs[0]
    logits = combine(
        {scale: passes[scale].logits for scale in (0.5, 1.0)}, {0.5: passes[0.5].attention}
    )
    truth = jnp.asarray(np.load(goldens / "train_128_f64.npz")["gts"].astype(np.int32))
    binary = reduced(
        segmentation_losses.pixel_binary_cross_entropy(logits, truth),
        offset=segmentation_losses.BINARY_OFFSET,
    )
    actual = {
        "ce": reduced(segmentation_losses.pixel_cross_entropy(logits, truth)),
        "bce_only": binary,
        "rmi": 0.5 * binary + 0.5 * reduced(segmentation_losses.rmi(logits, truth)),
    }
    assert set(actual) == set(golden.files)
    for key, value in actual.items():
        assert float(value) == pytest.approx(float(golden[key]), rel=1e-5), key


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """Of one training pass, by each loss' weight where it matters.

    What each scale saw, losses, and by NVIDIA's names the norms of all gradients, those gradients
    and those statistics that a golden has. No more: all are 72 million numbers, twice.
    """

    passes: dict[float, ScalePass]
    parts: np.ndarray
    losses: dict[str, float]
    norms: dict[str, dict[str, float]]
    gradients: dict[str, dict[str, np.ndarray]]
    running: dict[str, np.ndarray]


def golden_images(batch: int) -> np.ndarray:
    """NHWC; the second image is of seed 3, which the goldens do not say but the losses confirm."""
    return nhwc(np.concatenate([drawn_images(SHAPE, seed=seed) for seed in (0, 3)[:batch]]))


def loss_parts(
    variables: dict, images: jax.Array, truth: jax.Array, *, dtype: str
) -> tuple[jax.Array, tuple[dict, dict]]:
    """Cross-entropy of the OCR head, the combination, the low and the high scale.

    And the scales' passes, and the statistics after them.
    """
    model = models.create("hmsanet", num_classes=2, dropout=0.0, dtype=dtype, repeats="scanned")
    out, new = model.apply(
        variables,
        images,
        train=True,
        mutable=["batch_stats", "intermediates"],
        capture_intermediates=lambda module, method: method == "passes",
    )
    scores = (out.auxiliary["ocr"], out.logits, *(out.auxiliary[f"scale_{s}"] for s in (0.5, 1.0)))
    pairs = (segmentation_losses.pixel_cross_entropy(logits, truth) for logits in scores)
    parts = jnp.stack([reduced(pair) for pair in pairs])
    return parts, (new["intermediates"]["passes"][0], new["batch_stats"])


@jax.jit
def gradients_of(variables: dict, images: jax.Array, truth: jax.Array) -> tuple:
    """Both losses with the parts, their gradients, the scales' passes and the statistics.

    The weights of the scales' own losses are 0 and 0.05.
    """

    def losses(params: dict):
        state = {**variables, "params": params}
        parts, others = loss_parts(state, images, truth, dtype="float64")
        main = 0.4 * parts[0] + parts[1]
        return (main, main + 0.05 * (parts[2] + parts[3])), (parts, *others)

    values, pull, others = jax.vjp(losses, variables["params"], has_aux=True)
    zero, unit = jnp.zeros((), jnp.float64), jnp.ones((), jnp.float64)
    return values, (pull((unit, zero))[0], pull((zero, unit))[0]), others


@pytest.fixture(scope="module")
def trained(goldens: Path, variables: dict) -> Callable[[str], TrainingResult]:
    """The training pass of a golden's images, in float64 with float64 weights."""

    named = functools.partial(interop.to_torch, "hmsanet")

    @functools.cache
    def run(file: str) -> TrainingResult:
        golden = np.load(goldens / f"{file}.npz")
        truth = golden["gts"].astype(np.int32)
        with jax.enable_x64(True):
            double = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), variables)
            images = jnp.asarray(golden_images(len(truth)), jnp.float64)
            computed = gradients_of(double, images, jnp.asarray(truth))
            del double
            values, pulled, (parts, passes, running) = jax.device_get(computed)
        losses = dict(zip(("wt0", "wt0.05"), map(float, values), strict=True))
        norms, by_weight = {}, {}
        for weight, gradients in zip(losses, pulled, strict=True):
            arrays = named({"params": gradients, "batch_stats": variables["batch_stats"]})
            learned = [name for name in arrays if ".running_" not in name]
            norms[weight] = {name: norm_of(arrays[name]) for name in learned}
            by_weight[weight] = {
                name: arrays[name].copy()
                for name in learned
                if f"grad_{name}_{weight}" in golden.files
            }
        statistics = named({"params": variables["params"], "batch_stats": running})
        means = {name: value for name, value in statistics.items() if ".running_" in name}
        return TrainingResult(passes, parts, losses, norms, by_weight, means)

    return run


@pytest.mark.slow(finds="what the scales say in training, where statistics are those of the batch")
def test_training_forward(goldens: Path, trained: Callable[[str], TrainingResult]) -> None:
    golden, passes = np.load(goldens / "train_forward_128_f64.npz"), trained("train_128_f64").passes
    for prefix, scale in (("lo", 0.5), ("hi", 1.0)):
        for key, actual in zip(("cls_out", "aux_out", "logit_attn"), passes[scale], strict=True):
            assert relative_gap(actual, nhwc(golden[f"{prefix}_{key}"])) < 1e-6, key


@pytest.mark.slow(finds="a gradient or statistic of the network that the paper trains")
@pytest.mark.parametrize("file", ["train_128_f64", "train_128_batch2_f64"])
def test_training(goldens: Path, trained: Callable[[str], TrainingResult], file: str) -> None:
    golden, actual = np.load(goldens / f"{file}.npz"), trained(file)
    np.testing.assert_allclose(actual.parts, golden["parts_wt0.05"], rtol=1e-6)
    for weight, norms in actual.norms.items():
        assert actual.losses[weight] == pytest.approx(float(golden[f"loss_{weight}"]), rel=1e-6)
        listed = [norms[name] for name in golden["grad_names"]]
        assert relative_gap(listed, golden[f"gradnorm_{weight}"]) < 1e-5
        total = np.linalg.norm(list(norms.values()))
        assert total == pytest.approx(float(golden[f"gradnorm_total_{weight}"]), rel=1e-5)
        whole = {
            key for key in golden.files if key.startswith("grad_") and key.endswith(f"_{weight}")
        }
        assert whole == {f"grad_{name}_{weight}" for name in actual.gradients[weight]}
        for name, gradient in actual.gradients[weight].items():
            assert relative_gap(gradient, golden[f"grad_{name}_{weight}"]) < 1e-5, name
    for key in golden.files:
        if key.startswith("bn_"):
            name = key.removeprefix("bn_").replace("_running", ".running")
            assert relative_gap(actual.running[name], golden[key]) < 1e-6, key


@pytest.mark.slow(finds="a loss that single precision, in which networks are trained, makes wrong")
@pytest.mark.parametrize("file", ["train_128_f64", "train_128_batch2_f64"])
def test_training_losses_in_float32(goldens: Path, variables: dict, file: str) -> None:
    """As training computes them: single precision, against the double precision of the reference.

    How far rounding takes the losses is measured beside: by how much they move if every pixel is
    moved by at most half of its last bit, and four times that is allowed. One image's statistics
    come from few values: 6e-6 a rounding, where two images' losses move by 9e-7.
    """
    golden = np.load(goldens / f"{file}.npz")
    truth = jnp.asarray(golden["gts"].astype(np.int32))
    images, rng = golden_images(len(truth)), np.random.default_rng(0)
    run = jax.jit(lambda weights, x: loss_parts(weights, x, truth, dtype="float32")[0])

    def losses(x: np.ndarray) -> np.ndarray:
        return np.asarray(run(variables, jnp.asarray(x, jnp.float32)), np.float64)

    actual = losses(images)
    shifts = (2.0**-24 * rng.uniform(-1, 1, images.shape) for _ in range(6))
    moved = max(np.max(np.abs(losses(images * (1 + shift)) / actual - 1)) for shift in shifts)
    np.testing.assert_allclose(actual, golden["parts_wt0.05"], rtol=min(4 * moved + 1e-6, 3e-5))
