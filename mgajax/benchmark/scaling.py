"""How a train step scales over devices, and what the devices send each other."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from mgajax.benchmark.collectives import count_collectives
from mgajax.benchmark.compiled_step import WARM_UP_STEPS, identity, make_subject
from mgajax.benchmark.hlo import read_module
from mgajax.errors import ConfigError
from mgajax.progress import track

NOTES = {
    "efficiency": "1.0: n devices do n times the work of one in the time",
    "kept": "simulated devices share the CPU: kept is images/s beside one device's, ideally 1.0; "
    "times say nothing about real devices, collectives and bytes do",
}
"""By name of the column that measures scaling, what it means."""


def simulate(devices: int) -> None:
    """Let this process see `devices` CPU devices; before anything else asks JAX for devices.

    Raises:
      ConfigError: too late, or not a positive number.
    """
    if devices < 1:
        raise ConfigError(f"--simulate {devices}: give at least 1")
    try:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", devices)
    except RuntimeError as error:
        raise ConfigError(f"--simulate {devices}: JAX runs already ({error})") from error


def measure_scaling(
    config: ConfigDict, *, devices: Sequence[int], steps: int, simulated: bool = False
) -> dict[str, Any]:
    """Time the train step of `config` on some of the devices of this process.

    Args:
      config: a run's configuration; its data set is not read, `devices` is overridden.
      devices: device counts, ascending, beginning with 1.
      steps: how many to time at each count.
      simulated: the devices share one processor.

    Returns:
      "weak" (`batch_size` images a device) and "strong" (`batch_size` images in all, for counts
      that divide it): a row a count with milliseconds, images a second, `efficiency` (see `NOTES`)
      and the step's collectives. Ready for JSON.

    Raises:
      ConfigError: counts out of order or beyond what there is, or an unusable setting.
    """
    counts = tuple(devices)
    if counts[:1] != (1,) or any(a >= b for a, b in itertools.pairwise(counts)):
        raise ConfigError(f"--devices {','.join(map(str, counts))}: give 1 first, then more")
    if steps < 1:
        raise ConfigError(f"--steps {steps}: give at least 1")
    report: dict[str, Any] = {}
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for scaling in ("weak", "strong"):
        batch = config.batch_size
        sizes = [(n, batch * n if scaling == "weak" else batch) for n in counts]
        fitting = [(n, size) for n, size in sizes if size % n == 0]
        for pair in track(fitting, description=f"{scaling} scaling"):
            if pair not in rows:
                rows[pair] = _row(config, devices=pair[0], batch_size=pair[1], steps=steps)
        report[scaling] = [dict(rows[pair]) for pair in fitting]
        for row in report[scaling]:
            ideal = 1 if simulated else row["devices"]
            row["efficiency"] = row["images_per_s"] / report[scaling][0]["images_per_s"] / ideal
    report["measure"] = "kept" if simulated else "efficiency"
    report["note"] = NOTES[report["measure"]]
    return {
        "benchmark": "scaling",
        **identity(config, devices=jax.devices()[: counts[-1]]),
    } | report


def _row(config: ConfigDict, *, devices: int, batch_size: int, steps: int) -> dict[str, Any]:
    changed = ConfigDict(config)
    changed.devices, changed.batch_size = devices, batch_size
    program = make_subject(changed).compile("train")
    program.run(WARM_UP_STEPS)
    median = float(np.median(program.run(steps)))
    return {
        "devices": devices,
        "batch_size": batch_size,
        "p50_ms": 1e3 * median,
        "images_per_s": batch_size / median,
        "compile": program.compile,
        "memory": program.memory(),
        "collectives": count_collectives(read_module(program.executable.as_text())),
    }
