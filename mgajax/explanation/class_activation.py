"""Grad-CAM (Selvaraju et al. 2017) and a network's own attention, for comparison with attributions.

Both are coarse maps of where a network looks. They are no attributions: they do not add up to a logit.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mgajax.data.loader import AnyArray
from mgajax.errors import ConfigError, nearest
from mgajax.explanation.question import (
    EVALUATION,
    ExplainedNetwork,
    Targets,
    make_question,
    target_logits,
)


def grad_cam(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: Float[AnyArray, "b h w c"],
    targets: Targets,
    *,
    before: str = "head",
    batch_size: int = 32,
    call: Mapping[str, Any] = EVALUATION,
) -> Float[np.ndarray, "b h w"]:
    """relu(Σ_c w_c A_c), where w_c is the mean over space of the target logit's gradient by A_c.

    Args:
      model: a classifier with channel-last feature maps.
      variables: what `model.apply` takes.
      images: normalised.
      targets: class of each image.
      before: name of the top-level layer whose input is A: "head" for the last features (the
        authors' choice), "stage4" for those of the third stage, and so on.
      batch_size: images at once.
      call: keyword arguments of the module's call.

    Returns:
      ≥ 0, enlarged bilinearly to the images' size.

    Raises:
      ConfigError: no such layer, or it takes no feature map; a target out of range.
      DataError: images that are not finite.
    """
    question = make_question(model, variables, images, images, targets, call=call)
    maps = [
        _maps(
            variables,
            question.images[start : start + batch_size],
            question.targets[start : start + batch_size],
            network=question.network,
            before=before,
        )
        for start in range(0, len(question), batch_size)
    ]
    return enlarge(np.concatenate(maps), size=(images.shape[1], images.shape[2]))


def attention_maps(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: Float[AnyArray, "b h w c"],
    *,
    batch_size: int = 32,
    call: Mapping[str, Any] = EVALUATION,
) -> dict[str, Float[np.ndarray, "b h w"]]:
    """The model's spatial attention maps by name, enlarged to the images' size (Paper Fig. 9).

    Raises:
      ConfigError: the model has no attention.
    """
    maps_by_name: dict[str, list[np.ndarray]] = {}
    network = ExplainedNetwork(model, tuple(sorted(call.items())))
    for start in range(0, images.shape[0], batch_size):
        rows = jnp.asarray(images[start : start + batch_size])
        for name, maps in _attention(variables, rows, network=network).items():
            maps_by_name.setdefault(name, []).append(np.asarray(maps)[..., 0])
    if not maps_by_name:
        raise ConfigError(
            f"{type(model).__name__} has no attention maps; explain resnet18_cbam or "
            "mga_resnet18, or choose another method"
        )
    size = (images.shape[1], images.shape[2])
    return {name: enlarge(np.concatenate(maps), size=size) for name, maps in maps_by_name.items()}


def enlarge(
    maps: Float[np.ndarray, "b _h _w"], *, size: tuple[int, int]
) -> Float[np.ndarray, "b h w"]:
    """Maps at another size, bilinear."""
    shape = (maps.shape[0], *size)
    return np.asarray(jax.image.resize(jnp.asarray(maps), shape, "linear", antialias=False))


def layer_names(
    network: ExplainedNetwork, variables: Mapping[str, Any], images: Float[Array, "b h w c"]
) -> Sequence[str]:
    """The network's top-level layers, in the order in which they are called."""
    names: dict[str, None] = {}

    def note(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if len(context.module.path) == 1:
            names[context.module.path[0]] = None
        return call(*args, **kwargs)

    def run(variables: Any, images: Array) -> Array:
        with nn.intercept_methods(note):
            return network.logits(variables, images)

    jax.eval_shape(run, variables, images)
    return tuple(names)


@functools.partial(jax.jit, static_argnames="network")
def _attention(
    variables: Mapping[str, Any], images: Float[Array, "b h w c"], *, network: ExplainedNetwork
) -> dict[str, Float[Array, "b h2 w2 1"]]:
    out: Any = network.model.apply(variables, images, **dict(network.call))
    return getattr(out, "attention", {})


@functools.partial(jax.jit, static_argnames=("network", "before"))
def _maps(
    variables: Mapping[str, Any],
    images: Float[Array, "b h w c"],
    targets: Int[Array, "b"],
    *,
    network: ExplainedNetwork,
    before: str,
) -> Float[Array, "b h2 w2"]:
    def logit(shift: Array | None) -> tuple[Array, Array]:
        """The target's logit if the features were shifted, and the features."""
        inputs = []

        def intercept(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            if context.module.path != (before,) or context.method_name != "__call__":
                return call(*args, **kwargs)
            features, *other_arguments = args
            inputs.append(features)
            return call(features if shift is None else features + shift, *other_arguments, **kwargs)

        with nn.intercept_methods(intercept):
            logits = network.logits(variables, images)
        if len(inputs) != 1 or inputs[0].ndim != 4:
            layers = layer_names(network, variables, images)
            raise ConfigError(
                f"before={before!r} is no layer that takes one feature map [b, h, w, c]: "
                f"{nearest(before, tuple(layers))}"
            )
        return jnp.sum(target_logits(logits, targets)), inputs[0]

    shape = jax.eval_shape(logit, None)[1]
    gradients, features = jax.grad(logit, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
    weights = jnp.mean(gradients, axis=(1, 2), keepdims=True)
    return jax.nn.relu(jnp.sum(weights * features, axis=-1))
