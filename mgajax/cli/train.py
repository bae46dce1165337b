"""`mgajax train`: its options, and what it prints."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mgajax.cli.command import add_command, add_data
from mgajax.distributed import job
from mgajax.distributed.launch import launch

if TYPE_CHECKING:
    from mgajax.training.loop import Summary

EPILOG = f"""\
any key of the config file can be set:  --config.batch_size=64
SIGTERM and Ctrl-C save and stop; the same command goes on from there, on any number of devices
and processes.

{job.HELP}"""

LOG_FOLDER = "processes"


def add_train(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    command = add_command(
        commands,
        "train",
        run,
        text="train a model; goes on by itself when --workdir holds a run",
        examples=(
            "mgajax train --config configs/classification/mga_resnet18.py --workdir runs/mga \\\n"
            "      --data tensorflow_datasets/covid_ct_slices",
            "mgajax train --config configs/segmentation/hmsanet.py --workdir runs/hmsanet \\\n"
            "      --processes 2 --config.batch_size=16 --data tensorflow_datasets/covid_ct_lesions",
        ),
        epilog=EPILOG,
        overrides=True,
    )
    command.add_argument("--config", type=Path, required=True, help="a file of configs/")
    command.add_argument("--workdir", type=Path, required=True, help="the run's folder")
    add_data(command)
    job.add_job_options(command)


def run(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Train, or go on training; alone, as one of several processes, or by starting them."""
    if job.is_launcher(arguments):
        words = ["train", "--config", str(arguments.config), "--workdir", str(arguments.workdir)]
        words += ["--notice", str(arguments.notice), *(["--debug"] if arguments.debug else [])]
        launch(
            [*words, *overrides],
            processes=arguments.processes,
            logs=arguments.workdir / LOG_FOLDER,
        )
        return
    job.join_others(arguments)
    from mgajax import config
    from mgajax.training.loop import train

    settings = config.load(arguments.config, overrides=overrides)
    with job.explaining_lost_processes():
        summary = train(settings, workdir=arguments.workdir)
    if job.is_first():
        _tell(summary, arguments.workdir)


def _tell(summary: "Summary", workdir: Path) -> None:
    print(f"{workdir}: {summary.steps} steps, ended by {summary.reason}")
    if summary.best_step is not None:
        print(f"best: step {summary.best_step}, {summary.best}")
    if summary.finished:
        print(f"next:  mgajax evaluate --workdir {workdir}")
    else:
        print("give the same command again to go on")
