"""`mgajax tune`: its options, and what it prints."""

import argparse
from pathlib import Path
from typing import Any

from mgajax.cli.command import add_command, add_data


def add_tune(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    command = add_command(
        commands,
        "tune",
        run,
        text="search the best values of a configuration's keys, on the validation slices alone",
        examples=(
            "mgajax tune --config configs/tuning/mga_resnet18.py --workdir runs/tuning --trials 20 \\\n"
            "      --data tensorflow_datasets/covid_ct_slices",
        ),
        epilog=(
            "The space stands in the file: config.search.space, see configs/tuning/. A trial is a\n"
            "training in DIR/trials/NNN; trial 0 is the configuration as it stands. Stopped or killed,\n"
            "the same command goes on and repeats no trial. DIR gets tuning.json, trials.csv, trace.png."
        ),
        overrides=True,
    )
    command.add_argument("--config", type=Path, required=True, help="a file of configs/tuning/")
    command.add_argument("--workdir", type=Path, required=True, metavar="DIR", help="the search's")
    add_data(command)
    command.add_argument("--trials", type=int, required=True, metavar="N", help="trials in all")
    command.add_argument("--jobs", type=int, default=1, metavar="J", help="trials at a time")


def run(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Search, or continue a search, and print the best values as a command."""
    from mgajax.experiments.tune import tune

    tuning = tune(
        arguments.config,
        workdir=arguments.workdir,
        trials=arguments.trials,
        jobs=arguments.jobs,
        words=overrides,
    )
    failed = [trial for trial in tuning.trials if trial.status == "failed"]
    print(f"{len(tuning.trials)} of {arguments.trials} trials are over, {len(failed)} failed")
    for trial in failed:
        print(f"  trial {trial.number}: {trial.reason}")
    if tuning.best is not None:
        initial = tuning.trials[0]
        has_default = initial.number == 0 and initial.value is not None
        default = f"; as it stands: {initial.value:.4f}" if has_default else ""
        print(f"best: trial {tuning.best.number}, {tuning.best.value:.4f}{default}")
        print(tuning.search.command(tuning.best, workdir=str(arguments.workdir / "best")))
    for path in tuning.files:
        print(path)
    if not tuning.finished:
        print("stopped; give the same command again to go on")
