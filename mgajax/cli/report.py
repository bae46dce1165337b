"""`mgajax report`: its options, and what it prints."""

import argparse
from pathlib import Path
from typing import Any

from mgajax.cli.command import add_command
from mgajax.errors import ConfigError


def add_report(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    command = add_command(
        commands,
        "report",
        report,
        text="runs as a static site; a curated set as a card; the README's tables of results",
        examples=(
            "mgajax report --workdir runs/mga runs/resnet18 --out report",
            "mgajax report --data tensorflow_datasets/covid_ct_slices --out card",
        ),
        epilog=(
            "mgajax report --workdir RUN... --out DIR      DIR/index.html, figures as PNG and SVG, CSV\n"
            "  RUN: of `mgajax train`, `experiment`, `tune` or `explain`, or a folder of such folders\n"
            "mgajax report --data DIR --out DIR         Tables 1 and 2, Figures 3 and 4, a data card\n"
            "  --data: a folder with curated_data/ and its tables, the tables alone, or a built set\n"
            "mgajax report --readme README.md              the marked tables anew from their results"
        ),
    )
    command.add_argument("--workdir", type=Path, nargs="+", metavar="RUN", help="what to report")
    command.add_argument(
        "--data", type=Path, metavar="DIR", help="a curated or built set to describe"
    )
    command.add_argument("--readme", type=Path, metavar="FILE.md", help="a text with marked tables")
    command.add_argument("--out", type=Path, metavar="DIR", help="where the report goes")
    command.add_argument(
        "--split", type=Path, metavar="FILE.csv", help="with --data, for Table 2: a split.csv"
    )


def report(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Write the report, and print where it is."""
    choices = [arguments.workdir, arguments.data, arguments.readme]
    if sum(choice is not None for choice in choices) != 1:
        raise ConfigError("give one of --workdir, --data and --readme; see --help")
    if arguments.readme is not None:
        from mgajax.reporting.results_in_text import rewrite_file

        print(f"{arguments.readme}: {rewrite_file(arguments.readme)}")
        return
    if arguments.out is None:
        raise ConfigError("--out is missing: where the report goes")
    if arguments.data is not None:
        _describe(arguments)
        return
    from mgajax.reporting.results_report import report_results

    written = report_results(arguments.workdir, out=arguments.out)
    for run, gap in written.missing:
        print(f"{run}: {gap}")
    print(f"{len(written.pages)} pages\n{written.index}")


def _describe(arguments: argparse.Namespace) -> None:
    from mgajax.reporting.dataset_report import report_dataset

    card = report_dataset(arguments.data, out=arguments.out, split=arguments.split)
    print(f"{card.slices} slices of {card.patients} patients")
    for path in card.files:
        print(path)
