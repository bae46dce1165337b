"""The cost of a train step and an eval step: compiling, running, memory; on drawn noise, without a data set."""

import contextlib
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from mgajax.benchmark.chips import Peak, peak_of
from mgajax.benchmark.compiled_step import (
    STEP_KINDS,
    WARM_UP_STEPS,
    CompiledStep,
    StepKind,
    Subject,
    identity,
    make_subject,
    without_augmentation,
)
from mgajax.benchmark.torch_process import TorchProcess, check_comparable
from mgajax.errors import ConfigError
from mgajax.progress import track

BLOCKS = 4
"""Both sides are timed in turn, so that a drift of the machine meets both alike."""


def measure_step(
    config: ConfigDict,
    *,
    steps: int,
    parts: tuple[StepKind, ...] = STEP_KINDS,
    peak_tflops: float | None = None,
    peer_python: Path | None = None,
    peer_modes: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Compile the train step and the eval step of `config` and run them on one batch on the devices.

    Args:
      config: a run's configuration; its data set is not read.
      steps: how many to time of each, after a warm-up.
      parts: "train", "eval" or both.
      peak_tflops: a device's peak, where the table has none or another one.
      peer_python: an interpreter with PyTorch: times the same steps there as well, in turns with
        ours, without augmentation on either side.
      peer_modes: which of `torch_baseline.stepping.MODES` are tried; empty: those that fit the
        device.

    Returns:
      Under "train" and "eval": seconds to trace and lower, and to compile (wall and CPU); 50th and
      90th percentile and minimum of milliseconds a step, images a second, bytes, operations, share
      of the peak (MFU); and, beside a peer, its own times and the ratio (above 1: ours is faster).
      Ready for JSON.

    Raises:
      ConfigError: an unusable setting, fewer steps than blocks, or nothing to compare with.
    """
    if steps < BLOCKS:
        raise ConfigError(f"--steps {steps}: give at least {BLOCKS}")
    if peer_python is not None:
        config = without_augmentation(config)
    subject = make_subject(config)
    devices = list(subject.layout.mesh.devices.flat)
    peak = peak_of(devices[0].device_kind, dtype=config.model.dtype, stated=peak_tflops)
    report = {"benchmark": "step", **identity(config, devices=devices)}
    report["peak"] = None if peak is None else dataclasses.asdict(peak)
    with contextlib.ExitStack() as stack:
        peer = None
        if peer_python is not None:
            check_comparable(subject)
            process = TorchProcess(subject, python=peer_python, modes=peer_modes)
            peer = stack.enter_context(process)
            report["peer"] = peer.greeting
        for kind in parts:
            program = subject.compile(kind)
            if peer is None:
                program.run(WARM_UP_STEPS)
                tracked = track(range(BLOCKS), description=f"timing {kind} blocks")
                blocks = [program.run(1 + -(-steps // BLOCKS))[1:] for _ in tracked]
                peer_blocks: dict[str, Any] = {}
            else:
                blocks, peer_blocks = _alternating(program, peer, steps=steps)
            seconds = list(itertools.chain(*blocks))
            report[kind] = _figures(program, seconds, subject=subject, peak=peak) | peer_blocks
    return report


def _figures(
    program: CompiledStep, seconds: list[float], *, subject: Subject, peak: Peak | None
) -> dict[str, Any]:
    median, slow = (float(np.percentile(seconds, share)) for share in (50, 90))
    mfu = None
    if peak is not None and program.flops is not None:
        mfu = program.flops / (median * peak.tflops * 1e12)
    images = subject.config.batch_size / median
    return {
        "trace_and_lower": program.trace_and_lower,
        "compile": program.compile,
        "steps": len(seconds),
        "p50_ms": 1e3 * median,
        "p90_ms": 1e3 * slow,
        "fastest_ms": 1e3 * min(seconds),
        "images_per_s": images,
        "images_per_s_per_device": images / subject.layout.num_devices,
        "memory": program.memory(),
        "flops_per_device": program.flops,
        "mfu": mfu,
    }


def _alternating(
    program: CompiledStep, peer: TorchProcess, *, steps: int
) -> tuple[list[list[float]], dict[str, Any]]:
    """Seconds of our blocks, and the report of the peer's blocks in between."""
    tried, mode = peer.fastest(program.kind)
    first_seconds = program.run(1)
    first_loss = float(program.last["loss"]) if program.kind == "train" else None
    ours: list[list[float]] = []
    theirs: list[list[float]] = []
    block_steps = -(-steps // BLOCKS)
    for _ in track(range(BLOCKS), description=f"timing {program.kind} blocks"):
        # The first step of a block finds the other side's data in the caches.
        ours.append(program.run(1 + block_steps)[1:])
        theirs.append(peer.run(1 + block_steps)[1:])
    ratios = [float(np.median(t) / np.median(o)) for o, t in zip(ours, theirs, strict=True)]
    all_theirs = list(itertools.chain(*theirs))
    return ours, {
        "first_step_s": first_seconds[0],
        "first_loss": first_loss,
        "peer": {
            "mode": mode,
            "tried": tried,
            "p50_ms": 1e3 * float(np.percentile(all_theirs, 50)),
            "p90_ms": 1e3 * float(np.percentile(all_theirs, 90)),
            "fastest_ms": 1e3 * min(all_theirs),
            "peak_bytes": peer.peak_bytes(),
        },
        "ratio": float(np.median(ratios)),
        "block_ratios": ratios,
    }
