"""What a configuration begins with: its model, its optimiser, its state at step 0."""

import functools
from typing import Any

import jax
import optax
from ml_collections import ConfigDict

from mgajax import models
from mgajax.training.state import TrainState, create_state, learning_rate, make_optimiser
from mgajax.training.tasks import NUM_CLASSES, Task

CHANNELS = 1
"""Slices are grey."""


def make_model(config: ConfigDict, *, axis_name: str | None) -> Any:
    """The Flax module that `config.model` describes.

    Raises:
      ConfigError: an unknown option or value.
    """
    return models.create(
        config.model.name,
        num_classes=NUM_CLASSES[config.task],
        dtype=config.model.dtype,
        axis_name=axis_name,
        **model_options(config),
    )


def model_options(config: ConfigDict) -> dict[str, Any]:
    """`config.model.options` as the model takes them: JSON has made lists of tuples."""
    return {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config.model.options.items()
    }


def optimiser_and_schedule(
    config: ConfigDict, *, total_steps: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """What `config.optimiser` describes, and its learning rate by step."""
    settings = config.optimiser
    schedule = learning_rate(settings, total_steps=total_steps)
    optimiser = make_optimiser(
        schedule,
        name=settings.name,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        log_variance_rate=settings.log_variance_rate,
    )
    return optimiser, schedule


def fresh_state(
    config: ConfigDict, *, model: Any, task: Task, optimiser: optax.GradientTransformation
) -> TrainState:
    """A state at step 0 with drawn parameters, on the host."""
    variables = drawn_variables(config, model=model)
    return create_state(variables, terms=task.learned, optimiser=optimiser)


def drawn_variables(config: ConfigDict, *, model: Any) -> dict[str, Any]:
    """Variables as `config.seed` draws them, float32 numpy leaves."""
    size = config.preparation.image_size
    return models.init_variables(model, image_size=size, channels=CHANNELS, seed=config.seed)


def state_shapes(
    config: ConfigDict, *, model: Any, task: Task, optimiser: optax.GradientTransformation
) -> TrainState:
    """Shapes and types of such a state, as `jax.ShapeDtypeStruct`s; nothing is drawn."""
    size = config.preparation.image_size
    shapes = models.variable_shapes(model, image_size=size, channels=CHANNELS)
    create = functools.partial(create_state, terms=task.learned, optimiser=optimiser)
    state: TrainState = jax.eval_shape(create, shapes)
    return state
