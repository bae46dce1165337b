"""Networks and inputs for the tests of explanations."""

from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from drawn_runs import checkpointed
from goldens.deterministic_weights import drawn, drawn_images
from goldens.parity import Network, shapes_of

from mgajax import config as configs
from mgajax.config import CONFIG_FILE
from mgajax.models import ClassifierOutput, init_variables
from mgajax.models.blocks import Head
from mgajax.models.cbam import AttentionPlan, make_attention_plan
from mgajax.models.initialise import RESNET_LAWS, Laws

NARROW = {"width": 16, "depths": (1, 1, 1, 1)}
"""Options of our classifiers for networks that compile in a moment."""


def golden_network(shared: Path, name: str, **options: Any) -> Network:
    """A network of the reference goldens with its drawn weights, three channels and classes."""
    folder = shared / "goldens" / "classification"
    base = np.load(folder / "resnet18.npz")
    shapes = shapes_of(base["state_names"], base["state_shapes"])
    if "placement" in options:
        variants = np.load(folder / "mga_variants_96.npz")
        flavour = {"paper": "eq2"}.get(options["flavour"], options["flavour"])
        prefix = f"{flavour}/{options['placement']}"
        shapes |= shapes_of(variants[f"{prefix}/names"], variants[f"{prefix}/shapes"])
    return Network.drawn(name, shapes=shapes, **options)


def golden_inputs(kind: str, *, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """The goldens' image and its baseline, [1, 64, 64, 3]; `kind` is "black" or "random"."""
    image = drawn_images((1, 3, 64, 64)).transpose(0, 2, 3, 1)
    other = (0.5 * np.random.default_rng(1).standard_normal((1, 3, 64, 64))).astype(np.float32)
    baseline = np.zeros_like(image) if kind == "black" else other.transpose(0, 2, 3, 1)
    return image.astype(dtype), baseline.astype(dtype)


class GatedClassifier(nn.Module):
    """A small classifier that can be explained and compiles fast: layers, attention, a head."""

    plan: AttentionPlan = make_attention_plan(placement="last_block", flavour="paper", stages=(1,))
    guided: str = "stage1"
    laws: Laws = RESNET_LAWS

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        x = nn.relu(nn.Conv(4, (3, 3), strides=2, use_bias=False, name="stem")(x))
        gate = nn.sigmoid(nn.Conv(1, (3, 3), use_bias=False, name="stage1")(x))
        logits = Head(3, name="head")(x * gate)
        return ClassifierOutput(logits=logits, attention={"stage1": gate}, guided=self.guided)


def gated_run(trained: Path, workdir: Path) -> Path:
    """A copy of a classifier's run whose network is `GatedClassifier`: patch `start.make_model` to `gated`."""
    config, _ = configs.read(trained / CONFIG_FILE)
    variables = init_variables(GatedClassifier(), image_size=32, channels=1, seed=0)
    return checkpointed(workdir, config, variables["params"])


def gated(config: Any, *, axis_name: str | None) -> GatedClassifier:
    """In the place of `start.make_model`."""
    return GatedClassifier()


class Mlp(nn.Module):
    """6-8-5-3 with ReLU between."""

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        for number, width in enumerate((8, 5), start=1):
            x = nn.relu(nn.Dense(width, name=f"fc{number}")(x))
        return nn.Dense(3, name="fc3")(x)


class ConvNet(nn.Module):
    """3×3 convolution, ReLU, 2×2 pool, two linear layers."""

    pool: str

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        x = nn.relu(nn.Conv(4, (3, 3), padding="VALID", name="conv1")(x))
        pool = largest_of_windows if self.pool == "maxpool" else average_pool
        x = pool(x).transpose(0, 3, 1, 2)
        x = nn.relu(nn.Dense(16, name="fc1")(x.reshape(x.shape[0], -1)))
        return nn.Dense(3, name="fc2")(x)


def largest_of_windows(x: jax.Array) -> jax.Array:
    """Maxima of 2×2 windows, by Flax."""
    return nn.max_pool(x, (2, 2), strides=(2, 2))


def average_pool(x: jax.Array) -> jax.Array:
    """Means of 2×2 windows; Flax's own divides by an integer, which strict promotion refuses."""
    window = (1, 2, 2, 1)
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, window, window, "VALID") / 4


def small_variables(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Drawn weights of a small network, by PyTorch's shapes of its kernels."""
    params = {}
    for name, shape in shapes.items():
        kernel = drawn(f"{name}.weight", shape)
        kernel = kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel.T
        params[name] = {
            "kernel": jnp.asarray(kernel),
            "bias": jnp.asarray(drawn(f"{name}.bias", (shape[0],))),
        }
    return {"params": params}


MLP = {"fc1": (8, 6), "fc2": (5, 8), "fc3": (3, 5)}
CONV = {"conv1": (4, 1, 3, 3), "fc1": (16, 64), "fc2": (3, 16)}
