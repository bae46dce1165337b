"""Options of a command that several processes can run together."""

import argparse

from mgajax.distributed.job import NOTICE_S, Job, join
from mgajax.errors import ConfigError

HELP = """\
several processes:
  one machine:    add --processes 2 (its GPUs are dealt out)
  Slurm, Open MPI, GKE, TPU pods:  start one process a host or a GPU, each with --distributed
  anything else:  each with --coordinator HOST:PORT --num_processes N --process_id I
"""


def add_job_options(command: argparse.ArgumentParser) -> None:
    """Add `--processes`, `--distributed`, and what names a process by hand."""
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
        help="a process not heard of for so long counts as dead (default: %(default)g)",
    )


def is_launcher(arguments: argparse.Namespace) -> bool:
    """Whether this process only starts the others.

    Raises:
      ConfigError: it is to start them and to be one of them.
    """
    if arguments.processes is None:
        return False
    if arguments.distributed or arguments.coordinator:
        raise ConfigError("--processes starts all of them; leave --distributed, --coordinator out")
    return True


def join_others(arguments: argparse.Namespace) -> None:
    """Join the other processes, if the options speak of any.

    Raises:
      ConfigError: some of what names a process is missing; see also `job.join`.
    """
    named = (arguments.coordinator, arguments.num_processes, arguments.process_id)
    if not arguments.distributed and all(value is None for value in named):
        return
    if not arguments.distributed and None in named:
        raise ConfigError("give --coordinator, --num_processes and --process_id together")
    if not arguments.notice > 0:
        raise ConfigError(f"--notice {arguments.notice:g}: give a number of seconds above 0")
    join(Job(*named, notice_s=arguments.notice))
