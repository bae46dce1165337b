"""Our networks against the reference goldens beside the checkout (skipped where they are absent)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens.deterministic_weights import drawn, drawn_images
from goldens.parity import (
    ROUNDED,
    Network,
    Passes,
    assert_gradient_norms,
    passes,
    relative_gap,
    shapes_of,
)

from mgajax import models
from mgajax.models.blocks import Layers
from mgajax.models.cbam import Cbam
from mgajax.models.resize import RESIZE_METHODS, resize_masks
from mgajax.training.classification_losses import ATTENTION_LOSSES, attention_loss

BACKBONES = [
    ("resnet18", "resnet18", {}),
    ("resnet50", "resnet50", {}),
    ("densenet121", "densenet121", {}),
    (
        "resnet18_cbam_official_96_adaptivepool",
        "resnet18_cbam",
        {"placement": "every_block", "flavour": "official", "stages": (1, 2, 3, 4)},
    ),
]
PLACEMENTS = ("last_block", "stage_end", "stage_end_residual", "every_block")
VARIANTS = [(flavour, placement) for flavour in ("eq2", "official") for placement in PLACEMENTS]


@pytest.fixture(scope="module")
def goldens(shared: Path) -> Path:
    return shared / "goldens" / "classification"


def network_images() -> np.ndarray:
    return drawn_images((2, 3, 96, 96)).transpose(0, 2, 3, 1)


GAP = 1e-4
"""Of numbers that the references computed in float32; of those in float64 it is 1e-6."""


def norms_of(golden, prefix: str) -> dict[str, float]:
    keys = [key for key in golden.files if key.startswith(prefix)]
    assert keys
    return {key.removeprefix(prefix): float(golden[key]) for key in keys}


@pytest.mark.slow(finds="a number of one network that the executed reference has otherwise")
@pytest.mark.parametrize(("file", "name", "options"), BACKBONES, ids=[b[0] for b in BACKBONES])
def test_backbone(goldens: Path, file: str, name: str, options: dict) -> None:
    """In double precision; `test_parity.py` has the same networks in single precision."""
    golden = np.load(goldens / f"{file}.npz")
    shapes = shapes_of(golden["state_names"], golden["state_shapes"])
    with jax.enable_x64(True):
        network = Network.drawn(name, shapes=shapes, dtype="float64", **options)
        actual = passes(
            network,
            images=network_images(),
            labels=golden["labels"].astype(np.int32),
            evaluation_gradients=True,
        )
    assert models.count(network.variables) == golden["param_count"]
    assert relative_gap(actual.evaluated.logits, golden["eval_logits_f64"]) < 1e-6
    assert relative_gap(actual.trained.logits, golden["train_logits_f64"]) < 1e-6
    assert actual.loss == pytest.approx(float(golden["train_loss_f64"]), rel=1e-6)
    expected = norms_of(golden, "train_gradnorm_f64/")
    assert_gradient_norms(actual.gradients, expected, rtol=1e-6, share=0.0, whole=1e-6)
    expected = norms_of(golden, "eval_gradnorm/")
    assert_gradient_norms(actual.evaluation_gradients, expected, rtol=5e-3, share=0.0, whole=5e-3)
    for key in golden.files:
        if key.startswith("after_train_running/"):
            running = actual.running[key.removeprefix("after_train_running/")]
            assert relative_gap(running, golden[key]) < GAP, key


@pytest.mark.slow(finds="attention or losses of one placement that the reference has otherwise")
@pytest.mark.parametrize(("flavour", "placement"), VARIANTS)
def test_guided_variant(goldens: Path, flavour: str, placement: str) -> None:
    """In single precision; `test_parity.py` has the same networks in double precision."""
    golden = np.load(goldens / "mga_variants_96.npz")
    base = np.load(goldens / "resnet18.npz")
    prefix_of_variant = f"{flavour}/{placement}"
    prefix = f"{prefix_of_variant}/train/eq6/mixed"
    shapes = shapes_of(base["state_names"], base["state_shapes"])
    shapes |= shapes_of(golden[f"{prefix_of_variant}/names"], golden[f"{prefix_of_variant}/shapes"])
    options = {"placement": placement, "flavour": "paper" if flavour == "eq2" else flavour}
    network = Network.drawn("mga_resnet18", shapes=shapes, **options)
    assert models.count(network.variables) == golden[f"{prefix_of_variant}/params"]

    masks = (golden["mask"].transpose(0, 2, 3, 1) > 0).astype(np.float32)
    actual = passes(
        network,
        images=network_images(),
        labels=golden["labels"].astype(np.int32),
        masks=masks,
        log_variances=golden[f"{prefix}/s"],
    )
    assert actual.loss == pytest.approx(float(golden[f"{prefix}/total"]), rel=GAP)
    assert relative_gap(actual.log_variances_gradient, golden[f"{prefix}/grad_s"]) < GAP
    expected = norms_of(golden, f"{prefix}/gradnorm/")
    assert_gradient_norms(actual.gradients, expected, **ROUNDED)
    assert_outputs(actual, golden, prefix_of_variant, masks=masks)


def assert_outputs(actual: Passes, golden, variant: str, *, masks: np.ndarray) -> None:
    """Logits, the three maps, and Eq. 4 of each under every kind and resize, in both modes."""
    for mode, out in (("eval", actual.evaluated), ("train", actual.trained)):
        assert relative_gap(out.logits, golden[f"{variant}/{mode}/logits"]) < GAP
        for stage in ("stage1", "stage2", "stage3"):
            stored = golden[f"{variant}/{mode}/map{stage[-1]}"]
            attention = out.attention[stage]
            assert relative_gap(np.transpose(attention, (0, 3, 1, 2)), stored) < GAP
            for kind, label in zip(ATTENTION_LOSSES, ("att_mse", "att_abs"), strict=True):
                for method in RESIZE_METHODS:
                    loss = attention_loss(attention, jnp.asarray(masks), kind=kind, resize=method)
                    stored_loss = float(golden[f"{variant}/{mode}/{label}/{method}/{stage}"])
                    assert float(jnp.mean(loss)) == pytest.approx(stored_loss, rel=GAP)


@pytest.mark.parametrize("side", [24, 12, 6])
@pytest.mark.parametrize("method", RESIZE_METHODS)
def test_resized_masks(goldens: Path, method: str, side: int) -> None:
    golden = np.load(goldens / "mga_variants_96.npz")
    masks = nhwc((golden["mask"] > 0).astype(np.float32))
    actual = resize_masks(masks, size=(side, side), method=method)
    np.testing.assert_allclose(actual, nhwc(golden[f"target/{method}/{side}"]), atol=1e-6)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_cbam_module(goldens: Path, mode: str) -> None:
    golden = np.load(goldens / "cbam_modules_C64.npz")
    shapes = shapes_of(golden["CBAM/names"], golden["CBAM/shapes"])
    state = {key: drawn(key, shape) for key, shape in shapes.items() if "num_batches" not in key}
    params, statistics = cbam_variables(state)
    features = nhwc(np.random.default_rng(1).standard_normal((2, 64, 14, 14)))
    upstream = nhwc(np.random.default_rng(2).standard_normal((2, 64, 14, 14)))
    module = Cbam(Layers(), "official")

    def objective(params, features):
        variables = {"params": params, "batch_stats": statistics}
        out, new = module.apply(variables, features, train=mode == "train", mutable=["batch_stats"])
        return jnp.sum(out.features * upstream), (out, new["batch_stats"])

    run = jax.jit(jax.value_and_grad(objective, argnums=(0, 1), has_aux=True))
    (_, (out, after)), (gradients, inward) = run(params, features)
    prefix = f"CBAM/{mode}"
    assert relative_gap(np.transpose(out.features, (0, 3, 1, 2)), golden[f"{prefix}/out"]) < 1e-5
    length = np.linalg.norm(np.asarray(inward, np.float64))
    assert length == pytest.approx(float(golden[f"{prefix}/gradin_l2"]), rel=1e-5)
    reduce = golden[f"{prefix}/grad/ChannelGate.mlp.1.weight"]
    assert relative_gap(gradients["channel"]["reduce"]["kernel"][0, 0].T, reduce) < 1e-4
    window = golden[f"{prefix}/grad/SpatialGate.spatial.conv.weight"]
    kernel = gradients["spatial"]["conv"]["kernel"]
    assert relative_gap(np.transpose(kernel, (3, 2, 0, 1)), window) < 1e-4
    if mode == "train":
        variance = golden["CBAM/after_train/SpatialGate.spatial.bn.running_var"]
        assert relative_gap(after["spatial"]["norm"]["var"], variance) < 1e-6


def nhwc(array: np.ndarray) -> jax.Array:
    return jnp.asarray(array.astype(np.float32).transpose(0, 2, 3, 1))


def cbam_variables(state: dict[str, np.ndarray]) -> tuple[dict, dict]:
    gate, norm = "ChannelGate.mlp", "SpatialGate.spatial.bn"
    channel = {
        ours: {
            "kernel": state[f"{gate}.{theirs}.weight"].T[None, None],
            "bias": state[f"{gate}.{theirs}.bias"],
        }
        for ours, theirs in (("reduce", 1), ("expand", 3))
    }
    window = state["SpatialGate.spatial.conv.weight"].transpose(2, 3, 1, 0)
    spatial = {
        "conv": {"kernel": window},
        "norm": {"scale": state[f"{norm}.weight"], "bias": state[f"{norm}.bias"]},
    }
    running = {"mean": state[f"{norm}.running_mean"], "var": state[f"{norm}.running_var"]}
    return {"channel": channel, "spatial": spatial}, {"spatial": {"norm": running}}
