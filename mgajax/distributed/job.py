"""Several processes as one run: their options, how they find each other, who writes, when all stop.

Every process runs the same program over its own devices (`jax.distributed`); together they compute one
global batch. Only the first process writes files and prints. With one process nothing here has any
effect.
"""

import argparse
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
"""Seconds after which a silent process counts as dead."""

LEAST_THREADS = 16
"""Threads of XLA's CPU client. With as few as a small machine has cores, two processes of several
CPU devices each wait for each other for ever."""

HELP = """\
several processes:
  one machine:    add --processes 2 (its GPUs are dealt out)
  Slurm, Open MPI, GKE, TPU pods:  start one process a host or a GPU, each with --distributed
  anything else:  each with --coordinator HOST:PORT --num_processes N --process_id I
"""


@dataclass(frozen=True)
class Job:
    """Which of the processes this one is. The cluster (Slurm, Open MPI, GKE, TPU) fills in what is None.

    Attributes:
      coordinator: HOST:PORT at which the others reach the first process.
      processes: their number.
      process_id: which this is, from 0.
      notice_s: seconds after which a silent process counts as dead.
    """

    coordinator: str | None = None
    processes: int | None = None
    process_id: int | None = None
    notice_s: float = NOTICE_S


def add_job_options(command: argparse.ArgumentParser) -> None:
    """Add `--processes`, `--distributed`, and the options that number a process by hand."""
    group = command.add_argument_group("several processes")
    group.add_argument("--processes", type=int, metavar="N", help="start N on this machine")
    group.add_argument(
        "--distributed", action="store_true", help="this is one of several; the cluster tells which"
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 listens")
    group.add_argument("--num_processes", type=int, metavar="N", help="how many there are")
    group.add_argument("--process_id", type=int, metavar="I", help="which this is, from 0")
    group.add_argument(
        "--notice",
        type=float,
        default=NOTICE_S,
        metavar="SECONDS",
        help="a process that is silent for so long counts as dead (default: %(default)g)",
    )


def is_launcher(arguments: argparse.Namespace) -> bool:
    """Whether this process only starts the others.

    Raises:
      ConfigError: the options ask it to start them, and to be one of them.
    """
    if arguments.processes is None:
        return False
    if arguments.distributed or arguments.coordinator:
        raise ConfigError("--processes starts all of them; leave --distributed, --coordinator out")
    return True


def join_others(arguments: argparse.Namespace) -> None:
    """Join the other processes, if the options name any.

    Raises:
      ConfigError: an option is missing or wrong; see also `join`.
    """
    numbering = (arguments.coordinator, arguments.num_processes, arguments.process_id)
    if not arguments.distributed and all(value is None for value in numbering):
        return
    if not arguments.distributed and None in numbering:
        raise ConfigError("give --coordinator, --num_processes and --process_id together")
    if not arguments.notice > 0:
        raise ConfigError(f"--notice {arguments.notice:g}: give a number of seconds above 0")
    join(Job(*numbering, notice_s=arguments.notice))


def join(job: Job) -> None:
    """Connect to the other processes, before anything else touches a device.

    From here on only the first process prints, and every process watches the others.

    Raises:
      ConfigError: the cluster does not fill in what `job` leaves open, or the others do not come.
    """
    os.environ.setdefault("NPROC", str(max(LEAST_THREADS, os.cpu_count() or 1)))
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            coordinator_address=job.coordinator,
            num_processes=job.processes,
            process_id=job.process_id,
            # The watchdog ends the process earlier, with a message; this is for one that hangs.
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


def meet(point: str) -> None:
    """Wait until every process has reached this point of the program."""
    if is_one_of_many():
        multihost_utils.sync_global_devices(point)


def is_preempted(step: int) -> bool:
    """Whether any process was told to end (SIGTERM); all learn it at the same step.

    Every process of several must call this after every step.
    """
    return bool(multihost_utils.reached_preemption_sync_point(step))


@contextlib.contextmanager
def explaining_lost_processes() -> Iterator[None]:
    """Turn JAX's error about a broken connection into one that says that a process has ended.

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
            f"them failed, most likely since another one ended ({_first_line(error)}); see what it "
            "printed, then start all again: the run goes on from its newest checkpoint"
        ) from error


def leave(code: int) -> None:
    """End this process at once with `code` where others take part; they notice, and end too.

    The usual exit would wait for them, and they wait for this one.
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
