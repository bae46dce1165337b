"""What devices can do at most, and how much of it a program asks for."""

import dataclasses
import os
from typing import Any

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


@dataclasses.dataclass(frozen=True)
class _Device:
    """One line of the table; `name` is part of JAX's `device_kind`."""

    name: str
    bfloat16: float
    float32: float
    arithmetic: str
    source: str


_HOPPER = "NVIDIA data sheet, dense, SXM"
_CLOUD = "Google Cloud TPU documentation, per chip"
_DEVICES = (
    _Device("H100 PCIe", 756.0, 378.0, "tf32", "NVIDIA H100 data sheet, dense, PCIe"),
    _Device("H100", 989.4, 494.7, "tf32", _HOPPER),
    _Device("H200", 989.4, 494.7, "tf32", _HOPPER),
    _Device("A100", 312.0, 156.0, "tf32", "NVIDIA A100 data sheet, dense"),
    _Device("TPU v4", 275.0, 275.0, "bfloat16", _CLOUD),
    _Device("TPU v5 lite", 197.0, 197.0, "bfloat16", _CLOUD),
    _Device("TPU v5e", 197.0, 197.0, "bfloat16", _CLOUD),
)
"""Rates for bfloat16 and for float32 as XLA computes it by default: by TF32 on GPUs, in one bfloat16
pass on TPUs. The first line that matches counts."""


def peak_of(device_kind: str, *, dtype: str, stated: float | None) -> Peak | None:
    """The peak of a device under a compute type: as stated, from the table, or None if unknown.

    Args:
      device_kind: JAX's name of the device.
      dtype: "float32" or "bfloat16".
      stated: a rate in TFLOP/s that goes before the table's.
    """
    if stated is not None:
        return Peak(stated, dtype, "--peak_tflops")
    for device in _DEVICES:
        if device.name.lower() in device_kind.lower():
            if dtype == "bfloat16":
                return Peak(device.bfloat16, dtype, device.source)
            return Peak(device.float32, device.arithmetic, device.source)
    return None


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
        found = module.cost_analysis() or {}
    except (NotImplementedError, RuntimeError):
        return None
    count = found.get("flops")
    return None if count is None else float(count)


def cpu_threads() -> int:
    """How many cores this process may use; both XLA and the peer get as many threads."""
    return len(os.sched_getaffinity(0))
