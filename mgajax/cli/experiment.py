"""`mgajax experiment`: its options, and what it prints."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mgajax.cli.command import add_command
from mgajax.cli.real_slices import EPILOG, OPTIONS, add_real_options, refuse, run_real_slices
from mgajax.experiments.budgets import BUDGETS
from mgajax.experiments.real.budgets import BUDGETS as REAL_BUDGETS
from mgajax.progress import say

if TYPE_CHECKING:  # imports JAX
    from mgajax.experiments.experiment import ExperimentResults

NAMES = {
    "table3": "HMSANet, U-Net, SegNet and DeepLabV3 on the same slices, and Fig. 7",
    "table4": "five classifiers",
    "table5": "the stage whose attention the mask guides",
    "fig8": "single-task against multi-task over 10 to 90 % of the training data",
    "fig9": "attention maps over 10 to 90 % of the training data",
    "fig10": "DeepLIFT and Integrated Gradients of the classifiers of Table 4",
    "dataset": "Tables 1 and 2, Figs. 3 and 4, of a curated, built or drawn set; nothing is trained",
    "checkpoint_choice": "what of Figure 8 comes from the choice of the checkpoint",
    "claims": "the paper's claims on as few runs as can test them",
    "paper_masks": "masks annotated and predicted as in the paper, beside exact ones; drawn data",
    "forensics": "what the paper's printed numbers can be",
    "ablations": "one change at a time of the proposed model",
    "leave_one_source_out": "each source in turn as the test set",
    "shortcut": "accuracy that comes from the source; drawn data",
    "calibration": "before and after temperature scaling",
    "patients": "diagnosis of patients, with McNemar's test",
    "significance": "runs on one test set, two by two: Table 4's, or any (--compare)",
}
"""Every study with a line of help; `studies.STUDIES` has them, and imports JAX."""

PARTS = {
    "table1": "dataset",
    "table2": "dataset",
    "fig3": "dataset",
    "fig4": "dataset",
    "fig7": "table3",
}
"""Tables and figures of the paper that a study of another name makes."""

ALL = "all"

REAL = "real"
"""Both steps on real slices: stages of its own, see `cli.real_slices`."""


def add_experiment(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    width = max(map(len, NAMES))
    names = "\n".join(f"  {name:<{width}}  {text}" for name, text in NAMES.items())
    parts = ", ".join(f"{part} (by {name})" for part, name in PARTS.items())
    budgets = "\n".join(
        f"  {name:<{width}}  {budget.meant_for}" for name, budget in BUDGETS.items()
    )
    command = add_command(
        commands,
        "experiment",
        experiment,
        text="run a table, figure or study: train, evaluate, compare",
        examples=(
            "mgajax experiment table4 --workdir runs/table4 --data tensorflow_datasets/covid_ct_slices",
            "mgajax experiment fig8 --workdir runs/fig8 --runs runs/shared --budget small --seeds 1",
            "mgajax experiment real --workdir runs/real --slices SLICES --lesions PAIRS --budget hours",
        ),
        epilog=(
            f"experiments:\n{names}\n"
            f"  {ALL:<{width}}  every one of these, each in WORKDIR/NAME, with their runs shared\n"
            f"  {REAL:<{width}}  both steps on few real slices, cross-validated over people; see below\n"
            f"also {parts}\n\n"
            "budgets (default: full with --data, small without):\n"
            f"{budgets}\n\n"
            f"{EPILOG}\n\n"
            "Stopped or killed, the same command goes on and repeats no finished run. WORKDIR gets\n"
            "results.json, results.md, results.csv and figures.\n"
            "A key of one arm:  --config.unet.epochs=50"
        ),
        overrides=True,
    )
    command.add_argument(
        "name", choices=(*NAMES, *PARTS, ALL, REAL), metavar="NAME", help="see below"
    )
    command.add_argument("--workdir", type=Path, required=True, help="gets the results")
    command.add_argument(
        "--runs",
        type=Path,
        metavar="DIR",
        help="gets the runs; experiments that share it share equal runs (default: WORKDIR/runs)",
    )
    command.add_argument("--data", type=Path, help="a built data set; without, slices are drawn")
    sizes = tuple(dict.fromkeys((*BUDGETS, *REAL_BUDGETS)))
    command.add_argument("--budget", choices=sizes, help="see below")
    command.add_argument("--seeds", type=int, metavar="N", help="how many; default: the budget's")
    command.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="runs at a time, each on its share"
    )
    command.add_argument(
        "--plan", type=Path, help="another file of runs, such as one of configs/experiments/"
    )
    command.add_argument(
        "--compare", type=Path, nargs="+", default=[], metavar="RUN", help="significance: the runs"
    )
    command.add_argument("--split", type=Path, metavar="FILE.csv", help="dataset: for Table 2")
    add_real_options(command)


def experiment(arguments: argparse.Namespace, overrides: list[str]) -> int:
    """Run one experiment, or all; the exit code is 1 where a run failed."""
    if arguments.name == REAL:
        return _tell(run_real_slices(arguments, overrides))
    refuse(arguments, OPTIONS, why=f"an option of `mgajax experiment {REAL}`")
    names = [PARTS.get(arguments.name, arguments.name)]
    root, code = arguments.workdir, 0
    if arguments.name == ALL:
        names = list(NAMES)
        arguments.runs = arguments.runs or root / "runs"
    for number, name in enumerate(names, start=1):
        if len(names) > 1:
            say(f"experiment {number} of {len(names)}: {name}, {NAMES[name]}")
        results = _run(name, arguments, overrides, workdir=root / name if len(names) > 1 else root)
        code = max(code, _tell(results))
        if results is None:
            return code
    return code


def _run(
    name: str, arguments: argparse.Namespace, overrides: list[str], *, workdir: Path
) -> "ExperimentResults | None":
    """Run an experiment; None when stopped."""
    from mgajax.experiments.experiment import Order, run_experiment

    order = Order(
        name=name,
        workdir=workdir,
        runs=arguments.runs,
        data=arguments.data,
        budget=arguments.budget,
        seeds=arguments.seeds,
        jobs=arguments.jobs,
        plan=arguments.plan,
        compare=arguments.compare,
        split=arguments.split,
        overrides=tuple(overrides),
    )
    return run_experiment(order, draw=_draw)


def _tell(results: "ExperimentResults | None") -> int:
    """Print what an experiment gave; the exit code is 1 where a run failed."""
    if results is None:
        print("stopped; give the same command again to go on")
        return 0
    print(results.table)
    for path in results.files:
        print(path)
    for line in results.failed:
        print(f"failed: {line}")
    return 1 if results.failed else 0


def _draw(folder: Path, **options: object) -> Path:
    """A phantom with these options."""
    import tfds_builders

    return tfds_builders.build("ct_phantom", data_dir=folder, **options).directory
