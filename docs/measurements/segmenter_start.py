"""How soon a segmenter finds its first lesions, and what its running statistics cost it.

    python docs/measurements/segmenter_start.py --data DIR --out FILE.json \
        --variant plain --variant dice:loss.dice_weight=1 --seeds 0 1

Trains HMSANet with the tiny trunk for a few hundred steps a variant, and a few times on the way counts
pooled Dice over validation and test slices under three normalisations: running statistics for each
scale, one set for both (kept from the same batches, for training is the same), and the batch's own.
A variant changes keys of the configuration: NAME:KEY=VALUE,KEY=VALUE.
"""

import argparse
import ast
import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from mgajax.config import segmentation
from mgajax.data.dataset import Dataset, open_dataset
from mgajax.data.loader import NO_ROW, Examples, mask_to_float, take, to_float, training_rows
from mgajax.data.preparation import Preparation
from mgajax.data.splits import make_split
from mgajax.models.hmsanet import LOW_SCALES
from mgajax.training import run_setup, steps
from mgajax.training.segmentation_losses import IGNORE, LESION, lesion_targets

MOMENTUM = 0.9
BATCH = 24
"""Slices that share their own statistics, where no running ones are used."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is trained and where it is judged."""

    config: ConfigDict
    data: Dataset
    examples: Examples
    settings: steps.StepSettings


def open_subject(data_dir: str, changes: dict[str, Any], *, seed: int, total: int) -> Subject:
    """A configuration with `changes`, and its slices on the device."""
    config = segmentation("hmsanet")
    config.update_from_flattened_dict(
        {
            "data.dir": data_dir,
            "seed": seed,
            "model.options.trunk": "hrnet_tiny",
            "model.options.statistics": "per_scale",
            "preparation.image_size": 96,
            "batch_size": 8,
            "parallel": "jit",
            "devices": 1,
            "optimiser.name": "adam",
            "optimiser.learning_rate": 3e-3,
            "optimiser.schedule": "cosine",
            "augmentation.scale": 0.2,
            "augmentation.translate": 0.1,
            **changes,
        }
    )
    setup = run_setup.set_up(config)
    data = open_dataset(
        data_dir,
        settings=Preparation(**config.preparation),
        choose_split=lambda prepared: make_split(prepared.table, kind="built", seed=0),
        normal_mask=config.data.normal_mask,
        mask_origins=setup.task.mask_origins,
        needs_masks=True,
    )
    examples = Examples(data.images, data.masks, data.table.labels, data.mask_weights)
    settings = setup.step_settings(total_steps=total)
    return Subject(config, data, jax.tree.map(jnp.asarray, examples), settings)


@jax.jit
def merged(shared: Any, before: Any, after: Any) -> Any:
    """One set for both scales after a step, from what the step did to the two sets."""
    low, low_before = after[LOW_SCALES], before[LOW_SCALES]
    full, full_before = (
        {k: v for k, v in tree.items() if k != LOW_SCALES} for tree in (after, before)
    )

    def both(running: Any, low: Any, low_before: Any, full: Any, full_before: Any) -> Any:
        seen_low, seen_full = low - MOMENTUM * low_before, full - MOMENTUM * full_before
        return MOMENTUM * (MOMENTUM * running + seen_low) + seen_full

    return jax.tree.map(both, shared, low, low_before, full, full_before)


def measure(subject: Subject, *, total: int, every: int) -> dict[str, Any]:
    """Train `total` steps; Dice of the training batches, and of unseen slices every so often."""
    settings, config = subject.settings, subject.config
    state = run_setup.draw_state(config, settings)
    shared = state.batch_stats[LOW_SCALES]
    step = jax.jit(functools.partial(steps.train_step, settings=settings))
    count_pixels = make_pixel_counter(settings.model)
    train_rows, held_out = (
        subject.data.rows("train"),
        [subject.data.rows(s) for s in ("validation", "test")],
    )
    scored, trained, norms, history = np.concatenate(held_out), [], [], []
    for number in range(total):
        rows = training_rows(
            train_rows, step=number, batch_size=config.batch_size, seed=config.seed
        )
        before = state.batch_stats
        state, metrics = step(state, take(subject.examples, jnp.asarray(rows)))
        shared = merged(shared, before, state.batch_stats)
        trained.append(float(metrics["dice"]))
        norms.append(float(metrics["gradient_norm"]))
        if (number + 1) % every == 0:
            sets = {
                "per scale": (state.batch_stats, False),
                "shared": ({**shared, LOW_SCALES: shared}, False),
                f"own of {BATCH}": (state.batch_stats, True),
            }
            scores = {
                name: _dice(
                    count_pixels, state.params["model"], stats, subject, scored, train=by_batch
                )
                for name, (stats, by_batch) in sets.items()
            }
            history.append({"step": number + 1, **scores})
            print(history[-1], flush=True)
    return {
        "steps until batches have Dice 0.3": first_above(trained, 0.3),
        "gradient norm at the first step": norms[0],
        "unseen slices": history,
    }


def make_pixel_counter(model: Any) -> Any:
    """A function that counts the lesion pixels of a batch: found rightly, marked, annotated."""

    @functools.partial(jax.jit, static_argnames="train")
    def count_pixels(params: Any, statistics: Any, batch: Any, *, train: bool) -> jax.Array:
        variables = {"params": params, "batch_stats": statistics}
        rngs, mutable = {"dropout": jax.random.key(0)}, ["batch_stats"] if train else False
        output = model.apply(
            variables, to_float(batch.images), train=train, mutable=mutable, rngs=rngs
        )
        logits = (output[0] if train else output).logits
        targets = lesion_targets(mask_to_float(batch.masks), batch.mask_weights)
        marked = (logits[..., 1] > logits[..., 0]) & (targets != IGNORE)
        there = targets == LESION
        return jnp.stack([jnp.sum(x) for x in (marked & there, marked, there)])

    return count_pixels


def _dice(
    count_pixels: Any, params: Any, statistics: Any, subject: Subject, rows: Any, *, train: bool
):
    """Pooled; with own statistics only whole batches count."""
    counts = np.zeros(3)
    for at in range(0, len(rows), BATCH):
        part = rows[at : at + BATCH]
        if len(part) < BATCH and train:
            break
        filled = np.concatenate([part, np.full(BATCH - len(part), NO_ROW)]).astype(np.int32)
        batch = take(subject.examples, jnp.asarray(filled))
        counts += np.asarray(count_pixels(params, statistics, batch, train=train))
    hits, marked, there = counts
    return round(float(2 * hits / max(marked + there, 1)), 3)


def first_above(values: list[float], least: float, *, window: int = 10) -> int | None:
    """The first step at which the mean of the last steps reaches `least`."""
    means = [float(np.mean(values[max(0, i + 1 - window) : i + 1])) for i in range(len(values))]
    return next((i + 1 for i, mean in enumerate(means) if mean >= least), None)


def parsed(variant: str) -> tuple[str, dict[str, Any]]:
    """`NAME:KEY=VALUE,...`."""
    name, _, text = variant.partition(":")
    pairs = (item.partition("=") for item in text.split(",") if item)
    return name, {key: ast.literal_eval(value) for key, _, value in pairs}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variant", action="append", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=50)
    arguments = parser.parse_args()
    results = json.loads(arguments.out.read_text()) if arguments.out.is_file() else []
    for name, changes in map(parsed, arguments.variant):
        for seed in arguments.seeds:
            subject = open_subject(arguments.data, changes, seed=seed, total=arguments.steps)
            found = measure(subject, total=arguments.steps, every=arguments.every)
            results.append({"variant": name, "keys": changes, "seed": seed, **found})
            arguments.out.write_text(json.dumps(results, indent=1))
