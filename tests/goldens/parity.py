"""Runs a network of ours under weights drawn by name, for comparison with stored references."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from goldens.deterministic_weights import drawn_state

from mgajax import interop, models
from mgajax.models import ClassifierOutput
from mgajax.training import classification_losses, weighting

AS_USERS_COMPILE = {
    "xla_backend_optimization_level": 3,
    "xla_llvm_disable_expensive_passes": False,
    "xla_cpu_use_fusion_emitters": True,
}
"""XLA's defaults, which `conftest.py` gives up for time."""


def shapes_of(names: np.ndarray, shapes: np.ndarray) -> dict[str, tuple[int, ...]]:
    """Names and "64x3x7x7" strings as a dictionary of shapes."""
    return {
        str(name): tuple(int(n) for n in str(shape).split("x") if n)
        for name, shape in zip(names, shapes, strict=True)
    }


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of ours with the drawn weights."""

    name: str
    options: Mapping[str, Any]
    model: nn.Module
    variables: dict[str, Any]

    @classmethod
    def drawn(cls, name: str, *, shapes: Mapping[str, tuple[int, ...]], **options: Any):
        """Weights drawn in PyTorch's layout by PyTorch's names, then read by `from_torch`.

        In the type that is computed in, for gradients and statistics have that of their variables.
        """
        read = interop.from_torch(name, drawn_state(shapes), **options)
        dtype = options.get("dtype", "float32")
        variables = jax.tree.map(lambda leaf: leaf.astype(dtype), read)
        model = models.create(name, num_classes=3, **options)
        return cls(name=name, options=options, model=model, variables=variables)

    def torch_names(self, params: Any, statistics: Any) -> dict[str, np.ndarray]:
        """Gradients (in place of parameters) and statistics by PyTorch's names."""
        variables = {"params": params, "batch_stats": statistics}
        return interop.to_torch(self.name, variables, **self.options)


@dataclasses.dataclass(frozen=True)
class Passes:
    """What one evaluation and one training pass (forward and backward) gave."""

    evaluated: ClassifierOutput
    trained: ClassifierOutput
    cross_entropy: np.ndarray
    loss: float
    gradients: dict[str, np.ndarray]
    running: dict[str, np.ndarray]
    log_variances_gradient: np.ndarray
    evaluation_gradients: dict[str, np.ndarray]


def passes(
    network: Network,
    *,
    images: np.ndarray,
    labels: np.ndarray,
    masks: np.ndarray | None = None,
    log_variances: np.ndarray | None = None,
    evaluation_gradients: bool = False,
    compiler_options: Mapping[str, Any] | None = None,
) -> Passes:
    """Evaluation and training pass in one compilation, in the network's compute type.

    The loss is the mean cross-entropy, or Eq. 6 where masks [b, h, w, 1] are given. Without
    `compiler_options` the program is compiled as plainly as the other tests' are.
    """
    dtype = network.options.get("dtype", "float32")
    s = jnp.asarray(np.zeros(2) if log_variances is None else log_variances, dtype)
    statistics, batch = network.variables["batch_stats"], jnp.asarray(images, dtype)

    def objective(params: Any, s: jax.Array, train: bool):
        variables = {"params": params, "batch_stats": statistics}
        out, new = network.model.apply(variables, batch, train=train, mutable=["batch_stats"])
        likelihood = classification_losses.cross_entropy(out.logits, jnp.asarray(labels))
        loss = jnp.mean(likelihood)
        if masks is not None:
            attention = classification_losses.attention_loss(
                out.attention[out.guided], jnp.asarray(masks, dtype)
            )
            loss = weighting.weighted_total(jnp.stack([loss, jnp.mean(attention)]), s)
        return loss, (out, new["batch_stats"], likelihood)

    @functools.partial(jax.jit, compiler_options=compiler_options)
    def run(params: Any, s: jax.Array):
        gradient = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
        trained = gradient(params, s, True)
        if evaluation_gradients:
            return trained, gradient(params, s, False)
        return trained, (objective(params, s, False), (params, s))

    params = network.variables["params"]
    (trained, gradients), (evaluated, in_evaluation) = run(params, s)
    loss, (out, after, likelihood) = trained
    return Passes(
        evaluated=evaluated[1][0],
        trained=out,
        cross_entropy=np.asarray(likelihood),
        loss=float(loss),
        gradients=network.torch_names(gradients[0], statistics),
        running=network.torch_names(params, after),
        log_variances_gradient=np.asarray(gradients[1]),
        evaluation_gradients=network.torch_names(in_evaluation[0], statistics),
    )


ROUNDED = {"rtol": 5e-2, "share": 1e-4, "whole": 2e-3}
"""How far gradients of float32 may be from those of float64, see `assert_gradient_norms`."""

EXACT = {"rtol": 1e-9, "share": 1e-12, "whole": 1e-9}
"""Of float64; 4e-14 is the most that was measured."""


def assert_gradient_norms(
    gradients: Mapping[str, np.ndarray],
    expected: Mapping[str, float],
    *,
    rtol: float,
    share: float,
    whole: float,
) -> None:
    """Every parameter's gradient by its norm, and all of them together.

    Each is within `rtol` of its own norm and `share` of the whole gradient's, and the vector of all
    norms within `whole` of the whole gradient's.

    Where two values nearly tie for a maximum, or one lies next to a ReLU's 0, float32 sends the
    gradient elsewhere than float64 does, and on another processor elsewhere again: one parameter's
    norm can move by a hundredth while all logits agree to 1e-5. The whole gradient moves by less:
    1e-6 in ResNet-18, where nothing ties, 4e-4 in U-Net and SegNet, where windows of a pooling do.
    """
    norms = np.array([norm_of(gradients[key]) for key in expected])
    golden_norms = np.array(list(expected.values()))
    total, gaps = np.linalg.norm(golden_norms), np.abs(norms - golden_norms)
    wrong = {
        key: (norm, gap)
        for key, norm, gap in zip(expected, golden_norms, gaps, strict=True)
        if gap > rtol * norm + share * total
    }
    assert not wrong, wrong
    assert np.linalg.norm(gaps) <= whole * total


def norm_of(gradient: np.ndarray) -> float:
    """Summed in float64: a float32 sum of a million squares is off by 2e-5 on some processors."""
    return float(np.linalg.norm(gradient.astype(np.float64)))


def relative_gap(ours: Any, theirs: Any) -> float:
    """Largest difference over the reference's largest value."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape
    return float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))
