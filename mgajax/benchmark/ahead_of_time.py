"""Compiles a configuration's steps for devices that this machine lacks, and reads their programs."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.errors import JaxRuntimeError
from ml_collections import ConfigDict

from mgajax.benchmark.chips import Chip
from mgajax.benchmark.collectives import count_collectives
from mgajax.benchmark.compiled_step import STEP_KINDS, StepKind, Stopwatch, identity, step_over
from mgajax.benchmark.hlo import read_module
from mgajax.benchmark.prices import bytes_moved, price_instructions, price_list
from mgajax.benchmark.targets import Target, compilers, devices_of, parse_target
from mgajax.benchmark.traffic import products
from mgajax.data.loader import Batch
from mgajax.errors import ConfigError
from mgajax.progress import say
from mgajax.training import run_setup
from mgajax.training.run_setup import CHANNELS, RunSetup
from mgajax.training.sharding import Layout, Parallel, check_batch_size, layout_over

QUICK = {"optimization_level": 9}
"""XLA's level O0, by its number, which every jax takes: several times faster on TPUs, for programs that
are several times slower."""
_AMOUNT = r"([0-9.]+)([KMGT]?)"
_NO_ROOM = (
    re.compile(rf"Used {_AMOUNT} of {_AMOUNT} hbm"),
    re.compile(rf"\({_AMOUNT}\) exceeds available HBM \({_AMOUNT}\)"),
)
"""What XLA says where a program needs more memory than there is: how much, and of how much."""
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def measure_compile(
    config: ConfigDict,
    *,
    target: str,
    parts: Sequence[StepKind] = STEP_KINDS,
    quick: bool = False,
    per_device: int | None = None,
    texts: Path | None = None,
) -> dict[str, Any]:
    """Compile the train step and the eval step of `config` for a target; nothing is drawn or run.

    Args:
      config: a run's configuration; its data set is not read.
      target: as "v5e:2x2", "h100:8" or "cpu" (`targets.parse_target`).
      parts: "train", "eval" or both.
      quick: on TPUs compile with little effort: what fits and what is sent, without prices.
      per_device: images a device, instead of the configuration's `batch_size`.
      texts: a folder for the compiled programs, `train.txt` and `eval.txt`.

    Returns:
      Under "train" and "eval": seconds to trace and lower, and to compile; `memory` (`fits` and
      `over_bytes` tell); unless it does not compile for want of memory: bytes `moved`,
      `flops_per_device`, `priced` (None if nothing is known of the chip, or under `quick`),
      `mfu_bound` and `collectives`. Ready for JSON.

    Raises:
      ConfigError: an unusable setting, an unknown target, or its compiler is absent or fails.
    """
    parsed_target = parse_target(target)
    devices = devices_of(parsed_target)
    config = _settle(config, devices=len(devices), target=parsed_target, per_device=per_device)
    layout = layout_over(devices, parallel=config.parallel)
    setup = run_setup.set_up(config, layout=layout)
    check_batch_size(config.batch_size, layout=layout)
    quick = quick and parsed_target.platform == "tpu"
    report = {"benchmark": "compile", **identity(config, devices=devices)}
    report.pop("cpu_threads")
    report["provenance"] |= compilers()
    report |= {"target": target, "effort": "quick" if quick else "full"}
    report["chip"] = (
        None if parsed_target.chip is None else facts(parsed_target.chip, dtype=config.model.dtype)
    )
    for kind in parts:
        report[kind], text = _compile(setup, kind, target=parsed_target, quick=quick)
        if texts is not None:
            texts.mkdir(parents=True, exist_ok=True)
            (texts / f"{kind}.txt").write_text(text)
    return report


def fits(report: dict[str, Any]) -> bool:
    """Whether all that was compiled fits, as far as is known."""
    answers = (report[kind]["memory"]["fits"] for kind in STEP_KINDS if kind in report)
    return all(answer is not False for answer in answers)


def facts(chip: Chip, *, dtype: str) -> dict[str, Any]:
    """Facts of a chip that prices and bounds of a report are made from."""
    return {
        "memory_bytes": chip.memory_bytes,
        "bandwidth": chip.bandwidth,
        "peak_tflops": chip.peak(dtype) / 1e12,
        "clock_hz": chip.clock_hz,
        "source": chip.source,
    }


def _settle(
    config: ConfigDict, *, devices: int, target: Target, per_device: int | None
) -> ConfigDict:
    """A copy with the target's devices and batch; like the others it reads no data."""
    if config.devices not in (0, devices):
        raise ConfigError(
            f"devices={config.devices}: the target {target.word} has {devices}; leave it 0"
        )
    if per_device is not None and per_device < 1:
        raise ConfigError(f"--per_device {per_device}: give at least 1")
    settled = ConfigDict(config)
    settled.data.dir = settled.data.dir or "(none)"
    if per_device is not None:
        settled.batch_size = per_device * devices
    return settled.lock()


def _compile(
    setup: RunSetup, kind: StepKind, *, target: Target, quick: bool
) -> tuple[dict[str, Any], str]:
    """Figures of one compiled step, and its program; no program if the step does not fit."""
    settings = setup.step_settings(total_steps=1000)
    state, batch = run_setup.state_shapes(setup.config, settings), _batch_shapes(setup)
    name = setup.config.model.name
    function = step_over(setup.layout, kind, settings=settings, model_name=name)
    watch = Stopwatch()
    lowered = function.lower(state, batch)
    traced = watch.lap()
    say(f"{kind}: traced in {traced['wall_s']:.1f} s; compiling for {target.word}")
    images = setup.config.batch_size // setup.layout.num_devices
    arguments = state if kind == "train" else (state.params, state.batch_stats)
    memory_limit = DeviceMemory(target.chip, state=arguments, images=images)
    try:
        compiled = lowered.compile(QUICK if quick else None)
    except JaxRuntimeError as error:
        memory = memory_limit.from_message(str(error))
        if memory is None:
            first_line = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"--target {target.word}: {kind} does not compile: {first_line}"
            ) from error
        return {"trace_and_lower": traced, "compile": watch.lap(), "memory": memory}, ""
    report = {"trace_and_lower": traced, "compile": watch.lap()}
    report["memory"] = memory_limit.from_analysis(compiled.memory_analysis())
    text = compiled.as_text()
    flops = _operations(lowered, layout=setup.layout)
    return report | _program(text, setup, flops=flops, target=target, quick=quick), text


def _operations(lowered: Any, *, layout: Layout) -> float:
    """Operations of one device's convolutions and matrix products.

    Counted before the compiler pads, and here: XLA counts for devices that are there.
    """
    module = read_module(lowered.as_text("hlo"))
    count = sum(
        execution.times * products(execution, module=module) for execution in module.executions()
    )
    # The others lower one device's program.
    return count / layout.num_devices if layout.parallel is Parallel.JIT else count


def _program(
    text: str, setup: RunSetup, *, flops: float, target: Target, quick: bool
) -> dict[str, Any]:
    """Figures from the text of a compiled step."""
    module = read_module(text)
    chip, dtype = target.chip, setup.config.model.dtype
    instructions = price_instructions(
        module, chip=chip, dtype=dtype, model=type(setup.model).__name__
    )
    if any(price.execution.times > 1 and price.operations for price in instructions):
        # How often a loop runs is known of the compiled program only.
        flops = max(flops, sum(price.operations for price in instructions))
    prices = None if quick or chip is None else price_list(instructions, chip=chip)
    bound = None
    if prices is not None and chip is not None and prices["ms"] > prices["beside_ms"]:
        bound = flops / (1e-3 * (prices["ms"] - prices["beside_ms"]) * chip.peak(dtype))
    return {
        "moved": bytes_moved(instructions),
        "flops_per_device": flops,
        "priced": prices,
        "mfu_bound": bound,
        "collectives": count_collectives(module),
    }


def _batch_shapes(setup: RunSetup) -> Batch:
    """A global batch as shapes, with the leading axis of devices that pmap wants."""
    layout, side = setup.layout, setup.config.preparation.image_size
    lead: tuple[int, ...] = (setup.config.batch_size,)
    if layout.parallel is Parallel.PMAP:
        lead = (layout.num_devices, setup.config.batch_size // layout.num_devices)
    return Batch(
        images=jax.ShapeDtypeStruct((*lead, side, side, CHANNELS), jnp.uint8),
        masks=jax.ShapeDtypeStruct((*lead, side, side, setup.task.mask_planes), jnp.uint8),
        labels=jax.ShapeDtypeStruct(lead, jnp.int32),
        weights=jax.ShapeDtypeStruct(lead, jnp.float32),
        mask_weights=jax.ShapeDtypeStruct(lead, jnp.float32),
        rows=jax.ShapeDtypeStruct(lead, jnp.int32),
    )


class DeviceMemory:
    """A device's memory beside what a step of a state and so many images takes of it."""

    def __init__(self, chip: Chip | None, *, state: Any, images: int) -> None:
        self.available = None if chip is None else chip.memory_bytes
        self.state = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
        self.images = images

    def from_analysis(self, analysis: Any) -> dict[str, Any]:
        """Memory by the compiler's own analysis: the sum of all parts, or its peak where that is more."""
        arguments, temporaries = analysis.argument_size_in_bytes, analysis.temp_size_in_bytes
        outputs = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
        needed = arguments + temporaries + outputs + analysis.generated_code_size_in_bytes
        peak = getattr(analysis, "peak_memory_in_bytes", 0)
        return {
            "arguments_bytes": arguments,
            "temporaries_bytes": temporaries,
            "new_outputs_bytes": outputs,
            "program_bytes": analysis.generated_code_size_in_bytes,
            "peak_bytes": peak or None,
        } | self._verdict(max(needed, peak), available=self.available)

    def from_message(self, message: str) -> dict[str, Any] | None:
        """Memory from the message of a compiler that finds too little; None for any other message."""
        match = next(filter(None, (form.search(message) for form in _NO_ROOM)), None)
        if "RESOURCE_EXHAUSTED" not in message or match is None:
            return None
        needed, available = (
            int(float(number) * _UNITS[unit])
            for number, unit in ((match[1], match[2]), (match[3], match[4]))
        )
        return self._verdict(needed, available=available)

    def _verdict(self, needed: int, *, available: int | None) -> dict[str, Any]:
        """`batch_that_fits` is an estimate a device: all but the state grows with the images."""
        fitting = None
        if available is not None and needed > self.state:
            fitting = int((available - self.state) * self.images / (needed - self.state))
        return {
            "needed_bytes": needed,
            "available_bytes": available,
            "fits": None if available is None else needed <= available,
            "over_bytes": None if available is None else max(needed - available, 0),
            "batch_that_fits": None if fitting is None else max(fitting, 0),
        }
