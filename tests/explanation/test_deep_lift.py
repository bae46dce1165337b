"""DeepLIFT against the executed references, the worked example, and completeness everywhere."""

import itertools
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from explanation.drawn_networks import (
    CONV,
    MLP,
    NARROW,
    ConvNet,
    Mlp,
    golden_inputs,
    golden_network,
    small_variables,
)
from goldens.parity import relative_gap

from mgajax import models
from mgajax.errors import ConfigError
from mgajax.explanation.attribution import Attribution
from mgajax.explanation.deep_lift import deeplift, reveal_cancel
from mgajax.models.blocks import Head, Layers
from mgajax.models.cbam import FLAVOURS, PLACEMENTS, Cbam
from mgajax.models.pooling import max_pool_3x3

RULES = ("rescale", "reveal_cancel", "genomics_default")
LIBRARY = {
    "rescale": "Rescale",
    "reveal_cancel": "RevealCancel",
    "genomics_default": "DeepLIFT_GenomicsDefault",
}
ALLOWED = {"float32": 1e-4, "float64": 1e-10}
"""Completeness gap, as a share of the difference of the logits."""


def assert_adds_up(explained: Attribution, *, allowed: float) -> None:
    assert (np.abs(explained.completeness_gap) <= allowed * np.abs(explained.difference)).all()


"""Largest completeness gap as a share of |f(x) − f(baseline)|."""


class Minimum(nn.Module):
    """relu(i₁) − relu(i₁ − i₂), which is min(i₁, i₂) for i₁ ≥ 0 and i₂ ≥ 0."""

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        hidden = nn.relu(jnp.matmul(x, jnp.array([[1.0, 1.0], [0.0, -1.0]], x.dtype)))
        return jnp.matmul(hidden, jnp.array([[1.0], [-1.0]], x.dtype))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("rescale", [[0, 1], [1, 0], [2, 0]]), ("reveal_cancel", [[0.5, 0.5], [0.5, 0.5], [1, 1]])],
)
def test_the_worked_example(rule: str, expected: list) -> None:
    x = np.array([[3, 1], [1, 3], [2, 2]], np.float32)
    contributions = deeplift(Minimum(), {}, x, np.zeros_like(x), np.zeros(3, int), nonlinear=rule)
    np.testing.assert_allclose(contributions.attributions, expected, atol=1e-6)
    np.testing.assert_allclose(contributions.completeness_gap, 0, atol=1e-6)


@pytest.fixture(scope="module")
def small(shared: Path):
    return np.load(shared / "goldens/attribution/attr_small_nets.npz")


def against_each_target(model, variables, x, baseline, **options: Any) -> np.ndarray:
    """Attributions [example, target, ...]."""
    contributions = [
        deeplift(model, variables, x, baseline, np.full(len(x), target), **options).attributions
        for target in range(3)
    ]
    return np.stack(contributions, axis=1)


@pytest.mark.parametrize("kind", ["zero", "random"])
@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_mlp(small, rule: str, kind: str) -> None:
    contributions = against_each_target(
        Mlp(), small_variables(MLP), small["mlp/x"], small[f"mlp/ref_{kind}"], nonlinear=rule
    )
    prefix = f"mlp/{LIBRARY[rule]}/{kind}/contributions"
    exact = np.stack([small[f"{prefix}_numpy_f64_t{target}"] for target in range(3)], axis=1)
    np.testing.assert_allclose(contributions, exact, atol=1e-6)
    # RevealCancel: the library adds 1e-7 to zero denominators, a difference quotient in float32.
    loose = 5e-4 if rule == "reveal_cancel" else 1e-5
    np.testing.assert_allclose(contributions, small[prefix], atol=loose)


@pytest.mark.parametrize("kind", ["zero", "random"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("pool", ["avgpool", "maxpool"])
def test_convolutional_network(small, pool: str, rule: str, kind: str) -> None:
    x, baseline = (small[f"conv/{name}"].transpose(0, 2, 3, 1) for name in ("x", f"ref_{kind}"))
    contributions = against_each_target(
        ConvNet(pool), small_variables(CONV), x, baseline, nonlinear=rule
    ).transpose(0, 1, 4, 2, 3)
    if pool == "avgpool":
        stored = small[f"conv/{pool}/{LIBRARY[rule]}/{kind}/contributions"]
        np.testing.assert_allclose(contributions, stored, atol=1e-6)
    elif rule != "genomics_default":
        # The library takes the gradient of a max pool, which is not complete.
        library_rule = {"rescale": "rescale", "reveal_cancel": "reveal"}[rule]
        names = [f"conv/own_crossmax_{library_rule}/{kind}/t{target}" for target in range(3)]
        np.testing.assert_allclose(
            contributions, np.stack([small[n] for n in names], axis=1), atol=1e-6
        )
    logits = small[f"conv/{pool}/Rescale/{kind}/out"] - small[f"conv/{pool}/Rescale/{kind}/out_ref"]
    np.testing.assert_allclose(contributions.sum(axis=(2, 3, 4)), logits, atol=1e-5)


class SmallAttentionNetwork(nn.Module):
    """What our networks are made of, in little: stem pool, attention, sum, head."""

    flavour: str
    dtype: str

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        make = Layers(self.dtype)
        x = nn.relu(make.norm(name="norm0")(make.conv(16, kernel=3, name="conv0")(x), train=train))
        x = max_pool_3x3(x)
        y = make.norm(name="norm1")(make.conv(16, kernel=3, name="conv1")(x), train=train)
        y = Cbam(make, self.flavour, name="cbam")(y, train=train).features
        return Head(3, name="head")(nn.relu(x + y))


@pytest.mark.parametrize(
    ("flavour", "rule", "dtype"),
    [
        ("paper", "rescale", "float32"),
        *(
            pytest.param(
                *case,
                marks=pytest.mark.slow(finds="a rule that loses a part in the authors' attention"),
            )
            for case in [
                ("official", "rescale", "float64"),
                ("paper", "reveal_cancel", "float64"),
                ("official", "reveal_cancel", "float32"),
            ]
        ),
    ],
)
def test_attention_and_overlapping_pools_add_up(flavour: str, rule: str, dtype: str) -> None:
    with jax.enable_x64(dtype == "float64"):
        model = SmallAttentionNetwork(flavour, dtype)
        x, baselines = drawn_pair((3, 16, 16, 2), dtype)
        variables = randomised(model.init(jax.random.key(0), jnp.asarray(x), train=False))
        targets = np.array([0, 1, 2])
        explained = deeplift(model, variables, x, baselines, targets, nonlinear=rule, batch_size=2)
        assert explained.attributions.dtype == dtype
        assert_adds_up(explained, allowed=ALLOWED[dtype])
        logits = [model.apply(variables, jnp.asarray(value)) for value in (x, *baselines)]
        change = logits[0] - (logits[1] + logits[2]) / 2
        np.testing.assert_allclose(explained.difference, change[np.arange(3), targets], rtol=1e-4)


def drawn_pair(shape: tuple[int, ...], dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Images, and a black and a random baseline for each."""
    rng = np.random.default_rng(0)
    images, random = rng.standard_normal((2, *shape)).astype(dtype)
    return images, np.stack([np.zeros_like(images), 0.5 * random])


def randomised(variables: Any) -> Any:
    """No bias or statistic at its neutral starting value: each gets a little noise, upwards."""
    rng = np.random.default_rng(3)

    def moved(path: Any, leaf: Any) -> np.ndarray:
        noise = np.abs(0.1 * rng.standard_normal(np.shape(leaf))).astype(np.float32)
        return np.asarray(leaf) + (0 if path[-1].key == "kernel" else noise)

    return jax.tree_util.tree_map_with_path(moved, variables)


TWO_BLOCKS = {"width": 16, "depths": (1, 2, 1, 1)}
"""As `NARROW`, and the last block of a stage is not the only one."""

NETWORKS = [
    ("resnet18", NARROW, "float64"),
    ("resnet18", NARROW, "float32"),
    ("mga_resnet18", NARROW, "float64"),
    ("mga_resnet18", NARROW, "float32"),
    *(
        ("resnet18_cbam", TWO_BLOCKS | {"placement": placement, "flavour": flavour}, "float64")
        for placement, flavour in zip(PLACEMENTS, itertools.cycle(FLAVOURS))
    ),
    ("resnet50", {}, "float64"),
    ("densenet121", {}, "float64"),
]


@pytest.mark.slow(finds="parts that are lost where blocks, attention and features are joined")
@pytest.mark.parametrize(("name", "options", "dtype"), NETWORKS, ids=str)
def test_every_classifier_adds_up(name: str, options: dict, dtype: str) -> None:
    with jax.enable_x64(dtype == "float64"):
        model = models.create(name, num_classes=3, dtype=dtype, **options)
        variables = randomised(models.init_variables(model, image_size=48, channels=1, seed=0))
        images, baselines = drawn_pair((2, 48, 48, 1), dtype)
        explained = deeplift(model, variables, images, baselines, np.array([0, 1]))
        # A difference of 1e-4 between logits near 1 is itself known to few digits in float32.
        logits = np.abs(model.apply(variables, jnp.asarray(images)).logits).max(axis=1)
        allowed = ALLOWED[dtype] * np.abs(explained.difference) + 4 * np.finfo(dtype).eps * logits
        assert (np.abs(explained.completeness_gap) <= allowed).all()


@pytest.mark.slow(finds="rounding in float32 that RevealCancel makes large, block after block")
def test_reveal_cancel_adds_up_on_the_proposed_classifier() -> None:
    model = models.create("mga_resnet18", num_classes=3, **NARROW)
    variables = randomised(models.init_variables(model, image_size=48, channels=1, seed=0))
    images, baselines = drawn_pair((2, 48, 48, 1), "float32")
    explained = reveal_cancel(model, variables, images, baselines, np.array([0, 1]))
    assert_adds_up(explained, allowed=ALLOWED["float32"])


@pytest.mark.slow(finds="attributions of a whole network that are not those of the reference")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        ("black", "deeplift_own_deepshap_scatter_add_f64"),
        ("random", "rand/deeplift_own_deepshap_scatter_add_f64"),
    ],
)
def test_resnet18_golden(shared: Path, kind: str, stored: str, dtype: str) -> None:
    golden = np.load(shared / "goldens/attribution/attr_resnet18_64.npz")
    with jax.enable_x64(dtype == "float64"):
        network = golden_network(shared, "resnet18", dtype=dtype)
        assert_golden(network, golden["target"], golden[stored], kind=kind, dtype=dtype)


@pytest.mark.slow(finds="attributions through attention that are not those of the reference")
@pytest.mark.parametrize(("kind", "dtype"), [("black", "float64"), ("random", "float32")])
@pytest.mark.parametrize(("flavour", "stored"), [("paper", "eq2"), ("official", "official")])
def test_cbam_golden(shared: Path, flavour: str, stored: str, kind: str, dtype: str) -> None:
    golden = np.load(shared / "goldens/attribution/attr_cbam_last_block_64.npz")
    with jax.enable_x64(dtype == "float64"):
        network = golden_network(
            shared, "resnet18_cbam", placement="last_block", flavour=flavour, dtype=dtype
        )
        expected = golden[f"{stored}/{kind}/own_product_rule"]
        assert_golden(network, golden[f"{stored}/target"], expected, kind=kind, dtype=dtype)


def assert_golden(network, target, expected, *, kind: str, dtype: str) -> None:
    pair = golden_inputs(kind, dtype=dtype)
    explained = deeplift(network.model, network.variables, *pair, target.reshape(1))
    # The references were computed in float64 and stored rounded to float32.
    tolerance = {"float32": 5e-5, "float64": 1e-7}[dtype]
    assert relative_gap(explained.attributions.transpose(0, 3, 1, 2), expected) < tolerance
    assert_adds_up(explained, allowed=ALLOWED[dtype])


def test_bad_input_is_named() -> None:
    x = np.ones((2, 2), np.float32)
    arguments = (Minimum(), {}, x, 0 * x)
    with pytest.raises(ConfigError, match=r"targets\[1\] is 1, expected a class in 0 … 0"):
        deeplift(*arguments, np.array([0, 1]))
    with pytest.raises(ConfigError, match="nonlinear='relu'"):
        deeplift(*arguments, np.array([0, 0]), nonlinear="relu")
    with pytest.raises(ConfigError, match="batch_size=0"):
        deeplift(*arguments, np.array([0, 0]), batch_size=0)


def test_an_operation_without_a_rule_stops_before_anything_is_computed() -> None:
    class SortingLayer(nn.Module):
        @nn.compact
        def __call__(self, x, *, train: bool = False):
            return jnp.sort(x, axis=-1)

    x = np.ones((2, 3), np.float32)
    with pytest.raises(ConfigError, match="no rule for the operation 'sort'"):
        deeplift(SortingLayer(), {}, x, 0 * x, np.array([0, 0]))
