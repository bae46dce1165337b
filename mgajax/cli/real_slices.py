"""`mgajax experiment real`: its own options."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mgajax.errors import ConfigError
from mgajax.experiments.real.budgets import BUDGETS
from mgajax.experiments.real.order import GUIDE, RealOrder

if TYPE_CHECKING:  # imports JAX
    from mgajax.experiments.experiment import ExperimentResults

DEFAULT = "hours"

OPTIONS = ("slices", "lesions", "outside", "folds", "segmenter", "earlier")
"""Of `real` alone."""

FOREIGN = ("data", "compare", "split")
"""Of the other experiments."""

EPILOG = "\n".join(
    [
        "real: segmenters learn from annotated pairs, one of them predicts masks, classifiers learn",
        "under their guidance; each network from random weights and from drawn slices. Each person is",
        "judged once a seed, by networks that never saw him. Without --slices and --lesions drawn",
        f"slices stand in for both. Its budgets (default {DEFAULT}):",
        *(f"  {name:<8}  {budget.meant_for}" for name, budget in BUDGETS.items()),
    ]
)


def add_real_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `real` to the parser of the experiments."""
    options = command.add_argument_group("options of real")
    options.add_argument(
        "--slices",
        type=Path,
        metavar="DOWNLOAD",
        help="slices of the classes, as `mgajax build covid_ct_slices --manual_dir` takes them",
    )
    options.add_argument(
        "--lesions",
        type=Path,
        metavar="DOWNLOAD",
        help="annotated pairs, as `mgajax build covid_ct_lesions --manual_dir` takes them",
    )
    options.add_argument(
        "--outside",
        type=Path,
        metavar="DIR",
        help="another hospital's slices, as `mgajax evaluate --data` takes them",
    )
    options.add_argument("--folds", type=int, metavar="K", help="of people; default: the budget's")
    options.add_argument(
        "--segmenter",
        metavar="NETWORK",
        help=f"whose masks guide the classifiers (default {GUIDE})",
    )
    options.add_argument(
        "--earlier",
        type=Path,
        metavar="ARCHIVE",
        help="seeds.tar.xz of earlier results, of this machine or another: its seeds are not trained again",
    )


def run_real_slices(
    arguments: argparse.Namespace, overrides: list[str]
) -> "ExperimentResults | None":
    """Run the chain; None when stopped.

    Raises:
      ConfigError: an option of other experiments.
    """
    from mgajax.experiments.real.experiment import run_real

    refuse(arguments, FOREIGN, why="real takes downloads, by --slices and --lesions")
    return run_real(
        RealOrder(
            workdir=arguments.workdir,
            runs=arguments.runs,
            slices=arguments.slices,
            lesions=arguments.lesions,
            outside=arguments.outside,
            budget=arguments.budget or DEFAULT,
            folds=arguments.folds,
            seeds=arguments.seeds,
            segmenter=arguments.segmenter or GUIDE,
            earlier=arguments.earlier,
            jobs=arguments.jobs,
            plan=arguments.plan,
            overrides=tuple(overrides),
        ),
        build=_build,
    )


def refuse(arguments: argparse.Namespace, options: Sequence[str], *, why: str) -> None:
    """Refuse options that do not go with the experiment.

    Raises:
      ConfigError: names the first that was given.
    """
    for option in options:
        if value := getattr(arguments, option):
            raise ConfigError(f"--{option} {value}: {why}; leave it out")


def _build(name: str, *, data_dir: Path, manual_dir: Path | None = None, **options: object) -> Path:
    """The folder of a built data set."""
    import tfds_builders

    return tfds_builders.build(name, data_dir=data_dir, manual_dir=manual_dir, **options).directory
