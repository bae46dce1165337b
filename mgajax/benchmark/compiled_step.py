"""A configuration's train step or eval step, compiled, with its inputs on the devices."""

import collections
import dataclasses
import functools
import os
import resource
import time
from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
from ml_collections import ConfigDict

from mgajax.config import provenance
from mgajax.data.loader import Batch
from mgajax.progress import say
from mgajax.schema import CLASS_NAMES
from mgajax.training import run_setup
from mgajax.training.compilation import compiler_options
from mgajax.training.sharding import Layout, Parallel, check_batch_size
from mgajax.training.state import TrainState
from mgajax.training.steps import StepSettings, predict_step, train_step

StepKind = Literal["train", "eval"]
STEP_KINDS: tuple[StepKind, ...] = ("train", "eval")
WARM_UP_STEPS = 2


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is measured: a configuration's steps on a drawn batch; its data set is not read.

    Attributes:
      config: a run's configuration.
      layout: its devices.
      settings: what its steps need.
      state: at step 0, on the host.
      batch: of the whole, on the host.
    """

    config: ConfigDict
    layout: Layout
    settings: StepSettings
    state: TrainState
    batch: Batch

    def compile(self, kind: StepKind) -> "CompiledStep":
        """Trace, lower and compile one step, and put its inputs on the devices."""
        name = self.config.model.name
        function = step_over(self.layout, kind, settings=self.settings, model_name=name)
        state, batch = self.layout.replicate(self.state), self.layout.shard(self.batch)
        watch = Stopwatch()
        lowered = function.lower(state, batch)
        traced = watch.lap()
        say(f"{kind}: traced in {traced['wall_s']:.1f} s; compiling")
        executable = lowered.compile()
        return CompiledStep(
            kind=kind,
            executable=executable,
            trace_and_lower=traced,
            compile=watch.lap(),
            flops=operations(lowered, executable, layout=self.layout),
            device=self.layout.mesh.devices.flat[0],
            state=state,
            batch=batch,
        )


@dataclasses.dataclass
class CompiledStep:
    """One compiled step.

    Attributes:
      kind: "train" or "eval".
      executable: the compiled step.
      trace_and_lower: wall and CPU seconds.
      compile: wall and CPU seconds.
      flops: operations a step and device, None if unknown.
      device: the first of its devices.
      state: the newest (the train step uses the older one's memory).
      batch: on the devices.
      last: what the last step returned (a train step: beside the state).
    """

    kind: StepKind
    executable: Any
    trace_and_lower: dict[str, float]
    compile: dict[str, float]
    flops: float | None
    device: Any
    state: Any
    batch: Any
    last: Any = None

    def run(self, steps: int) -> list[float]:
        """Seconds of each of `steps` steps, from one finished result to the next.

        On a CPU a step is waited for before the next is called; elsewhere one more is under way by
        then, as in training.
        """
        waiting: collections.deque[Any] = collections.deque()
        ahead = 0 if self.device.platform == "cpu" else 1
        seconds, began = [], time.perf_counter()
        for number in range(steps + ahead):
            if number < steps:
                waiting.append(self._start_one())
            if number >= ahead:
                jax.block_until_ready(waiting.popleft())
                ended = time.perf_counter()
                seconds.append(ended - began)
                began = ended
        return seconds

    def _start_one(self) -> Any:
        """Run one more step; returns what it computes beside the state, which the next step takes."""
        outputs = self.executable(self.state, self.batch)
        if self.kind == "train":
            self.state, outputs = outputs
        self.last = outputs
        return outputs

    def memory(self) -> dict[str, int | None]:
        """Bytes on a device: of inputs, of intermediate values, and the process's peak so far."""
        analysis = self.executable.memory_analysis()
        device = self.device.memory_stats() or {}
        return {
            "arguments_bytes": getattr(analysis, "argument_size_in_bytes", None),
            "intermediate_bytes": getattr(analysis, "temp_size_in_bytes", None),
            "peak_bytes": device.get("peak_bytes_in_use"),
        }


def step_over(layout: Layout, kind: StepKind, *, settings: StepSettings, model_name: str) -> Any:
    """A step over the layout's devices, of state and batch, ready to be lowered; as training runs it."""
    step: Any = train_step if kind == "train" else predict_step
    return layout.wrap(
        functools.partial(step, settings=settings),
        inputs=("replicated", "sharded"),
        outputs=("replicated", "replicated") if kind == "train" else "sharded",
        donate=kind == "train",
        compiler_options=compiler_options(model_name, platform=layout.platform),
    )


def make_subject(config: ConfigDict) -> Subject:
    """Model, task, optimiser, state and batch of a configuration.

    Raises:
      ConfigError: an unusable setting.
    """
    config.data.dir = config.data.dir or "(drawn)"
    setup = run_setup.set_up(config)
    check_batch_size(config.batch_size, layout=setup.layout)
    settings = setup.step_settings(total_steps=1000)
    state = run_setup.draw_state(config, settings)
    return Subject(
        config=config,
        layout=setup.layout,
        settings=settings,
        state=jax.tree.map(np.array, state),  # copies: a train step donates what it is given
        batch=_noise(config, mask_planes=setup.task.mask_planes),
    )


def identity(config: ConfigDict, *, devices: Sequence[jax.Device]) -> dict[str, Any]:
    """The configuration and devices that were measured, for the head of every report."""
    options = compiler_options(config.model.name, platform=devices[0].platform)
    return {
        "model": config.model.name,
        "options": {key: str(value) for key, value in config.model.options.items()},
        "dtype": config.model.dtype,
        "batch_size": config.batch_size,
        "image_size": config.preparation.image_size,
        "augmentation": "on" if any(config.augmentation.values()) else "off",
        "parallel": config.parallel,
        "devices": [device.device_kind for device in devices],
        "cpu_threads": cpu_threads(),
        "provenance": {**provenance(), "compiler_options": options},
    }


def without_augmentation(config: ConfigDict) -> ConfigDict:
    """A copy of a configuration that varies nothing."""
    changed = ConfigDict(config)
    changed.augmentation = ConfigDict(dict.fromkeys(config.augmentation, 0.0))
    return changed.lock()


def _noise(config: ConfigDict, *, mask_planes: int) -> Batch:
    """A global batch of random slices, every third pixel of whose masks is lesion."""
    rng = np.random.default_rng(config.seed)
    count, side = config.batch_size, config.preparation.image_size
    shape = (count, side, side, 1)
    return Batch(
        images=rng.integers(0, 256, shape).astype(np.uint8),
        masks=np.where(rng.random((*shape[:3], mask_planes)) < 1 / 3, 255, 0).astype(np.uint8),
        labels=rng.integers(0, len(CLASS_NAMES), count).astype(np.int32),
        weights=np.ones(count, np.float32),
        mask_weights=np.ones(count, np.float32),
        rows=np.arange(count, dtype=np.int32),
    )


def operations(lowered: Any, compiled: Any, *, layout: Layout) -> float | None:
    """Floating-point operations of one step on one device; None where XLA does not tell.

    XLA counts them in the compiled module, but not inside library calls (cuDNN, cuBLAS), so that on
    GPUs the count of the module before compilation is the larger one, and the right one.
    """
    before, after = _flops(lowered), _flops(compiled)
    if before is not None and layout.parallel is Parallel.JIT:
        before /= layout.num_devices  # the others lower one device's program
    counts = [count for count in (before, after) if count]
    return max(counts) if counts else None


def _flops(module: Any) -> float | None:
    try:
        costs = module.cost_analysis() or {}
    except (NotImplementedError, RuntimeError):
        return None
    count = costs.get("flops")
    return None if count is None else float(count)


def cpu_threads() -> int:
    """How many cores this process may use; both XLA and the peer get as many threads."""
    return len(os.sched_getaffinity(0))


class Stopwatch:
    """Wall and CPU seconds since the last lap; CPU seconds of all threads of this process."""

    def __init__(self) -> None:
        """Begin."""
        self.wall, self.cpu = time.perf_counter(), _cpu_seconds()

    def lap(self) -> dict[str, float]:
        """`wall_s` and `cpu_s` since the last one."""
        wall, cpu = time.perf_counter(), _cpu_seconds()
        lap = {"wall_s": wall - self.wall, "cpu_s": cpu - self.cpu}
        self.wall, self.cpu = wall, cpu
        return lap


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
