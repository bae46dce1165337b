"""`mgajax evaluate`: its options, and what it prints."""

import argparse
from pathlib import Path
from typing import Any

from mgajax.cli.command import add_command, add_data
from mgajax.schema import SPLITS


def add_evaluate(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    command = add_command(
        commands,
        "evaluate",
        evaluate,
        text="measure a trained run: metrics with intervals, predictions, figures",
        examples=(
            "mgajax evaluate --workdir runs/mga",
            "mgajax evaluate --workdir runs/mga --split validation --out validation.json",
        ),
        epilog="keys that do not change numbers can be set:  --config.devices=1",
        overrides=True,
    )
    command.add_argument("--workdir", type=Path, required=True, help="the run's folder")
    add_data(command)
    command.add_argument("--split", choices=SPLITS, default="test", help="default: test")
    command.add_argument(
        "--checkpoint", choices=("best", "newest"), default="best", help="default: best"
    )
    command.add_argument("--out", type=Path, metavar="FILE.json", help="default: in the run")


def evaluate(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Evaluate a checkpoint of a run."""
    from mgajax.evaluation.evaluate import evaluate_run
    from mgajax.training.checkpoints import CheckpointName

    done = evaluate_run(
        arguments.workdir,
        split=arguments.split,
        out=arguments.out,
        checkpoint=CheckpointName(arguments.checkpoint),
        overrides=overrides,
    )
    print(done.table)
    for path in done.files:
        print(path)
