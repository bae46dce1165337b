"""Our networks against PyTorch (float64), weights drawn by name: the committed fixtures."""

import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens.deterministic_weights import drawn_images
from goldens.parity import (
    AS_USERS_COMPILE,
    EXACT,
    ROUNDED,
    Network,
    Passes,
    assert_gradient_norms,
    passes,
    relative_gap,
    shapes_of,
)

from mgajax import models
from mgajax.models.registry import CLASSIFIERS
from mgajax.models.resize import RESIZE_METHODS
from mgajax.training.classification_losses import ATTENTION_LOSSES, attention_loss

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
QUICK = (("resnet18", "float32"), ("mga_paper_last_block", "float64"))
IN_FLOAT32 = ("resnet18", "resnet50", "densenet121", "resnet18_cbam", "mga_simplified")
"""The other placements run in float32 against the references beside the checkout."""

WHOLE = pytest.mark.slow(finds="a number of one network or placement that PyTorch has otherwise")
CASES = [
    pytest.param(*case, marks=() if case in QUICK else WHOLE)
    for case in [
        *itertools.product(IN_FLOAT32, ["float32"]),
        *itertools.product(EVERY_NETWORK, ["float64"]),
    ]
]
GAP = {"float32": 1e-4, "float64": 1e-9}
GRADIENT_GAP = {"float32": ROUNDED, "float64": EXACT}


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


@pytest.mark.parametrize(("case", "dtype"), CASES)
def test_network_equals_pytorch(case: str, dtype: str) -> None:
    """Float32 as training computes, and float64, where nothing but an error of ours can differ."""
    _assert_equals_pytorch(case, dtype)


@pytest.mark.slow(finds="a number that is right under the tests' plain way to compile alone")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_proposed_network_equals_pytorch_as_users_compile_it(dtype: str) -> None:
    _assert_equals_pytorch("mga_paper_last_block", dtype, compiler_options=AS_USERS_COMPILE)


def _assert_equals_pytorch(case: str, dtype: str, **compiling: Any) -> None:
    golden = np.load(FIXTURES / f"{case}.npz")
    with jax.enable_x64(dtype == "float64"):
        network = drawn_network(case, golden, dtype=dtype)
        shape = (3, int(golden["channels"]), SIZE, SIZE)
        guided = "log_variances" in golden
        actual = passes(
            network,
            images=drawn_images(shape, seed=int(golden["seed"])).transpose(0, 2, 3, 1),
            labels=np.array([0, 1, 2], np.int32),
            masks=drawn_masks() if guided else None,
            log_variances=golden["log_variances"] if guided else None,
            **compiling,
        )
        assert actual.trained.logits.dtype == dtype
        assert models.count(network.variables) == golden["parameter_count"]
        _assert_passes(actual, golden, gap=GAP[dtype])
        expected = dict(zip(golden["gradient_names"], golden["gradient_norms"], strict=True))
        assert_gradient_norms(actual.gradients, expected, **GRADIENT_GAP[dtype])
        if guided:
            attention = actual.trained.attention[actual.trained.guided]
            _assert_attention_losses(attention, golden, gap=GAP[dtype])


def drawn_network(case: str, golden: np.lib.npyio.NpzFile, *, dtype: str) -> Network:
    name, options = EVERY_NETWORK[case]
    shapes = shapes_of(golden["state_names"], golden["state_shapes"])
    return Network.drawn(name, shapes=shapes, dtype=dtype, **options)


def _assert_passes(actual: Passes, golden: np.lib.npyio.NpzFile, *, gap: float) -> None:
    """Logits and maps in evaluation; logits, losses and new statistics in training."""
    assert relative_gap(actual.evaluated.logits, golden["eval/logits"]) < gap
    maps = {key.removeprefix("eval/") for key in golden if key.startswith("eval/stage")}
    assert set(actual.evaluated.attention) == maps
    for key in maps:
        attention = np.transpose(actual.evaluated.attention[key], (0, 3, 1, 2))
        assert relative_gap(attention, golden[f"eval/{key}"]) < gap

    assert relative_gap(actual.trained.logits, golden["train/logits"]) < gap
    assert relative_gap(actual.cross_entropy, golden["train/cross_entropy"]) < gap
    assert actual.loss == pytest.approx(float(golden["train/loss"]), rel=gap)
    heads = [actual.running[key].flatten()[:HEAD] for key in golden["running_names"]]
    assert relative_gap(np.concatenate(heads), golden["running_heads"]) < gap
    if "log_variances_gradient" in golden:
        assert relative_gap(actual.log_variances_gradient, golden["log_variances_gradient"]) < gap


def _assert_attention_losses(
    attention: jax.Array, golden: np.lib.npyio.NpzFile, *, gap: float
) -> None:
    """Eq. 4 per example, as MSE and L1, under every way to shrink a mask."""
    masks = jnp.asarray(drawn_masks(), attention.dtype)
    for kind, method in itertools.product(ATTENTION_LOSSES, RESIZE_METHODS):
        loss = attention_loss(attention, masks, kind=kind, resize=method)
        assert relative_gap(loss, golden[f"attention_loss/{kind}/{method}"]) < gap
