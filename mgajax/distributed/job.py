"""Several processes as one run: how they find each other, who writes, and when all stop.

Every process runs the same program over its own devices (`jax.distributed`); what they compute is
one global batch. Files and lines on the terminal are the first process's alone. With one process
nothing here has any effect.
"""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import jax
from jax.experimental import multihost_utils

from mgajax.distributed import watchdog
from mgajax.errors import ConfigError, ProcessError
from mgajax.progress import hush

NOTICE_S = 30.0
"""Seconds after which a process that is not heard of counts as dead."""

LEAST_THREADS = 16
"""Threads of XLA's CPU client. With as few as a small machine has cores, two processes of several
CPU devices each wait for each other for ever."""


@dataclass(frozen=True)
class Job:
    """Which of the processes this one is; what is None the cluster tells (Slurm, Open MPI, GKE, TPU).

    Attributes:
      coordinator: HOST:PORT of the first process, as all others reach it.
      processes: how many take part.
      process_id: which this is, from 0.
      notice_s: seconds after which a silent process counts as dead.
    """

    coordinator: str | None = None
    processes: int | None = None
    process_id: int | None = None
    notice_s: float = NOTICE_S


def join(job: Job) -> None:
    """Meet the other processes, before anything else touches a device.

    From here on only the first process prints, and every process watches the others.

    Raises:
      ConfigError: the cluster does not tell what `job` leaves open, or the others do not come.
    """
    os.environ.setdefault("NPROC", str(max(LEAST_THREADS, os.cpu_count() or 1)))
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            coordinator_address=job.coordinator,
            num_processes=job.processes,
            process_id=job.process_id,
            # The watchdog speaks first; this is the end of a process that cannot even say so.
            heartbeat_timeout_seconds=max(10, round(3 * job.notice_s)),
        )
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"the processes of this run could not meet ({_first_line(error)}); give each "
            "--coordinator HOST:PORT --num_processes N --process_id I, or start them by Slurm, "
            "Open MPI or GKE with --distributed"
        ) from error
    sys.excepthook = _end_at_once
    if jax.process_index() > 0:
        hush()
    if jax.process_count() > 1:
        watchdog.start(
            process=jax.process_index(), processes=jax.process_count(), notice_s=job.notice_s
        )


def is_first() -> bool:
    """Whether this process writes files."""
    return jax.process_index() == 0


def is_one_of_many() -> bool:
    """Whether other processes take part in this run."""
    return jax.process_count() > 1


def meet(what: str) -> None:
    """Wait until every process has come as far as `what`."""
    if is_one_of_many():
        multihost_utils.sync_global_devices(what)


def is_preempted(step: int) -> bool:
    """Whether a process was told to end (SIGTERM): all hear it at the same step.

    To be asked after every step, by every process of several.
    """
    return bool(multihost_utils.reached_preemption_sync_point(step))


@contextlib.contextmanager
def told_of_the_dead() -> Iterator[None]:
    """Turn JAX's error about a broken connection into one that says that a process has died.

    Raises:
      ProcessError: a computation over several processes failed.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not is_one_of_many():
            raise
        raise ProcessError(
            f"process {jax.process_index()} of {jax.process_count()}: a computation over all of "
            f"them failed, most likely since another one ended ({_first_line(error)}); see its "
            "words, then start all again: the run goes on from its newest checkpoint"
        ) from error


def leave(code: int) -> None:
    """End this process with `code` where others take part; they notice, and end too.

    The usual way out would wait for them, and they wait for this one.
    """
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end_at_once(kind, error, trace) -> None:
    traceback.print_exception(kind, error, trace)
    leave(1)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
