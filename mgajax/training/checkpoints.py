"""Checkpoints: everything that a resume needs; the newest and the best one are kept.

Orbax writes in the background into a temporary folder and renames it when it is complete, so a
kill at any moment leaves the older checkpoints as they were.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import jax
import orbax.checkpoint as ocp
from etils import epath
from jax.sharding import Sharding
from ml_collections import ConfigDict
from orbax.checkpoint import checkpoint_managers as policies

from mgajax.config import numbers_digest
from mgajax.distributed import job
from mgajax.errors import CheckpointError
from mgajax.progress import say
from mgajax.training.early_stopping import EarlyStopping
from mgajax.training.state import TrainState

ATTEMPTS = 3
"""How often a save is tried; once by several processes, which would have to agree on another try."""

FIRST_PAUSE_S = 2.0
"""Wait before the second attempt; it doubles before each later one."""

CHECKPOINT_FOLDER = "checkpoints"
"""In a run's folder, unless `config.checkpoint_dir` names another."""

METRIC = "loss"
"""The best checkpoint has the lowest value of this metric (see `Criterion`); of equals, the earliest."""

OLDER_METRIC = "validation_cross_entropy"
"""Its name in checkpoints of November 2026 and before."""


class CheckpointName(StrEnum):
    """The two checkpoints of a run that are kept."""

    BEST = "best"
    NEWEST = "newest"


@dataclass(frozen=True)
class Snapshot:
    """The content of a checkpoint."""

    state: TrainState
    early_stopping: EarlyStopping
    step: int


def open_checkpoints(
    config: ConfigDict, *, workdir: Path, access: Literal["read", "write"] = "write"
) -> "Checkpoints":
    """The checkpoints of the run in `workdir`, wherever its configuration keeps them.

    Raises:
      CheckpointError: the folder cannot be opened or, for reading, is not there.
    """
    folder = config.checkpoint_dir or str(workdir / CHECKPOINT_FOLDER)
    return Checkpoints(folder, access=access, run=numbers_digest(config, workdir=workdir))


class Checkpoints:
    """The checkpoints of one run. Use as a context manager: leaving it waits for the last save."""

    def __init__(
        self, folder: Path | str, *, access: Literal["read", "write"] = "write", run: str = ""
    ) -> None:
        """Open `folder`; half-written checkpoints in it are ignored.

        Args:
          folder: a path, or a bucket's address like gs://BUCKET/RUN.
          access: only `write`, which one process at a time may have, creates the folder and clears
            away what a killed process left; `read` leaves a running training alone.
          run: `numbers_digest` of its configuration, so that another run's checkpoint is refused;
            empty: not checked.
        """
        self.folder, self.run = _absolute(folder), run
        newest = policies.LatestN(n=1)
        best = policies.BestN(
            n=1, get_metric_fn=_rank, reverse=True, keep_checkpoints_without_metrics=False
        )
        options = ocp.CheckpointManagerOptions(
            best_fn=lambda metrics: _rank(metrics)[0],  # without it metrics are not written
            best_mode="min",
            preservation_policy=policies.AnyPreservationPolicy([newest, best]),
            cleanup_tmp_directories=access == "write",
            create=access == "write",
            read_only=access == "read",
        )
        self.repeat: Callable[[], None] | None = None
        self.saved: TrainState | None = None
        with self._explain_errors("open"):
            if access == "read" and not self.folder.is_dir():
                raise CheckpointError(
                    f"{self.folder}: no such folder; train first: mgajax train --help"
                )
            self.manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self.wait()
        except CheckpointError:
            if error is None:  # otherwise the first error is the one to report
                raise
        finally:
            self.manager.close()

    def save(
        self,
        state: TrainState,
        *,
        early_stopping: EarlyStopping,
        loss: float | None = None,
    ) -> None:
        """Begin to save `state` under its step number; a step that was saved before is not saved again.

        With a `loss` it can become the best one. A failed save is tried again, `ATTEMPTS` times in
        all. Where the previous save could not be completed, this one takes its place.

        Raises:
          CheckpointError: the save could not begin.
        """
        step = int(state.step)
        if step in self.manager.all_steps():
            return
        metrics = None
        if loss is not None:
            metrics = {METRIC: loss, "step": step}
        content = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            meta=ocp.args.JsonSave({"early_stopping": early_stopping.to_json(), "run": self.run}),
        )

        def begin() -> None:
            with self._explain_errors(f"save step {step}"):
                self.manager.save(step, args=content, metrics=metrics)

        def repeat() -> None:
            begin()
            self._complete_last()

        _attempt(begin)
        self.repeat = repeat if not job.is_one_of_many() else None
        self.saved = state

    def wait(self) -> None:
        """Wait until the last save is complete; save again if it fails and the state is still in memory.

        Raises:
          CheckpointError: it could not be completed.
        """
        try:
            self._complete_last()
        except CheckpointError as error:
            if self.repeat is None or _is_gone(self.saved):
                raise
            say(f"{error}\ntrying again")
            _attempt(self.repeat)
        finally:
            self.repeat = None

    def _complete_last(self) -> None:
        with self._explain_errors("complete the last save"):
            self.manager.wait_until_finished()
            self.manager.check_for_errors()

    @property
    def newest(self) -> int | None:
        """The newest complete step."""
        return self.manager.latest_step()

    @property
    def best(self) -> int | None:
        """The step with the lowest loss; the newest when none was validated."""
        ranked = []
        for step in self.manager.all_steps():
            metrics = self.manager.metrics(step)
            if metrics:
                ranked.append(_rank(metrics))
        return min(ranked)[1] if ranked else self.newest

    def step_of(self, checkpoint: CheckpointName) -> int | None:
        """The step of that checkpoint; None where nothing was saved yet."""
        return self.best if checkpoint is CheckpointName.BEST else self.newest

    def restore(self, like: TrainState, *, step: int, sharding: Sharding) -> Snapshot:
        """Read a checkpoint back, onto any number of devices.

        Args:
          like: a state of the same shapes and types (arrays or `jax.ShapeDtypeStruct`).
          step: one of the complete steps.
          sharding: of every leaf.

        Raises:
          CheckpointError: it does not fit `like`, or cannot be read.
        """
        target = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), like
        )
        with self._explain_errors(f"restore step {step}"):
            meta_only = ocp.args.Composite(meta=ocp.args.JsonRestore())
            meta = self.manager.restore(step, args=meta_only)["meta"]
            self._check_run(meta.get("run", ""), step=step)  # another run's arrays may not fit
            state_only = ocp.args.Composite(state=ocp.args.StandardRestore(target))
            state = self.manager.restore(step, args=state_only)["state"]
        stopping = EarlyStopping.from_json(meta["early_stopping"])
        return Snapshot(state=state, early_stopping=stopping, step=step)

    def _check_run(self, saved: str, *, step: int) -> None:
        if saved and self.run and saved != self.run:
            raise CheckpointError(
                f"{self.folder}/{step}: saved by a run with other settings (config {saved[:12]}, "
                f"this one is {self.run[:12]}); give this run a --config.checkpoint_dir of its own"
            )

    @contextlib.contextmanager
    def _explain_errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except CheckpointError:
            raise
        except Exception as error:  # Orbax and tensorstore raise many kinds
            fix = "free space or mend the folder"
            if isinstance(error, ImportError):  # a bucket's client
                fix = "pip install 'mgajax[gcs]'"
            raise CheckpointError(
                f"{self.folder}: could not {action} ({type(error).__name__}: {_reason(error)}); "
                f"complete steps there: {self._complete_steps()}; {fix}, "
                "then give the same command again to go on from the newest"
            ) from error

    def _complete_steps(self) -> str:
        with contextlib.suppress(Exception):  # a bucket that cannot be reached
            steps = sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdigit())
            return ", ".join(map(str, steps)) or "none"
        return "unknown"


def _absolute(folder: Path | str) -> epath.Path:
    """Orbax fails in the background on relative paths; a bucket's address stays as it is."""
    if "://" in str(folder):
        return epath.Path(str(folder))
    return epath.Path(Path(folder).resolve())


def _attempt(save: Callable[[], None]) -> None:
    """Call `save` until it succeeds, at most `ATTEMPTS` times."""
    attempts = 1 if job.is_one_of_many() else ATTEMPTS
    for attempt in range(1, attempts + 1):
        try:
            return save()
        except CheckpointError as error:
            if attempt == attempts:
                raise
            say(f"{error}\ntrying again ({attempt + 1} of {attempts})")
            time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))


def _is_gone(state: TrainState | None) -> bool:
    """Whether a later step has reused the memory of this state."""
    return any(isinstance(leaf, jax.Array) and leaf.is_deleted() for leaf in jax.tree.leaves(state))


def _reason(error: Exception) -> str:
    """The beginning of a long message, after the system's name of the fault if there is one."""
    text = " ".join(str(error).split())
    code = re.search(r"os_error_code='(\d+)'", text)
    system = f"{os.strerror(int(code.group(1)))}: " if code else ""
    return system + text[:160]


def _rank(metrics: Any) -> tuple[float, int]:
    return metrics[METRIC if METRIC in metrics else OLDER_METRIC], metrics["step"]
