"""From a configuration to devices, model, task, optimiser and a state at step 0; no data are read."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import optax
from ml_collections import ConfigDict

from mgajax import models
from mgajax.data.augmentation import Augmentation
from mgajax.models.precision import wide_type
from mgajax.training.config_checks import check_settings
from mgajax.training.sharding import Layout, make_layout
from mgajax.training.state import TrainState, create_state, make_optimiser, make_schedule
from mgajax.training.steps import StepSettings
from mgajax.training.tasks import NUM_CLASSES, Task, make_task

CHANNELS = 1
"""Slices are grey."""


@dataclass(frozen=True)
class RunSetup:
    """Devices, model and task of a run.

    Attributes:
      config: a run's configuration, checked.
      layout: its devices.
      model: its Flax module.
      task: loss terms, scores and predictions.
    """

    config: ConfigDict
    layout: Layout
    model: Any
    task: Task

    def step_settings(self, *, total_steps: int) -> StepSettings:
        """What its steps need; the learning rate's schedule ends after `total_steps`."""
        optimiser, schedule = make_optimiser_and_schedule(self.config, total_steps=total_steps)
        return StepSettings(
            model=self.model,
            optimiser=optimiser,
            schedule=schedule,
            augmentation=Augmentation(**self.config.augmentation),
            task=self.task,
            seed=self.config.seed,
            axis_name=self.layout.axis_name,
        )


def set_up(config: ConfigDict, *, layout: Layout | None = None) -> RunSetup:
    """Devices, model and task of a configuration.

    Args:
      config: a run's configuration.
      layout: devices to use in place of the configuration's.

    Raises:
      ConfigError: an unusable setting.
    """
    check_settings(config)
    if layout is None:
        layout = make_layout(parallel=config.parallel, devices=config.devices)
    model = make_model(config, axis_name=layout.axis_name)
    return RunSetup(config, layout, model, task=make_task(config, model=model))


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
    """`config.model.options` for `models.create`; lists, as read from JSON, become tuples again."""
    return {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config.model.options.items()
    }


def make_optimiser_and_schedule(
    config: ConfigDict, *, total_steps: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimiser that `config.optimiser` describes, and its learning rate by step."""
    settings = config.optimiser
    schedule = make_schedule(settings, total_steps=total_steps)
    optimiser = make_optimiser(
        schedule,
        name=settings.name,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        log_variance_rate=settings.log_variance_rate,
    )
    return optimiser, schedule


def draw_state(config: ConfigDict, settings: StepSettings) -> TrainState:
    """A state at step 0 with drawn parameters, on the host."""
    return make_state(draw_variables(config, model=settings.model), config, settings)


def make_state(variables: dict[str, Any], config: ConfigDict, settings: StepSettings) -> TrainState:
    """A state at step 0 with these variables: float32, or float64 under that compute type."""
    return create_state(
        variables,
        terms=settings.task.learned,
        optimiser=settings.optimiser,
        dtype=wide_type(config.model.dtype),
    )


def draw_variables(config: ConfigDict, *, model: Any) -> dict[str, Any]:
    """Variables drawn from `config.seed`; leaves are float32 numpy arrays."""
    size = config.preparation.image_size
    return models.init_variables(model, image_size=size, channels=CHANNELS, seed=config.seed)


def state_shapes(config: ConfigDict, settings: StepSettings) -> TrainState:
    """Shapes and types of a state, as `jax.ShapeDtypeStruct`s; nothing is drawn."""
    size = config.preparation.image_size
    shapes = models.variable_shapes(settings.model, image_size=size, channels=CHANNELS)
    create = functools.partial(make_state, config=config, settings=settings)
    state: TrainState = jax.eval_shape(create, shapes)
    return state
