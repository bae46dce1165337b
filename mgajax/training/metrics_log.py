"""The log of a run's metrics: `metrics.jsonl`, TensorBoard, and a check that they are finite."""

import contextlib
import json
import math
import time
from pathlib import Path
from typing import Any

import jax
from tensorboardX import SummaryWriter

from mgajax.errors import TrainingError
from mgajax.files import write_bytes
from mgajax.training.steps import weight_name

METRICS_FILE = "metrics.jsonl"


class MetricsLog:
    """Collects the metrics of each step on the device and reads them every few steps.

    Reading each step at once would stall the device. Every step is checked; every `every`-th is
    written. Use as a context manager.
    """

    def __init__(
        self, workdir: Path | None, *, first: int, every: int, batch_size: int, devices: int
    ):
        """Open the log of a run that goes on after step `first`.

        Args:
          workdir: the run's folder; None where another process writes: numbers are only checked.
          first: steps done. Rows of later steps are removed, since those are done again.
          every: write each `every`-th step.
          batch_size: over all devices.
          devices: how many.
        """
        self.every = max(every, 1)
        self.images_per_step_and_device = batch_size / devices
        self.pending: list[tuple[int, Any]] = []
        self.clock, self.clock_step = time.perf_counter(), first
        self.writer = None if workdir is None else _Writer(workdir, first=first)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # On a full disk closing fails as well; the first error is the one to report.
        with contextlib.suppress(OSError) if error is not None else contextlib.nullcontext():
            if self.writer is not None:
                self.writer.close()

    def add_training_step(self, step: int, metrics: Any) -> None:
        """Add the metrics of step number `step` (counted from 1, as steps done).

        Raises:
          TrainingError: a pending step had a loss or gradient that is not finite.
        """
        self.pending.append((step, metrics))
        if step % self.every == 0:
            self.flush()

    def flush(self) -> None:
        """Read what is pending, check every step, and write those that are due.

        Raises:
          TrainingError: names the first step whose loss or gradient is not finite.
        """
        if not self.pending:
            return
        steps = [step for step, _ in self.pending]
        rows = jax.device_get([metrics for _, metrics in self.pending])
        self.pending.clear()
        rate = self._images_per_s(steps[-1])
        for step, row in zip(steps, rows, strict=True):
            values = _without_absent_terms({name: float(value) for name, value in row.items()})
            bad = [name for name, value in values.items() if not math.isfinite(value)]
            if bad or step % self.every == 0 or step == 1:
                self.write(step, {"images_per_s_per_device": rate, **values}, split="train")
            if bad:
                raise not_finite_error(bad[0], values[bad[0]], step=step)

    def write(self, step: int, values: dict[str, float], *, split: str) -> None:
        """Append one row; names get the split in front, as `validation/accuracy`."""
        if self.writer is not None:
            named = {f"{split}/{name}": value for name, value in values.items()}
            self.writer.write({"step": step} | named)

    def restart_clock(self, step: int) -> None:
        """Leave the time since the last step out of the rate."""
        self.clock, self.clock_step = time.perf_counter(), step

    def _images_per_s(self, step: int) -> float:
        seconds = time.perf_counter() - self.clock
        rate = (step - self.clock_step) * self.images_per_step_and_device / max(seconds, 1e-9)
        self.restart_clock(step)
        return rate


def _without_absent_terms(values: dict[str, float]) -> dict[str, float]:
    """Without the terms to which no example of the batch contributes: a gap in the curve, not a 0."""
    present = {
        name: value for name in values if (value := values.get(weight_name(name))) is not None
    }
    weights = {weight_name(name) for name in present}
    absent = {name for name, value in present.items() if value == 0.0}
    return {name: value for name, value in values.items() if name not in weights | absent}


class _Writer:
    """The files of a log: JSON lines, and TensorBoard's events."""

    def __init__(self, workdir: Path, *, first: int) -> None:
        self.path = workdir / METRICS_FILE
        _drop_rows_after(self.path, step=first)
        self.file = self.path.open("a")
        self.board = SummaryWriter(str(workdir / "tensorboard"), purge_step=first + 1)

    def write(self, row: dict[str, int | float]) -> None:
        step = int(row["step"])
        try:
            self.file.write(json.dumps(row) + "\n")
            self.file.flush()
            for name, value in row.items():
                if name != "step" and math.isfinite(value):
                    self.board.add_scalar(name, value, step)
        except OSError as error:
            raise TrainingError(
                f"{self.path}: cannot be written at step {step} ({error.strerror}); make room, then "
                "give the same command again to go on from the newest checkpoint"
            ) from error

    def close(self) -> None:
        self.file.close()
        self.board.close()


def not_finite_error(name: str, value: float, *, step: int) -> TrainingError:
    """The error that ends a run whose numbers are no longer finite."""
    return TrainingError(
        f"step {step}: {name} is {value}; training stopped, the last good checkpoint is kept; try "
        "a lower --config.optimiser.learning_rate in another --workdir"
    )


def read_rows(path: Path) -> list[dict[str, float | int]]:
    """The rows of a `metrics.jsonl`; a last line cut off by a kill is left out."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _drop_rows_after(path: Path, *, step: int) -> None:
    if not path.exists():
        return
    lines = [json.dumps(row) + "\n" for row in read_rows(path) if row["step"] <= step]
    write_bytes("".join(lines).encode(), path)
