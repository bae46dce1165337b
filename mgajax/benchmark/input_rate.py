"""Does the input keep up? The step on real data against the same step on one fixed batch."""

import dataclasses
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from mgajax.config import provenance
from mgajax.data.loader import take, training_rows
from mgajax.errors import ConfigError
from mgajax.progress import track
from mgajax.training.run import Run, compile_steps, open_run
from mgajax.training.run_setup import draw_state

WARM_UP_STEPS = 3
BLOCKS = 4
"""Both ways are timed in turn, so that a drift of the machine meets both alike."""


def measure_input(config: ConfigDict, *, steps: int) -> dict[str, Any]:
    """Time `steps` train steps each way, from the second epoch on, in alternating blocks.

    Returns:
      Median milliseconds a step with real data (chosen, gathered, sent) and with one batch that is
      on the device already, and their ratio (1.0: the input costs nothing). Both augment.

    Raises:
      ConfigError: fewer than one step a block.
    """
    if steps < BLOCKS:
        raise ConfigError(f"--steps {steps}: give at least {BLOCKS}")
    with tempfile.TemporaryDirectory(prefix="mgajax-") as folder:
        run = open_run(config, workdir=Path(folder))
        real, fixed = _time_both(run, steps=steps // BLOCKS)
    ratios = [statistics.median(r) / statistics.median(f) for r, f in zip(real, fixed, strict=True)]
    real_s, fixed_s = list(itertools.chain(*real)), list(itertools.chain(*fixed))
    return {
        "benchmark": "input",
        "model": config.model.name,
        "batch_size": config.batch_size,
        "image_size": config.preparation.image_size,
        "residence": "device" if run.feed.resident else "host",
        "steps_each_way": len(real_s),
        "real_ms": 1e3 * statistics.median(real_s),
        "fixed_ms": 1e3 * statistics.median(fixed_s),
        "ratio": statistics.median(ratios),
        "block_ratios": ratios,
        "devices": [device.device_kind for device in run.layout.mesh.devices.flat],
        "provenance": provenance(),
    }


def _time_both(run: Run, *, steps: int) -> tuple[list[list[float]], list[list[float]]]:
    rows = run.training_rows
    settings = {"batch_size": run.config.batch_size, "seed": run.config.seed}
    first_step = -(-len(rows) // run.config.batch_size)  # the second epoch
    last_step = first_step + WARM_UP_STEPS + BLOCKS * steps
    real_inputs = run.feed.training_batches(rows, first=first_step, last=last_step, **settings)
    fixed_step, batch = _make_fixed(run, training_rows(rows, step=first_step, **settings))
    fixed_inputs = itertools.repeat((first_step, (batch,)))
    state = run.layout.replicate(draw_state(run.config, run.settings))
    state, _ = _time(run.train_step, state, real_inputs, count=WARM_UP_STEPS)
    state, _ = _time(fixed_step, state, fixed_inputs, count=WARM_UP_STEPS)
    real: list[list[float]] = []
    fixed: list[list[float]] = []
    for _ in track(range(BLOCKS), description="timing blocks"):
        state, seconds = _time(run.train_step, state, real_inputs, count=steps)
        real.append(seconds)
        state, seconds = _time(fixed_step, state, fixed_inputs, count=steps)
        fixed.append(seconds)
    return real, fixed


def _make_fixed(run: Run, rows: np.ndarray) -> tuple[Callable[..., Any], Any]:
    """The train step without any gathering, and one batch that is on the device already."""
    feed = dataclasses.replace(run.feed, resident=False)
    batch = run.layout.shard(jax.device_get(take(run.feed.examples, rows)))
    return compile_steps(feed, run.settings, model_name=run.config.model.name)[0], batch


def _time(
    step: Callable[..., Any], state: Any, inputs: Iterator[tuple[int, Any]], *, count: int
) -> tuple[Any, list[float]]:
    """Seconds of each of `count` steps, from asking for the batch to the finished update."""
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        _, batch = next(inputs)
        state, metrics = step(state, *batch)
        jax.block_until_ready((state, metrics))
        seconds.append(time.perf_counter() - start)
    return state, seconds
