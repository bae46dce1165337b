"""`mgajax evaluate`: its options, and what it prints."""

import argparse
from pathlib import Path
from typing import Any

from mgajax.cli.command import add_command
from mgajax.schema import SPLITS

EPILOG = """\
--data may be the run's own set at another place (one --split of it is judged), or another set, of
which every slice is judged once and whose results get files of their own:
  a built set, a folder of class-named folders (covid/ healthy/ pneumonia/ …; --classes names others), or
  a CSV with the columns file and label, and patient, source and plane where they are known.
keys that do not change numbers can be set:  --config.devices=1"""


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
            "mgajax evaluate --workdir runs/mga --data hospital --classes covid=COVID-19,healthy=Normal",
            "mgajax evaluate --workdir runs/mga --data slices.csv --name hospital",
        ),
        epilog=EPILOG,
        overrides=True,
    )
    command.add_argument("--workdir", type=Path, required=True, help="the run's folder")
    command.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="the run's own set where it lies now, or another set (default: where it was trained)",
    )
    command.add_argument("--split", choices=SPLITS, help="of the run's own set (default: test)")
    command.add_argument(
        "--classes",
        metavar="NAME=CLASS,…",
        help="which class a folder or label of another set is, or none to leave it out",
    )
    command.add_argument(
        "--name", help="of another set's results (default: the folder's or file's)"
    )
    command.add_argument(
        "--shared_people",
        choices=("refuse", "leave_out", "keep"),
        default="refuse",
        help="people of another set who trained the run (default: refuse)",
    )
    command.add_argument(
        "--checkpoint", choices=("best", "newest"), default="best", help="default: best"
    )
    command.add_argument("--out", type=Path, metavar="FILE.json", help="default: in the run")


def evaluate(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Evaluate a checkpoint of a run."""
    from mgajax.evaluation.other_set import SetOptions, SharedPeople, evaluate_data
    from mgajax.training.checkpoints import CheckpointName

    evaluation = evaluate_data(
        arguments.workdir,
        arguments.data,
        options=SetOptions(
            split=arguments.split,
            classes=arguments.classes,
            name=arguments.name,
            shared_people=SharedPeople(arguments.shared_people),
        ),
        out=arguments.out,
        checkpoint=CheckpointName(arguments.checkpoint),
        overrides=overrides,
    )
    print(evaluation.table)
    for path in evaluation.files:
        print(path)
