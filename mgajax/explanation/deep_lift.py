"""DeepLIFT (Shrikumar et al. 2017; paper §6.4, Fig. 10), complete on networks with max pooling and
attention.

The multipliers are the transpose of the linear map by which `interpreter.propagate` carries the
difference from input to logit, so they add up by construction. Rules: `rules`; docs/explanation/attribution.md
tells where the public implementations for PyTorch do not add up.
"""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mgajax.data.loader import AnyArray
from mgajax.errors import ConfigError
from mgajax.explanation.attribution import Attribution, make_attribution
from mgajax.explanation.difference import DifferenceParts, split_by_sign
from mgajax.explanation.interpreter import propagate
from mgajax.explanation.one_variable import Nonlinear
from mgajax.explanation.question import (
    EVALUATION,
    AttributionQuestion,
    Baselines,
    ExplainedNetwork,
    Targets,
    make_question,
    one_hot,
)

TITLES: dict[Nonlinear, str] = {
    "rescale": "DeepLIFT Rescale",
    "reveal_cancel": "DeepLIFT RevealCancel",
    "genomics_default": "DeepLIFT GenomicsDefault",
}


def deeplift(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: Float[AnyArray, "b *size"],
    baselines: Baselines,
    targets: Targets,
    *,
    nonlinear: Nonlinear | str = "rescale",
    batch_size: int = 32,
    call: Mapping[str, Any] = EVALUATION,
    tolerance: float = 1e-3,
) -> Attribution:
    """Attribute the logit of each image's target to its pixels.

    Args:
      model: a classifier of ours, or any Flax module of the operations in `rules`.
      variables: what `model.apply` takes.
      images: normalised, as the network takes them.
      baselines: of the images' shape, or `[m, b, ...]` for the mean over m baselines an image.
      targets: class of each image, 0 … k − 1. Logits are explained, not probabilities: a softmax
        takes evidence for one class from the others.
      nonlinear: "rescale" (the paper's Fig. 10); "reveal_cancel"; "genomics_default", which
        reveals after dense layers and rescales after convolutions.
      batch_size: images explained at once; bounds the memory.
      call: keyword arguments of the module's call.
      tolerance: of the completeness gap, see `make_attribution`.

    Raises:
      ConfigError: an operation without a rule, a target out of range, a model in train mode.
      DataError: baselines that do not fit the images.
    """
    if nonlinear not in TITLES:
        raise ConfigError(f"nonlinear={nonlinear!r}: expected one of {', '.join(TITLES)}")
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}: expected at least 1")
    question = make_question(model, variables, images, baselines, targets, call=call)
    maps, differences = zip(
        *(
            _one_baseline(question, reference, nonlinear=nonlinear, batch_size=batch_size)
            for reference in question.baselines
        ),
        strict=True,
    )
    return make_attribution(
        TITLES[nonlinear],
        np.mean(maps, axis=0),
        difference=np.mean(differences, axis=0),
        tolerance=tolerance,
    )


def reveal_cancel(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: Float[AnyArray, "b *size"],
    baselines: Baselines,
    targets: Targets,
    **options: Any,
) -> Attribution:
    """`deeplift` with the rule RevealCancel, which sees what cancels out (the paper's §6.4)."""
    return deeplift(
        model, variables, images, baselines, targets, nonlinear="reveal_cancel", **options
    )


def _one_baseline(
    question: AttributionQuestion, reference: Array, *, nonlinear: Nonlinear, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Attributions, and differences in float64, a batch at a time; the last is filled up."""
    size, n = min(batch_size, len(question)), len(question)
    filled_rows = np.arange(n + -n % size).clip(max=n - 1)
    maps, differences = [], []
    for start in range(0, n, size):
        rows = filled_rows[start : start + size]
        # Not TF32 or bfloat16 passes on accelerators, whose rounding would not add up.
        with jax.default_matmul_precision("highest"):
            attributions, difference = _attributions(
                question.variables,
                question.images[rows],
                reference[rows],
                question.targets[rows],
                network=question.network,
                nonlinear=nonlinear,
            )
        maps.append(np.asarray(attributions))
        differences.append(np.asarray(difference, np.float64))
    return np.concatenate(maps)[:n], np.concatenate(differences)[:n]


@functools.partial(jax.jit, static_argnames=("network", "nonlinear"))
def _attributions(
    variables: Mapping[str, Any],
    images: Float[Array, "b *size"],
    references: Float[Array, "b *size"],
    targets: Int[Array, "b"],
    *,
    network: ExplainedNetwork,
    nonlinear: Nonlinear,
) -> tuple[Float[Array, "b *size"], Float[Array, "b"]]:
    """Multipliers times parts, and the difference of the logits."""

    def logit_parts(parts: DifferenceParts) -> tuple[DifferenceParts, Array]:
        out = propagate(
            functools.partial(network.logits, variables),
            image=images,
            baseline=references,
            parts=parts,
            nonlinear=nonlinear,
        )
        return out.parts, out.change

    parts = split_by_sign(images - references, count=1 if nonlinear == "rescale" else 2)
    logits, transpose, change = jax.vjp(logit_parts, parts, has_aux=True)
    target_mask = one_hot(change, targets)
    (multipliers,) = transpose(tuple(target_mask for _ in logits))
    attributions = sum(m * part for m, part in zip(multipliers, parts, strict=True))
    return attributions, jnp.sum(change * target_mask, axis=1)
