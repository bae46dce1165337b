"""Small drawn examples and small guided networks, for tests of the training room."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from mgajax.data.augmentation import Augmentation
from mgajax.data.loader import Examples
from mgajax.models.blocks import Head, Layers
from mgajax.models.initialise import RESNET_LAWS, init_variables
from mgajax.models.mga import mga_resnet18
from mgajax.models.outputs import ClassifierOutput
from mgajax.models.precision import wide_type
from mgajax.training import steps
from mgajax.training.feed import Feed
from mgajax.training.sharding import Layout
from mgajax.training.state import TrainState, create_state, make_optimiser
from mgajax.training.tasks import make_task

SIDE = 32
LOG_VARIANCE_RATE = 10.0
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


def with_lungs(examples: Examples) -> Examples:
    """Lungs in the left half of every slice but the third."""
    lungs = np.zeros_like(examples.masks)
    lungs[:, :, :16] = 255
    lungs[2] = 0
    return examples.replace(lungs=lungs)


class TwoMaps(nn.Module):
    """Two blocks, each gated by a map of its own: statistics and sums that devices must share.

    Compiles in a fraction of a ResNet's time. Lungs guide the first map, lesions the second.
    """

    layers: Layers
    guided: str = "stage3"
    lungs: str = "stage2"
    laws = RESNET_LAWS

    @nn.compact
    def __call__(self, images, *, train: bool = False) -> ClassifierOutput:
        maps, x = {}, images
        for name in (self.lungs, self.guided):
            x = self.layers.conv(8, kernel=3, stride=2, name=f"{name}_conv")(x)
            x = jax.nn.relu(self.layers.norm(name=f"{name}_norm")(x, train=train))
            maps[name] = jax.nn.sigmoid(x[..., :1].astype(self.layers.wide))
            x = x * maps[name].astype(x.dtype)
        return ClassifierOutput(Head(3, name="head")(x), maps, self.guided, self.lungs)


def small_resnet(layers: Layers) -> nn.Module:
    """The product's guided network: one block a stage, a quarter of the channels."""
    return mga_resnet18(
        num_classes=3,
        width=16,
        depths=(1, 1, 1, 1),
        dtype=layers.dtype,
        axis_name=layers.axis_name,
    )


MakeModel = Callable[[Layers], Any]


@functools.cache
def step_settings(
    layout: Layout,
    *,
    make_model: MakeModel = TwoMaps,
    dtype: str = "float32",
    weighting: str = "uncertainty",
) -> steps.StepSettings:
    """Everything on: augmentation, guided attention, learned weights; the paper's rate.

    At ten times that rate Adam's steps, which have the size of the rate however small a gradient
    is, turn float32's rounding into differences of 1e-4 within ten steps.
    """
    schedule = optax.cosine_decay_schedule(1e-4, decay_steps=100)
    model = make_model(Layers(dtype, layout.axis_name))
    config = CONFIG.copy_and_resolve_references()
    config.loss.weighting = weighting
    return steps.StepSettings(
        model=model,
        optimiser=make_optimiser(schedule, log_variance_rate=LOG_VARIANCE_RATE),
        schedule=schedule,
        augmentation=Augmentation(),
        task=make_task(config, model=model),
        seed=0,
        axis_name=layout.axis_name,
    )


@contextlib.contextmanager
def computing_in(dtype: str) -> Iterator[None]:
    """Under float64 the step's few float32 numbers (pixels, weights) join the wider ones."""
    if dtype != "float64":
        yield
        return
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def start(layout: Layout, settings: steps.StepSettings) -> TrainState:
    """A state at step 0 on every device of `layout`, all of it in the type of computation."""
    variables = init_variables(settings.model, image_size=SIDE, channels=1, seed=0)
    terms, optimiser = settings.task.learned, settings.optimiser
    dtype = wide_type(settings.model.layers.dtype)
    return layout.replicate(create_state(variables, terms=terms, optimiser=optimiser, dtype=dtype))


@functools.cache
def compiled_step(layout: Layout, resident: bool, **chosen: Any) -> Callable[..., Any]:
    """The train step of `step_settings(layout, **chosen)`, compiled once for all tests."""
    feed = Feed(examples=draw_examples(1), layout=layout, resident=resident)
    function = functools.partial(steps.train_step, settings=step_settings(layout, **chosen))
    return feed.compile_step(function, outputs=("replicated", "replicated"), donate=True)


def train_steps(
    layout: Layout,
    examples: Examples,
    rows: list[np.ndarray],
    *,
    resident: bool = False,
    dtype: str = "float32",
    **chosen: Any,
) -> tuple[TrainState, list[dict[str, float]]]:
    """One step for each entry of `rows`; the last state and every step's metrics, on the host.

    `chosen` goes to `step_settings`.
    """
    with computing_in(dtype):
        settings = step_settings(layout, dtype=dtype, **chosen)
        placed = layout.replicate(examples) if resident else examples
        feed = Feed(examples=placed, layout=layout, resident=resident)
        step = compiled_step(layout, resident, dtype=dtype, **chosen)
        state, logged = start(layout, settings), []
        for picked in rows:
            state, metrics = step(state, *feed.inputs(picked))
            logged.append({name: float(value) for name, value in metrics.items()})
    return state, logged
