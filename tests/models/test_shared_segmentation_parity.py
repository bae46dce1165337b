"""U-Net, SegNet and DeepLabV3 against the reference goldens beside the checkout (else skipped)."""

from pathlib import Path

import jax
import numpy as np
import pytest
from goldens.deterministic_weights import drawn_images
from goldens.parity import norm_of, relative_gap
from goldens.segmentation_parity import DAMPED, Segmenter, listed_shapes

from mgajax import models

HALF = 2.0**-0.5
# There, a transposed convolution's fan-in is its true one: half of what `drawn` takes for it.
GAINS = DAMPED | {"up?.up.weight": HALF}
CASES = {
    "unet": ("unet", {}, 31_037_698),
    "unet_bilinear": ("unet", {"upsampling": "bilinear"}, 17_263_042),
    "segnet": ("segnet", {}, 29_444_162),
    "deeplabv3_resnet50": ("deeplabv3_resnet50", {}, 41_994_308),
}


@pytest.fixture(scope="module")
def goldens(shared: Path) -> Path:
    return shared / "goldens" / "segmentation"


def drawn_network(case: str, goldens: Path, *, dtype: str = "float32") -> Segmenter:
    name, options, _ = CASES[case]
    shapes = listed_shapes(goldens / f"{case}_state_dict_names.txt")
    return Segmenter.drawn(name, shapes=shapes, gains=GAINS, dtype=dtype, **options)


def channels_last(shape: tuple[int, ...]) -> np.ndarray:
    return drawn_images(shape).transpose(0, 2, 3, 1)


def channels_first(logits) -> np.ndarray:
    return np.transpose(logits, (0, 3, 1, 2))


@pytest.mark.slow(finds="a prediction of one network at a size that the fixtures do not have")
@pytest.mark.parametrize("case", CASES)
def test_evaluation(goldens: Path, case: str) -> None:
    golden, network = np.load(goldens / f"{case}_eval.npz"), drawn_network(case, goldens)
    assert models.count(network.variables) == CASES[case][2]
    for prefix, size in (("", (128, 128)), ("odd_", (97, 130))):
        out = network.evaluate(channels_last((1, 3, *size)))
        assert relative_gap(channels_first(out.logits), golden[f"{prefix}out"]) < 1e-5
        assert bool(out.auxiliary) == (f"{prefix}aux" in golden)
        for logits in out.auxiliary.values():
            assert relative_gap(channels_first(logits), golden[f"{prefix}aux"]) < 1e-5


@pytest.mark.slow(finds="a gradient of one network on images of 128 pixels")
@pytest.mark.parametrize("case", CASES)
def test_training(goldens: Path, case: str) -> None:
    """In double precision, so that all of a gap is the references' own rounding, on any processor."""
    golden = np.load(goldens / f"{case}_train.npz")
    with jax.enable_x64(True):
        network = drawn_network(case, goldens, dtype="float64")
        images = channels_last((int(golden["batch"]), 3, 128, 128))
        actual = network.train(images, golden["gts"])
    assert actual.loss == pytest.approx(float(golden["loss"]), rel=1e-5)
    assert actual.main == pytest.approx(float(golden["main"]), rel=1e-5)
    assert actual.auxiliary == pytest.approx(float(golden["aux"]), rel=1e-5)
    norms = [norm_of(actual.gradients[str(name)]) for name in golden["grad_names"]]
    # Fifty layers of float32 under the statistics of a few values: one norm was off by 1.2e-3.
    rtol = 5e-3 if case.startswith("deeplabv3") else 1e-3
    np.testing.assert_allclose(norms, golden["gradnorm"], rtol=rtol)
    assert actual.total_norm() == pytest.approx(float(golden["gradnorm_total"]), rel=rtol)
    last = actual.gradients[str(golden["grad_names"][-1])]
    assert relative_gap(last, golden["last_grad"]) < 1e-4
