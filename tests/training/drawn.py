"""Small drawn examples and a small guided network, for tests of the training room."""

import functools
from typing import Any

import numpy as np
import optax
from ml_collections import ConfigDict

from mgajax.data.augmentation import Augmentation
from mgajax.data.loader import Examples
from mgajax.models.blocks import Layers
from mgajax.models.cbam import attention_plan
from mgajax.models.initialise import init_variables
from mgajax.models.resnet import BasicBlock, ResNet
from mgajax.training import steps
from mgajax.training.feed import Feed
from mgajax.training.sharding import Layout
from mgajax.training.state import TrainState, create_state, make_optimiser
from mgajax.training.tasks import make_task

SIDE = 32
CONFIG = ConfigDict(
    {
        "task": "classification",
        "loss": {
            "weighting": "uncertainty",
            "attention_kind": "mse",
            "attention_resize": "area",
            "attention_weight": 1.0,
        },
    }
)


def draw_examples(count: int, *, seed: int = 0) -> Examples:
    """Noise with a bright square whose side and place tell the class; the square is the lesion."""
    rng = np.random.default_rng(seed)
    images = rng.integers(40, 90, (count, SIDE, SIDE, 1)).astype(np.uint8)
    masks = np.zeros_like(images)
    labels = rng.integers(0, 3, count).astype(np.int32)
    for image, mask, label in zip(images, masks, labels, strict=True):
        if label:
            top, left = rng.integers(2, 14, 2)
            square = (slice(top, top + 8 * label), slice(left, left + 8))
            image[square] += 100
            mask[square] = 255
    mask_weights = (rng.random(count) < 0.8).astype(np.float32)
    return Examples(images=images, masks=masks, labels=labels, mask_weights=mask_weights)


def small_network(
    *, axis_name: str | None, guided: str | None = "stage3", lungs: str | None = None
) -> ResNet:
    """One block a stage, attention in the first three."""
    plan = attention_plan(placement="last_block", flavour="paper", stages=(1, 2, 3))
    return ResNet(3, BasicBlock, (1, 1, 1, 1), Layers("float32", axis_name), plan, guided, lungs)


def step_settings(
    layout: Layout, *, learning_rate: float = 1e-4, lungs: str | None = None
) -> steps.StepSettings:
    """Everything on: augmentation, guided attention, learned weights; the paper's rate.

    At ten times that rate Adam's steps, which have the size of the rate however small a gradient
    is, turn rounding into differences of 1e-4 within ten steps.
    """
    schedule = optax.cosine_decay_schedule(learning_rate, decay_steps=100)
    model = small_network(axis_name=layout.axis_name, lungs=lungs)
    return steps.StepSettings(
        model=model,
        optimiser=make_optimiser(schedule, log_variance_rate=10.0),
        schedule=schedule,
        augmentation=Augmentation(),
        task=make_task(CONFIG, model=model),
        seed=0,
        axis_name=layout.axis_name,
    )


def start(layout: Layout, settings: steps.StepSettings) -> TrainState:
    """A state at step 0 on every device of `layout`."""
    variables = init_variables(settings.model, image_size=SIDE, channels=1, seed=0)
    terms = settings.task.learned
    return layout.replicate(create_state(variables, terms=terms, optimiser=settings.optimiser))


def train_steps(
    layout: Layout,
    examples: Examples,
    rows: list[np.ndarray],
    *,
    resident: bool = False,
    lungs: str | None = None,
) -> tuple[TrainState, list[dict[str, Any]]]:
    """One step for each entry of `rows`; the last state and every step's metrics, on the host."""
    settings = step_settings(layout, lungs=lungs)
    placed = layout.replicate(examples) if resident else examples
    feed = Feed(examples=placed, layout=layout, resident=resident)
    function = functools.partial(steps.train_step, settings=settings)
    step = feed.step(function, outputs=("replicated", "replicated"), donate=True)
    state, logged = start(layout, settings), []
    for chosen in rows:
        state, metrics = step(state, *feed.inputs(chosen))
        logged.append({name: float(value) for name, value in metrics.items()})
    return state, logged
