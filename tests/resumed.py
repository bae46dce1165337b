"""Run `mgajax` in a process of its own, and disturb it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 900.0
"""For a machine that is busy with other tests."""


def start(words: list[str], *, cache: Path, devices: int = 1) -> subprocess.Popen[str]:
    """Start `mgajax` with `devices` CPU devices (each process of several has as many) and a
    compilation cache shared by all such processes, which a kill may leave in pieces."""
    flags = os.environ.get("XLA_FLAGS", "")
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_COMPILATION_CACHE_MAX_SIZE": "-1",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "mgajax", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def disturb(
    process: subprocess.Popen[str], *, number: signal.Signals, once: Callable[[], bool]
) -> None:
    """Send a signal as soon as `once()` holds."""
    end = time.monotonic() + PATIENCE_S
    while not once():
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.monotonic() < end, "the moment never came"
        time.sleep(0.005)
    process.send_signal(number)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err
