"""Runs a segmenter of ours under weights drawn by name, for comparison with stored references."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from goldens.deterministic_weights import drawn_state
from goldens.parity import AS_USERS_COMPILE, norm_of

from mgajax import interop, models
from mgajax.models import SegmenterOutput
from mgajax.training.segmentation_losses import pixel_cross_entropy

DAMPED = {"backbone.layer*.bn3.weight": 0.2}
WITHOUT_DROPOUT = {"dropout": 0.0, "auxiliary_dropout": 0.0}
AUXILIARY_WEIGHT = 0.5


def listed_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a state dict from a listing: a line an entry, `#` starts a comment."""
    lines = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    return {name: tuple(map(int, shape.split("x"))) for name, shape, _ in lines}


@dataclasses.dataclass(frozen=True)
class Segmenter:
    """A network of ours with the drawn weights."""

    name: str
    options: Mapping[str, Any]
    model: nn.Module
    variables: dict[str, Any]

    @classmethod
    def drawn(
        cls,
        name: str,
        *,
        shapes: Mapping[str, tuple[int, ...]],
        gains: Mapping[str, float] = DAMPED,
        **options: Any,
    ):
        """Weights drawn in PyTorch's layout by PyTorch's names, then read by `from_torch`.

        In the type that is computed in, for gradients and statistics have that of their variables.
        """
        if name.startswith("deeplabv3"):
            options = WITHOUT_DROPOUT | options
        read = interop.from_torch(name, drawn_state(shapes, gains=gains), **options)
        dtype = options.get("dtype", "float32")
        variables = jax.tree.map(lambda leaf: leaf.astype(dtype), read)
        model = models.create(name, num_classes=2, **options)
        return cls(name=name, options=options, model=model, variables=variables)

    def evaluate(self, images: np.ndarray) -> SegmenterOutput:
        """One evaluation pass over images [b, h, w, c].

        SegNet's is compiled as users do: where two values of a window nearly tie, rounding decides
        which place its decoder puts them back to. Plainly compiled, one goes elsewhere than
        PyTorch's, and logits differ by 6e-4 there; else by 9e-7.
        """
        options = AS_USERS_COMPILE if self.name == "segnet" else None
        run = jax.jit(self.model.apply, compiler_options=options)
        return run(self.variables, self._batch(images))

    def train(self, images: np.ndarray, truth: np.ndarray) -> "TrainingPass":
        """One training pass, forward and backward, for the classes `truth` [b, h, w]."""
        statistics = self.variables["batch_stats"]
        batch, classes = self._batch(images), jnp.asarray(truth.astype(np.int32))

        @jax.jit
        @functools.partial(jax.value_and_grad, has_aux=True)
        def run(params: Any, statistics: Any, batch: jax.Array):
            variables = {"params": params, "batch_stats": statistics}
            out, new = self.model.apply(variables, batch, train=True, mutable=["batch_stats"])
            main = mean_cross_entropy(out.logits, classes)
            second = jnp.zeros((), main.dtype)
            for logits in out.auxiliary.values():
                second = second + mean_cross_entropy(logits, classes)
            return main + AUXILIARY_WEIGHT * second, (main, second, new["batch_stats"])

        params = self.variables["params"]
        (loss, (main, second, after)), gradients = run(params, statistics, batch)
        return TrainingPass(
            loss=float(loss),
            main=float(main),
            auxiliary=float(second),
            gradients=self._torch_names(gradients, statistics),
            running=self._torch_names(params, after),
        )

    def _batch(self, images: np.ndarray) -> jax.Array:
        return jnp.asarray(images, self.options.get("dtype", "float32"))

    def _torch_names(self, params: Any, statistics: Any) -> dict[str, np.ndarray]:
        variables = {"params": params, "batch_stats": statistics}
        return interop.to_torch(self.name, variables, **self.options)


@dataclasses.dataclass(frozen=True)
class TrainingPass:
    """Losses, and gradients and statistics by PyTorch's names."""

    loss: float
    main: float
    auxiliary: float
    gradients: dict[str, np.ndarray]
    running: dict[str, np.ndarray]

    def total_norm(self) -> float:
        """The norm of all gradients together."""
        names = [name for name in self.gradients if ".running_" not in name]
        return float(np.linalg.norm([norm_of(self.gradients[name]) for name in names]))


def mean_cross_entropy(logits: jax.Array, truth: jax.Array) -> jax.Array:
    """Mean over the pixels that are not ignored."""
    means, counts = pixel_cross_entropy(logits, truth)
    return jnp.sum(means * counts) / jnp.sum(counts)
