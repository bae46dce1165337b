"""U-Net, SegNet and DeepLabV3 against PyTorch (float64), weights drawn by name: the fixtures."""

from pathlib import Path

import jax
import numpy as np
import pytest
from goldens.deterministic_weights import drawn_images
from goldens.parity import EXACT, ROUNDED, assert_gradient_norms, relative_gap, shapes_of
from goldens.segmentation_parity import Segmenter, TrainingPass

from mgajax import models

FIXTURES = Path(__file__).parent.parent / "goldens" / "segmentation"
THINNING = 3
HEAD = 4
CASES = {
    "unet": ("unet", {}),
    "unet_bilinear": ("unet", {"upsampling": "bilinear"}),
    "segnet": ("segnet", {}),
    "deeplabv3_resnet50": ("deeplabv3_resnet50", {}),
}


def loaded(case: str, *, dtype: str = "float32"):
    """The fixture, the network with its weights, and the images [b, h, w, c]."""
    name, options = CASES[case]
    golden = np.load(FIXTURES / f"{case}.npz")
    shapes = shapes_of(golden["state_names"], golden["state_shapes"])
    images = drawn_images(tuple(golden["images_shape"]), seed=int(golden["seed"]))
    network = Segmenter.drawn(name, shapes=shapes, dtype=dtype, **options)
    return golden, network, images.transpose(0, 2, 3, 1)


def thinned(logits) -> np.ndarray:
    """What the fixtures keep of logits, in PyTorch's layout."""
    return np.transpose(logits, (0, 3, 1, 2))[:, :, ::THINNING, ::THINNING]


def test_every_fixture_has_a_case() -> None:
    assert {path.stem for path in FIXTURES.glob("*.npz")} >= set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_evaluation_equals_pytorch(case: str) -> None:
    golden, network, images = loaded(case)
    out = network.evaluate(images)
    assert models.count(network.variables) == golden["parameter_count"]
    assert out.logits.shape == (*images.shape[:3], 2)
    assert relative_gap(thinned(out.logits), golden["eval/logits"]) < 1e-5
    assert set(out.auxiliary) == ({"fcn"} if "eval/auxiliary" in golden else set())
    for logits in out.auxiliary.values():
        assert relative_gap(thinned(logits), golden["eval/auxiliary"]) < 1e-5


@pytest.mark.slow(finds="a loss, statistic or gradient that single precision makes wrong")
@pytest.mark.parametrize("case", ["unet_bilinear", "segnet"])
def test_training_equals_pytorch(case: str) -> None:
    """Float32 as training computes: the loss, the statistics, and no gradient far off."""
    golden, network, images = loaded(case)
    truth = np.random.default_rng(1).integers(0, 2, images.shape[:3])
    actual = network.train(images, truth)
    _assert_trained(actual, golden, loss=1e-5, running=1e-4, gradients=ROUNDED)


@pytest.mark.slow(finds="a gradient of one network that is wrong by less than float32 shows")
@pytest.mark.parametrize("case", CASES)
def test_training_equals_pytorch_in_double_precision(case: str) -> None:
    """Where nothing but an error of ours can differ."""
    with jax.enable_x64(True):
        golden, network, images = loaded(case, dtype="float64")
        truth = np.random.default_rng(1).integers(0, 2, images.shape[:3])
        actual = network.train(images, truth)
    _assert_trained(actual, golden, loss=1e-9, running=1e-9, gradients=EXACT)


def _assert_trained(
    actual: TrainingPass, golden, *, loss: float, running: float, gradients: dict[str, float]
) -> None:
    assert actual.loss == pytest.approx(float(golden["train/loss"]), rel=loss)
    heads = [actual.running[key].flatten()[:HEAD] for key in golden["running_names"]]
    assert relative_gap(np.concatenate(heads), golden["running_heads"]) < running
    expected = dict(zip(golden["gradient_names"], golden["gradient_norms"], strict=True))
    assert_gradient_norms(actual.gradients, expected, **gradients)
