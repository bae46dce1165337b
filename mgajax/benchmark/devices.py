"""What devices can do at most, and how much of it a program asks for."""

import dataclasses
import os
from typing import Any

from mgajax.benchmark.chips import chip_of
from mgajax.training.sharding import Layout, Parallel


@dataclasses.dataclass(frozen=True)
class Peak:
    """A device's highest rate of matrix products, in 10¹² operations a second.

    Attributes:
      tflops: without sparsity, for the type that the products are computed in.
      arithmetic: that type.
      source: who says so.
    """

    tflops: float
    arithmetic: str
    source: str


def peak_of(device_kind: str, *, dtype: str, stated: float | None) -> Peak | None:
    """The peak of a device under a compute type: as stated, from the table, or None if unknown.

    Args:
      device_kind: JAX's name of the device.
      dtype: "float32" or "bfloat16".
      stated: a rate in TFLOP/s that goes before the table's.
    """
    if stated is not None:
        return Peak(stated, dtype, "--peak_tflops")
    chip = chip_of(device_kind)
    if chip is None:
        return None
    if dtype == "bfloat16":
        return Peak(chip.bfloat16, dtype, chip.source)
    return Peak(chip.float32, chip.arithmetic, chip.source)


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
