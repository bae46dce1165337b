"""`mgajax experiment`: its options, and what it prints."""

import argparse
from pathlib import Path


def add_experiment(commands, add_command) -> None:
    """Add the command to the parser\'s `commands` by `add_command` of the command line."""
    command = add_command(
        commands,
        "experiment",
        experiment,
        text="run a table of the paper: train, evaluate, compare",
        epilog=(
            "table3: HMSANet, U-Net, SegNet and DeepLabV3 on the same slices, and Fig. 7\n"
            "Stopped, the same command goes on. A key of one model:  --config.unet.epochs=50"
        ),
        overrides=True,
    )
    command.add_argument("name", choices=("table3",))
    command.add_argument("--data", type=Path, required=True, help="a built data set")
    command.add_argument("--workdir", type=Path, required=True, help="gets a run for each model")
    command.add_argument("--plan", type=Path, help="a file of configs/experiments/")


def experiment(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Run one table of the paper."""
    from mgajax.experiments import table3

    done = table3.run_table3(
        data=arguments.data,
        workdir=arguments.workdir,
        plan=arguments.plan or table3.PLAN,
        overrides=overrides,
    )
    if done is None:
        print("stopped; give the same command again to go on")
        return
    print(done.table)
    for path in done.files:
        print(path)
