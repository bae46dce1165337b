"""Our networks against PyTorch (float64), weights drawn by name: the committed fixtures."""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens.deterministic_weights import drawn_images
from goldens.parity import Network, passes, relative_gap, shapes_of

from mgajax import models
from mgajax.models.registry import CLASSIFIERS
from mgajax.resize import METHODS
from mgajax.training.losses import ATTENTION_LOSSES, attention_loss

FIXTURES = Path(__file__).parent.parent / "goldens" / "classification"
SIZE = 64
HEAD = 4

PLACEMENTS = ("last_block", "stage_end", "stage_end_residual", "every_block")
EVERY_NETWORK = {
    "resnet18": ("resnet18", {}),
    "resnet50": ("resnet50", {}),
    "densenet121": ("densenet121", {}),
    "resnet18_cbam": (
        "resnet18_cbam",
        {"placement": "every_block", "flavour": "official", "stages": (1, 2, 3, 4)},
    ),
    "mga_simplified": ("mga_resnet18", {"stages": (1,), "mga_stage": 1}),
} | {
    f"mga_{flavour}_{placement}": ("mga_resnet18", {"flavour": flavour, "placement": placement})
    for flavour in ("paper", "official")
    for placement in PLACEMENTS
}
QUICK = ("resnet18", "mga_paper_last_block")
CASES = [
    pytest.param(case, marks=() if case in QUICK else pytest.mark.slow) for case in EVERY_NETWORK
]


def drawn_masks() -> np.ndarray:
    """The masks of the fixtures: nothing, and two discs."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    masks = np.zeros((3, SIZE, SIZE, 1), np.float32)
    masks[1, :, :, 0] = (rows - 20) ** 2 + (columns - 41) ** 2 < 9**2
    masks[2, :, :, 0] = (rows - 47) ** 2 + (columns - 10) ** 2 < 14**2
    return masks


def test_every_fixture_has_a_case() -> None:
    stored = {path.stem for path in FIXTURES.glob("*.npz")} - {"resize"}
    assert stored == set(EVERY_NETWORK)
    assert {name for name, _ in EVERY_NETWORK.values()} == set(CLASSIFIERS)


@pytest.mark.parametrize("case", CASES)
def test_network_equals_pytorch(case: str) -> None:
    name, options = EVERY_NETWORK[case]
    golden = np.load(FIXTURES / f"{case}.npz")
    shapes = shapes_of(golden["state_names"], golden["state_shapes"])
    network = Network.drawn(name, shapes=shapes, **options)
    shape = (3, int(golden["channels"]), SIZE, SIZE)
    images = drawn_images(shape, seed=int(golden["seed"])).transpose(0, 2, 3, 1)
    guided = "log_variances" in golden
    found = passes(
        network,
        images=images,
        labels=np.array([0, 1, 2], np.int32),
        masks=drawn_masks() if guided else None,
        log_variances=golden["log_variances"].astype(np.float32) if guided else None,
    )

    assert models.count(network.variables) == golden["parameter_count"]
    assert relative_gap(found.evaluated.logits, golden["eval/logits"]) < 1e-4
    maps = {key.removeprefix("eval/") for key in golden if key.startswith("eval/stage")}
    assert set(found.evaluated.attention) == maps
    for key in maps:
        attention = np.transpose(found.evaluated.attention[key], (0, 3, 1, 2))
        assert relative_gap(attention, golden[f"eval/{key}"]) < 1e-4

    assert relative_gap(found.trained.logits, golden["train/logits"]) < 1e-4
    assert relative_gap(found.cross_entropy, golden["train/cross_entropy"]) < 1e-4
    assert found.loss == pytest.approx(float(golden["train/loss"]), rel=1e-4)
    _assert_gradient_norms(found.gradients, golden, rtol=5e-3 if name == "resnet50" else 1e-3)
    heads = [found.running[key].flatten()[:HEAD] for key in golden["running_names"]]
    assert relative_gap(np.concatenate(heads), golden["running_heads"]) < 1e-4
    if guided:
        gap = relative_gap(found.log_variances_gradient, golden["log_variances_gradient"])
        assert gap < 1e-4
        attention = found.trained.attention[found.trained.guided]
        _assert_attention_losses(attention, golden)


def _assert_attention_losses(attention: jax.Array, golden: np.lib.npyio.NpzFile) -> None:
    """Eq. 4 per example, as MSE and L1, under every way to shrink a mask."""
    for kind, method in itertools.product(ATTENTION_LOSSES, METHODS):
        loss = attention_loss(attention, jnp.asarray(drawn_masks()), kind=kind, resize=method)
        assert relative_gap(loss, golden[f"attention_loss/{kind}/{method}"]) < 1e-4


def _assert_gradient_norms(
    gradients: dict[str, np.ndarray], golden: np.lib.npyio.NpzFile, *, rtol: float
) -> None:
    """Every parameter's gradient; those that vanish, against the whole gradient's norm."""
    expected = dict(zip(golden["gradient_names"], golden["gradient_norms"], strict=True))
    total = np.linalg.norm(golden["gradient_norms"])
    found = {key: np.linalg.norm(gradients[key].astype(np.float64)) for key in expected}
    wrong = {
        key: (found[key], norm)
        for key, norm in expected.items()
        if abs(found[key] - norm) > rtol * norm + 1e-6 * total
    }
    assert not wrong
