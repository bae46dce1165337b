"""The training state and its optimiser."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

SCHEDULES = ("constant", "cosine", "poly")
OPTIMISERS = ("adam", "sgd")


class TrainState(flax.struct.PyTreeNode):
    """Everything that a step changes.

    Attributes:
      step: int32 scalar, steps done. Order and augmentation follow from it, so a resume needs no
        other position.
      params: `{"model": ..., "log_variances": {term: float32 scalar}}`: log σ² of Eq. 6, or the θ of
        another `weighting.Weighting`.
      batch_stats: running statistics of batch normalisation, of the parameters' type.
      opt_state: the optimiser's.

    Fields are `Any` since JAX and Orbax also fill such a tree with shapes, shardings and markers.
    """

    step: Any
    params: Any
    batch_stats: Any
    opt_state: Any


def create_state(
    variables: dict[str, Any],
    *,
    terms: tuple[str, ...],
    optimiser: optax.GradientTransformation,
    dtype: str = "float32",
) -> TrainState:
    """A state at step 0.

    Args:
      variables: `{"params", "batch_stats"}` of the model.
      terms: names of the loss terms with a learned weight, which starts at θ = 0 (`weighting`).
      dtype: of parameters, statistics and the optimiser's moments: float32, or float64 for checks.
    """
    variables = jax.tree.map(lambda leaf: leaf.astype(dtype), dict(variables))
    log_variances = {term: jnp.zeros((), dtype) for term in terms}
    params = {"model": variables["params"], "log_variances": log_variances}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimiser.init(params),
    )


def make_schedule(settings: ConfigDict, *, total_steps: int) -> optax.Schedule:
    """Learning rate by step: constant, cosine annealing to zero, or polynomial decay to zero.

    The paper anneals the classifiers' rate each epoch (Paper §5.2); here it falls each step, on the
    same curve. For the segmenters the paper names no schedule; their base paper decays as
    (1 − step / steps) ** power (Tao et al. 2020).
    """
    if settings.schedule == "constant":
        return optax.constant_schedule(settings.learning_rate)
    if settings.schedule == "poly":
        return optax.polynomial_schedule(
            settings.learning_rate, 0.0, settings.power, transition_steps=total_steps
        )
    return optax.cosine_decay_schedule(settings.learning_rate, decay_steps=total_steps)


def make_optimiser(
    schedule: optax.Schedule,
    *,
    name: str = "adam",
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    log_variance_rate: float = 1.0,
) -> optax.GradientTransformation:
    """Adam or SGD for the model, and Adam for the log variances at their own, higher rate.

    With one rate for all, 100 epochs at 1e-4 can move s by less than 2, far from its optimum
    log L for a small attention loss; Adam's step is its rate, so the rate decides the weighting.

    Args:
      schedule: learning rate by step.
      name: one of `OPTIMISERS`.
      momentum: of SGD, without Nesterov's change.
      weight_decay: of SGD, on every parameter, added to the gradient before the momentum (as
        PyTorch's SGD, which the paper used for its segmenters).
      log_variance_rate: factor of the learning rate for the log variances.
    """
    if name == "sgd":
        decay = optax.add_decayed_weights(weight_decay)
        model = optax.chain(decay, optax.sgd(schedule, momentum=momentum))
    else:
        model = optax.adam(schedule)
    return optax.partition(
        {
            "model": model,
            "log_variances": optax.adam(lambda count: log_variance_rate * schedule(count)),
        },
        {"model": "model", "log_variances": "log_variances"},
    )
