"""What is to be explained: which logit of which network, on which images, against which baselines."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer

from mgajax.data.loader import AnyArray
from mgajax.errors import ConfigError, DataError

Baselines = Float[AnyArray, "..."]
"""`[b, ...]` or `[m, b, ...]`; the shape is checked by hand, for a message that helps."""
Targets = Integer[AnyArray, "..."] | Sequence[int]
EVALUATION: Mapping[str, Any] = {"train": False}
"""How our networks are called; a module of other arguments needs others."""


@dataclasses.dataclass(frozen=True)
class ExplainedNetwork:
    """A Flax module and how it is called. Hashable, so that compiled functions can be cached by it.

    Attributes:
      model: a module whose call gives logits `[b, k]`, or an object with such `.logits`.
      call: keyword arguments of the call.
    """

    model: nn.Module
    call: tuple[tuple[str, Any], ...]

    def logits(self, variables: Mapping[str, Any], inputs: Array) -> Float[Array, "b k"]:
        """The logits of `inputs` `[b, ...]`.

        Raises:
          ConfigError: the module is in train mode, or gives no logits of that form.
        """
        try:
            out: Any = self.model.apply(variables, inputs, **dict(self.call))
        except (flax.errors.ModifyScopeVariableError, flax.errors.InvalidRngError) as error:
            raise ConfigError(
                f"{type(self.model).__name__} called with {dict(self.call)}: it changes its "
                "statistics or draws at random, so it is in train mode; explain it in evaluation "
                "mode, for our networks call={'train': False}"
            ) from error
        logits = getattr(out, "logits", out)
        if not isinstance(logits, jax.Array) or logits.ndim != 2:
            output = getattr(logits, "shape", type(logits).__name__)
            raise ConfigError(
                f"{type(self.model).__name__}: its output is {output}, expected logits [b, k], or "
                "an object with them in .logits; explanations are for classifiers"
            )
        return logits


@dataclasses.dataclass(frozen=True, eq=False)
class AttributionQuestion:
    """A checked question.

    Attributes:
      network: the network to explain.
      variables: its parameters and statistics.
      images: float `[b, ...]`.
      baselines: float `[m, b, ...]`: m for each image, over which attributions are averaged.
      targets: int32 `[b]`, the explained logit of each image.
    """

    network: ExplainedNetwork
    variables: Mapping[str, Any]
    images: Float[Array, "b *size"]
    baselines: Float[Array, "m b *size"]
    targets: Int[Array, "b"]

    def __len__(self) -> int:
        return self.images.shape[0]


def make_question(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: Float[AnyArray, "b *size"],
    baselines: Baselines,
    targets: Targets,
    *,
    call: Mapping[str, Any],
) -> AttributionQuestion:
    """Check the arguments that all methods share.

    Raises:
      DataError: baselines of another shape or type than the images, no image, or values that are
        not finite.
      ConfigError: a target that is no class, or the module is no classifier in evaluation mode.
    """
    pictures, references = jnp.asarray(images), jnp.asarray(baselines)
    if references.ndim == pictures.ndim:
        references = references[None]
    if references.shape[1:] != pictures.shape or 0 in references.shape:
        raise DataError(
            f"baselines {np.shape(baselines)} with images {pictures.shape}: expected the images' "
            f"shape, or (m, {', '.join(map(str, pictures.shape))}) for m baselines an image"
        )
    if references.dtype != pictures.dtype:
        raise DataError(
            f"baselines are {references.dtype}, images {pictures.dtype}; convert one of them"
        )
    for name, array in (("images", pictures), ("baselines", references)):
        if not bool(jnp.isfinite(array).all()):
            raise DataError(f"{name}: NaN or infinity among the values; expected finite numbers")
    network = ExplainedNetwork(model, tuple(sorted(call.items())))
    classes = jax.eval_shape(network.logits, variables, pictures).shape[1]
    return AttributionQuestion(
        network=network,
        variables=variables,
        images=pictures,
        baselines=references,
        targets=_check_targets(targets, n=pictures.shape[0], classes=classes),
    )


def _check_targets(targets: Targets, *, n: int, classes: int) -> Int[Array, "b"]:
    classes_of_images = np.asarray(targets)
    if classes_of_images.shape != (n,) or not np.issubdtype(classes_of_images.dtype, np.integer):
        raise ConfigError(
            f"targets: {classes_of_images.dtype} {classes_of_images.shape}, expected one class (an integer) for each of "
            f"the {n} images"
        )
    outside = np.flatnonzero((classes_of_images < 0) | (classes_of_images >= classes))
    if len(outside):
        raise ConfigError(
            f"targets[{outside[0]}] is {classes_of_images[outside[0]]}, expected a class in 0 … {classes - 1} "
            f"(the network has {classes} logits)"
        )
    return jnp.asarray(classes_of_images, jnp.int32)


def target_logits(logits: Float[Array, "b k"], targets: Int[Array, "b"]) -> Float[Array, "b"]:
    """One logit of each row."""
    return jnp.sum(logits * one_hot(logits, targets), axis=1)


def one_hot(logits: Float[Array, "b k"], targets: Int[Array, "b"]) -> Float[Array, "b k"]:
    """1 at each row's target, 0 elsewhere, in the type of the logits."""
    return jax.nn.one_hot(targets, logits.shape[1], dtype=logits.dtype)
