"""Devices that this machine lacks but can compile for, and how XLA learns of them."""

import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import math
import os
import re
from collections.abc import Sequence
from typing import Any, Literal

import jax
from jax.experimental import topologies

from mgajax.benchmark.chips import CHIPS, Chip
from mgajax.errors import ConfigError, nearest

Platform = Literal["cpu", "tpu", "cuda"]

EXAMPLES = (
    "v5e:1x1",
    "v5e:2x2",
    "v5e:8x8",
    "v6e:2x2",
    "h100:1",
    "h100:8",
    "h200:1",
    "a100:8",
    "cpu",
)
KNOWN = f"known: {', '.join(EXAMPLES)}, and other sizes of these"
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
}
"""So that the TPU's compiler asks no cloud which machine this is, and runs twice on one machine."""
_GPU_PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin")
_CUDNN, _CUDA = (9, 10), (12, 8)


@dataclasses.dataclass(frozen=True)
class Target:
    """Devices to compile for.

    Attributes:
      word: as it was asked for.
      platform: of JAX.
      grid: chips along each side of a TPU's slice; otherwise one number, how many.
      chip: what is known of one; None for the CPU.
    """

    word: str
    platform: Platform
    grid: tuple[int, ...]
    chip: Chip | None

    @property
    def count(self) -> int:
        """Number of devices."""
        return math.prod(self.grid)


def parse_target(word: str) -> Target:
    """The target of a word as "v5e:2x2", "h100:8" or "cpu".

    Raises:
      ConfigError: names what is known.
    """
    name, _, sides = word.partition(":")
    chip = next((chip for chip in CHIPS if chip.target and chip.target == name), None)
    if chip is None and name != "cpu":
        names = ("cpu", *(chip.target for chip in CHIPS if chip.target))
        hint = nearest(name, names).partition("valid:")[0]
        raise ConfigError(f"--target {word}: {hint}{KNOWN}")
    is_tpu = chip is not None and chip.gpu is None
    form = r"[1-9][0-9]*x[1-9][0-9]*" if is_tpu else r"[1-9][0-9]*"
    sides = sides or ("1x1" if is_tpu else "1")
    if not re.fullmatch(form, sides):
        form_in_words = "AxB, chips along the sides of a slice" if is_tpu else "N, how many"
        raise ConfigError(f"--target {word}: write {name}:{form_in_words}; {KNOWN}")
    grid = tuple(int(side) for side in sides.split("x"))
    platform: Platform = "cpu" if chip is None else "tpu" if chip.gpu is None else "cuda"
    return Target(word, platform, grid, chip)


def keep_to_cpu(target: Target) -> None:
    """Let this process start no device but the CPU; before anything asks JAX for devices."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if target.platform == "cpu" and target.count > 1:
        with contextlib.suppress(RuntimeError):  # it runs already; `devices_of` counts
            jax.config.update("jax_num_cpu_devices", target.count)
    jax.config.update("jax_platforms", "cpu")


def devices_of(target: Target) -> Sequence[jax.Device]:
    """Its devices: real ones of the CPU, otherwise descriptions that can only be compiled for.

    Raises:
      ConfigError: the compiler is not installed, or knows no such target.
    """
    if target.platform == "cpu":
        devices = jax.devices("cpu")
        if len(devices) < target.count:
            raise ConfigError(
                f"--target {target.word}: JAX runs already with {len(devices)} devices"
            )
        return devices[: target.count]
    _check_installed(target)
    try:
        described = _describe(target)
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise ConfigError(f"--target {target.word}: {_first_line(error)}; {KNOWN}") from error
    return described.devices


def compilers() -> dict[str, str]:
    """Versions of the installed compilers for TPUs and GPUs, for the report."""
    versions = {}
    for name in ("libtpu", *_GPU_PLUGINS):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _describe(target: Target) -> Any:
    if target.platform == "tpu":
        slice_ = "x".join(map(str, target.grid))
        assert target.chip is not None
        name = f"{target.chip.target}:{slice_}"
        options = {"chips_per_host_bounds": (1, 1, 1)} if target.count == 1 else {}
        return topologies.get_topology_desc(name, "tpu", **options)
    assert target.chip is not None
    return topologies.get_topology_desc(
        target.chip.target,
        "cuda",
        topology=f"1x1x{target.count}",
        target_config=gpu_description(target.chip),
    )


def _check_installed(target: Target) -> None:
    if target.platform == "tpu":
        installed = bool(os.environ.get("TPU_LIBRARY_PATH")) or _is_installed("libtpu")
        missing, extra = "libtpu", "aot-tpu"
    else:
        installed = any(_is_installed(name.replace("-", "_")) for name in _GPU_PLUGINS)
        missing, extra = "JAX's plugin for CUDA", "aot-gpu"
    if not installed:
        raise ConfigError(
            f"--target {target.word}: {missing} is not installed; pip install 'mgajax[{extra}]'"
        )


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def gpu_description(chip: Chip) -> str:
    """A card as XLA's GPU compiler reads it (`GpuTargetConfigProto`, as text)."""
    gpu = chip.gpu
    if gpu is None:
        raise ValueError(f"{chip.kind} is no GPU")
    device = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "shared_memory_per_block": 48 * 2**10,
        "shared_memory_per_core": gpu.shared_bytes,
        "threads_per_core_limit": 2048,
        "core_count": gpu.cores,
        "fpus_per_core": gpu.fpus_per_core,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 65535,
        "block_dim_limit_z": 65535,
        "memory_bandwidth": int(chip.bandwidth),
        "l2_cache_size": gpu.l2_bytes,
        "clock_rate_ghz": gpu.clock_ghz,
        "device_memory_size": chip.memory_bytes,
        "shared_memory_per_block_optin": gpu.shared_bytes_of_block,
        "registers_per_core_limit": 65536,
        "registers_per_block_limit": 65536,
    }
    lines = [f"  {name}: {value}" for name, value in device.items()]
    major, minor = gpu.capability
    lines.append(f"  cuda_compute_capability {{ major: {major} minor: {minor} }}")
    return "\n".join(
        (
            "gpu_device_info {",
            *lines,
            "}",
            'platform_name: "CUDA"',
            f"dnn_version_info {{ major: {_CUDNN[0]} minor: {_CUDNN[1]} }}",
            f"runtime_version {{ major: {_CUDA[0]} minor: {_CUDA[1]} }}",
            f'device_description_str: "{gpu.description}"',
            "",
        )
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
