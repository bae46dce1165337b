"""The train step and the predict step: pure functions over one device's share of a batch.

They read no files and know no configuration. With an `axis_name`, sums run over all devices, so losses,
gradients and batch statistics are those of the global batch. Parts outside the network have named
scopes, which `mgajax benchmark compile` reads in compiled programs.
"""

from dataclasses import dataclass
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Shaped

from mgajax.data.augmentation import Augmentation, augment, example_keys
from mgajax.data.loader import Batch, mask_to_float, to_float
from mgajax.training import weighting
from mgajax.training.state import TrainState
from mgajax.training.tasks import CROSS_ENTROPY, Task, Term, Terms


@dataclass(frozen=True)
class StepSettings:
    """What a step needs beside state and batch; static under jit.

    Attributes:
      model: a Flax module; its output is what the task expects.
      optimiser: see `state.make_optimiser`.
      schedule: learning rate by step, for the log.
      augmentation: how training examples are varied.
      task: loss terms, scores, predictions.
      seed: root of all randomness.
      axis_name: the device axis, or None when the compiler sums by itself.
    """

    model: Any
    optimiser: optax.GradientTransformation
    schedule: optax.Schedule
    augmentation: Augmentation
    task: Task
    seed: int
    axis_name: str | None


def train_step(
    state: TrainState, batch: Batch, *, settings: StepSettings
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """One update on one global batch.

    Args:
      state: replicated.
      batch: this device's share; weights are 1 everywhere (training never pads).

    Returns:
      The next state and float32 scalars, both equal on every device: `loss` (Eq. 6), each term
      and score under its name, `weight/TERM` and `log_variance/TERM` as used in this step,
      `gradient_norm`, `learning_rate`, and the `parameter_norm` after the update, which is
      not finite if the state is not.
    """
    axis = settings.axis_name
    task = settings.task
    images, masks = _augment_batch(state.step, batch, settings=settings)
    rngs = {"dropout": jax.random.fold_in(jax.random.key(settings.seed), state.step)}

    def objective(params: dict[str, Any]) -> tuple[Float[Array, ""], Any]:
        output, updates = settings.model.apply(
            {"params": params["model"], "batch_stats": state.batch_stats},
            images,
            train=True,
            mutable=["batch_stats"],
            rngs=rngs,
        )
        with jax.named_scope("loss"):
            means = _shares_of_means(task.terms(output, batch, masks), axis)
            shares = jnp.stack([mean.share for mean in means.values()])
            devices = _sum(jnp.ones((), jnp.float32), axis)
            learned = params["log_variances"]
            total = _total(shares, means, learned, devices=devices, settings=settings)
            scores = _shares_of_means(task.scores(output, batch, masks), axis)
        return total, (updates["batch_stats"], means, scores)

    gradient = jax.grad(objective, has_aux=True)
    grads, (batch_stats, means, scores) = gradient(state.params)
    grads = _sum(grads, axis)
    params, opt_state, norms = _apply_gradients(in_stored_order(grads), state, settings=settings)
    score_means = {name: _sum(score.share, axis) for name, score in scores.items()}
    metrics = score_means | _loss_metrics(state.params["log_variances"], means, settings=settings)
    next_state = TrainState(
        step=state.step + jnp.int32(1),
        params=params,
        batch_stats=batch_stats,
        opt_state=opt_state,
    )
    return next_state, metrics | norms


def predict_step(
    state: TrainState, batch: Batch, *, settings: StepSettings
) -> dict[str, Shaped[Array, "b ..."]]:
    """What evaluation needs of each example; sums are left to the host, where they are exact.

    Returns:
      `rows` int32 [b], as they came; float32 [b] for each term and score, its values under its name
      and its weights under `weight_name` of it; and the task's predictions.
    """
    output = settings.model.apply(
        {"params": state.params["model"], "batch_stats": state.batch_stats},
        to_float(batch.images),
        train=False,
    )
    masks = mask_to_float(batch.masks)
    task = settings.task
    terms = task.terms(output, batch, masks) | task.scores(output, batch, masks)
    values = {name: term.values for name, term in terms.items()}
    weights = {weight_name(name): term.weights for name, term in terms.items()}
    return {"rows": batch.rows} | values | weights | task.predictions(output)


def weight_name(name: str) -> str:
    """The name of a term's or score's weights among the outputs of the predict step."""
    return f"{name}/weight"


@flax.struct.dataclass
class _Mean:
    """This device's share of a mean over the global batch, and whether any example contributed."""

    share: Any
    present: Any


def _shares_of_means(terms: Terms, axis: str | None) -> dict[str, _Mean]:
    """Shares whose sums over the devices are the terms' means over the global batch, or 0 without weight."""
    return {name: _share_of_mean(term, axis) for name, term in terms.items()}


def _share_of_mean(term: Term, axis: str | None) -> _Mean:
    count = lax.stop_gradient(_sum(term.weights.sum(), axis))
    divisor = jnp.maximum(count + jnp.float32(term.offset), jnp.float32(1))
    share = (term.values * term.weights).sum() / divisor
    if term.is_ratio:  # d(n / w) = (dn − n / w dw) / w, with n and w of the global batch
        mean = lax.stop_gradient(_sum(share, axis))
        weight = term.weights.sum()
        share = share - mean * (weight - lax.stop_gradient(weight)) / divisor
    return _Mean(share=share, present=(count > 0).astype(jnp.float32))


def _total(
    values: Float[Array, "t"],
    means: dict[str, _Mean],
    learned: dict[str, Float[Array, ""]],
    *,
    devices: Float[Array, ""] | float,
    settings: StepSettings,
) -> Float[Array, ""]:
    """Eq. 6, or the sum under fixed weights.

    Args:
      values: the terms in the order of `means`, whole or this device's shares of them.
      learned: θ of each term, see `weighting`; empty under fixed weights.
      devices: number of such totals that share the penalty log σ. A term to which no example
        of the batch contributes is not penalised: its σ gets no gradient.
    """
    if not learned:
        return (_weights(means, learned, settings=settings) * values).sum()
    penalised = jnp.stack([mean.present for mean in means.values()]) / devices
    return weighting.weighted_total(
        values,
        jnp.stack([learned[name] for name in means]),
        is_class=_is_class_term(means),
        form=settings.task.weighting,
        penalised=penalised,
    )


def _weights(
    means: dict[str, _Mean], learned: dict[str, Float[Array, ""]], *, settings: StepSettings
) -> Float[Array, "t"]:
    """The factor of each term: learned (Eq. 6), or fixed."""
    if not learned:
        return jnp.asarray([settings.task.weights[name] for name in means], jnp.float32)
    theta = jnp.stack([learned[name] for name in means])
    return weighting.task_weights(
        theta, is_class=_is_class_term(means), form=settings.task.weighting
    )


def _is_class_term(means: dict[str, _Mean]) -> Bool[Array, "t"]:
    return jnp.asarray([name == CROSS_ENTROPY for name in means])


def _loss_metrics(
    learned: dict[str, Float[Array, ""]], means: dict[str, _Mean], *, settings: StepSettings
) -> dict[str, Float[Array, ""]]:
    """Each term, whether any example contributed to it (`weight_name`), its weight and log σ² in this
    step, and the total."""
    weights = _weights(means, learned, settings=settings)
    values = {name: _sum(mean.share, settings.axis_name) for name, mean in means.items()}
    whole = jnp.stack(list(values.values()))
    total = _total(whole, means, learned, devices=1.0, settings=settings)
    variances = {
        f"log_variance/{name}": weighting.log_variances(theta[None], form=settings.task.weighting)[
            0
        ]
        for name, theta in learned.items()
    }
    factors = {f"weight/{name}": weights[i] for i, name in enumerate(means)}
    present = {weight_name(name): mean.present for name, mean in means.items()}
    return values | variances | factors | present | {"loss": total}


def in_stored_order(grads: Any) -> Any:
    """The gradients themselves, on a GPU through a barrier as flat vectors.

    cuDNN has kernels, and so their gradients, with output channels first. Without the barrier the
    compiler computes the whole update in that order: it transposes parameters and both moments there
    and back, 7 % of all bytes that a step moves (docs/explanation/performance.md).
    """
    return lax.platform_dependent(grads, cuda=_through_vectors, default=lambda grads: grads)


def _through_vectors(tree: Any) -> Any:
    vectors = lax.optimization_barrier(jax.tree.map(jnp.ravel, tree))
    return jax.tree.map(lambda vector, array: vector.reshape(array.shape), vectors, tree)


@jax.named_scope("optimiser")
def _apply_gradients(
    grads: Any, state: TrainState, *, settings: StepSettings
) -> tuple[Any, Any, dict[str, Float[Array, ""]]]:
    """Parameters and the optimiser's state after the update, with norms and learning rate for the log."""
    with jax.numpy_dtype_promotion("standard"):  # Optax mixes integer counts with floats
        learning_rate = settings.schedule(state.step)
        updates, opt_state = settings.optimiser.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    norms = {
        "gradient_norm": optax.tree.norm(grads),
        "parameter_norm": optax.tree.norm(params),
        "learning_rate": jnp.asarray(learning_rate, jnp.float32),
    }
    return params, opt_state, norms


@jax.named_scope("augmentation")
def _augment_batch(
    step: Int[Array, ""], batch: Batch, *, settings: StepSettings
) -> tuple[Float[Array, "b h w c"], Float[Array, "b h w m"]]:
    """Standardised, augmented images and masks; each key follows from the position in the global batch."""
    local = batch.labels.shape[0]
    first = 0 if settings.axis_name is None else lax.axis_index(settings.axis_name) * local
    positions = first + jnp.arange(local, dtype=jnp.int32)
    keys = example_keys(seed=settings.seed, step=step, positions=positions)
    images, masks = to_float(batch.images), mask_to_float(batch.masks)
    return augment(keys, images, masks, settings=settings.augmentation)


def _sum(tree: Any, axis: str | None) -> Any:
    """The sum over all devices; the value itself where the compiler sums."""
    return tree if axis is None else lax.psum(tree, axis)
