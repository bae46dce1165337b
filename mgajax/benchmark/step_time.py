"""What one train step costs: tracing, compiling, running, memory. On drawn noise, without a data set."""

import functools
import resource
import statistics
import time
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from mgajax.config import provenance
from mgajax.data.augmentation import Augmentation
from mgajax.data.loader import Batch
from mgajax.errors import ConfigError
from mgajax.progress import say, track
from mgajax.schema import CLASS_NAMES
from mgajax.training import start
from mgajax.training.settings import check_settings
from mgajax.training.sharding import Layout, check_batch_size, make_layout
from mgajax.training.steps import StepSettings, train_step
from mgajax.training.tasks import make_task

WARM_UP_STEPS = 2


def measure_step(config: ConfigDict, *, steps: int) -> dict[str, Any]:
    """Compile the train step of `config` and run it on one batch that is on the devices already.

    Args:
      config: a run's configuration; its data set is not read.
      steps: how many to time, after `WARM_UP_STEPS`.

    Returns:
      Seconds to trace and lower, and to compile (wall and CPU); median and minimum milliseconds a
      step, images a second; bytes of the compiled step's arguments and intermediate values, and the
      device's own peak where it tells one. Ready for JSON.

    Raises:
      ConfigError: an unusable setting, or fewer than one step.
    """
    if steps < 1:
        raise ConfigError(f"--steps {steps}: give at least 1")
    config.data.dir = config.data.dir or "(drawn)"
    check_settings(config)
    layout = make_layout(parallel=config.parallel, devices=config.devices)
    check_batch_size(config.batch_size, layout=layout)
    function, state = _train_step(config, layout)
    batch = layout.shard(_noise(config))
    began = _Stopwatch()
    lowered = function.lower(state, batch)
    traced = began.lap()
    say(f"traced in {traced['wall_s']:.1f} s; compiling")
    compiled = lowered.compile()
    compiling = began.lap()
    seconds = _run(compiled, state, batch, steps=steps)
    median = statistics.median(seconds)
    return {
        "model": config.model.name,
        "options": {key: str(value) for key, value in config.model.options.items()},
        "dtype": config.model.dtype,
        "batch_size": config.batch_size,
        "image_size": config.preparation.image_size,
        "trace_and_lower": traced,
        "compile": compiling,
        "steps": len(seconds),
        "step_ms": 1e3 * median,
        "fastest_step_ms": 1e3 * min(seconds),
        "images_per_s": config.batch_size / median,
        "memory": _memory(compiled, layout),
        "devices": [device.device_kind for device in layout.mesh.devices.flat],
        "parallel": str(layout.parallel),
        "provenance": provenance(),
    }


def _train_step(config: ConfigDict, layout: Layout) -> tuple[Any, Any]:
    """The wrapped step, and a state to begin with."""
    model = start.make_model(config, axis_name=layout.axis_name)
    task = make_task(config, model=model)
    optimiser, schedule = start.optimiser_and_schedule(config, total_steps=1000)
    settings = StepSettings(
        model=model,
        optimiser=optimiser,
        schedule=schedule,
        augmentation=Augmentation(**config.augmentation),
        task=task,
        seed=config.seed,
        axis_name=layout.axis_name,
    )
    function = functools.partial(train_step, settings=settings)
    state = start.fresh_state(config, model=model, task=task, optimiser=optimiser)
    wrapped = layout.wrap(
        function,
        inputs=("replicated", "sharded"),
        outputs=("replicated", "replicated"),
        donate=True,
    )
    return wrapped, layout.replicate(state)


def _noise(config: ConfigDict) -> Batch:
    """A global batch of random slices, every third pixel of whose masks is lesion."""
    rng = np.random.default_rng(config.seed)
    count, side = config.batch_size, config.preparation.image_size
    shape = (count, side, side, 1)
    return Batch(
        images=rng.integers(0, 256, shape).astype(np.uint8),
        masks=np.where(rng.random(shape) < 1 / 3, 255, 0).astype(np.uint8),
        labels=rng.integers(0, len(CLASS_NAMES), count).astype(np.int32),
        weights=np.ones(count, np.float32),
        mask_weights=np.ones(count, np.float32),
        rows=np.arange(count, dtype=np.int32),
    )


def _run(compiled: Any, state: Any, batch: Any, *, steps: int) -> list[float]:
    """Seconds of each step, from the call to the finished update."""
    seconds = []
    for _ in track(range(WARM_UP_STEPS + steps), description="timing steps"):
        began = time.perf_counter()
        state, metrics = compiled(state, batch)
        jax.block_until_ready((state, metrics))
        seconds.append(time.perf_counter() - began)
    return seconds[WARM_UP_STEPS:]


def _memory(compiled: Any, layout: Layout) -> dict[str, int | None]:
    analysis = compiled.memory_analysis()
    device = layout.mesh.devices.flat[0].memory_stats() or {}
    return {
        "arguments_bytes": getattr(analysis, "argument_size_in_bytes", None),
        "intermediate_bytes": getattr(analysis, "temp_size_in_bytes", None),
        "peak_bytes": device.get("peak_bytes_in_use"),
    }


class _Stopwatch:
    """Wall and CPU seconds since the last lap; CPU seconds of all threads of this process."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), _cpu_seconds()

    def lap(self) -> dict[str, float]:
        wall, cpu = time.perf_counter(), _cpu_seconds()
        passed = {"wall_s": wall - self.wall, "cpu_s": cpu - self.cpu}
        self.wall, self.cpu = wall, cpu
        return passed


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
