"""`mgajax build`: its options, and what it prints."""

import argparse
import ast
from pathlib import Path
from typing import Any

from mgajax.cli.command import add_command
from mgajax.errors import ConfigError

DATA_DIR = Path("tensorflow_datasets")


def add_build(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    command = add_command(
        commands,
        "build",
        build,
        text="package slices as a data set (ArrayRecord) that training reads",
        examples=(
            "mgajax build covid_ct_slices --manual_dir DOWNLOADS",
            "mgajax build covid_ct_slices --manual_dir DOWNLOADS --option masks=masks",
            "mgajax build covid_ct_lesions --manual_dir LESIONS --test_with tensorflow_datasets/covid_ct_slices",
            "mgajax build covid_ct_lesions --manual_dir LESIONS --option healthy=DOWNLOADS",
            "mgajax build ct_phantom --option patients=60",
        ),
        epilog=(
            "data sets:\n"
            "  covid_ct_slices   the curated set: --manual_dir holds curated_data/ and, beside it,\n"
            "                    meta_data_covid.csv, meta_data_normal.csv and meta_data_cap.csv;\n"
            "                    --option masks=DIR adds the masks that `mgajax segment` made\n"
            "  covid_ct_lesions  frames with annotated lesions: --manual_dir holds frames/ and masks/,\n"
            "                    and meta_data_covid.csv, which knows MedSeg's patients;\n"
            "                    --option healthy=DIR adds the curated set's Normal slices\n"
            "  ct_phantom        drawn slices with known lesions; needs no --manual_dir"
        ),
    )
    command.add_argument("dataset", help="covid_ct_slices, covid_ct_lesions or ct_phantom")
    command.add_argument("--manual_dir", type=Path, help="what you downloaded")
    command.add_argument(
        "--data_dir", type=Path, default=DATA_DIR, help=f"where built sets go (default {DATA_DIR})"
    )
    command.add_argument("--builder_config", metavar="NAME", help="a variant of the data set")
    command.add_argument(
        "--merge",
        type=Path,
        metavar="AUDIT.json",
        help="ids that `mgajax audit` takes for one person count as one",
    )
    command.add_argument(
        "--test_with",
        type=Path,
        metavar="DIR",
        help="covid_ct_lesions: whoever tests in this built set trains nothing here",
    )
    command.add_argument(
        "--option",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a field of that variant, e.g. shortcut=0.5 or patients=500",
    )


def build(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Build a data set and say where it is and what was found."""
    import tfds_builders

    options = dict(_option(word) for word in arguments.option)
    for name in ("merge", "test_with"):
        if (path := getattr(arguments, name)) is not None:
            options[name] = str(path)
    built = tfds_builders.build(
        arguments.dataset,
        manual_dir=arguments.manual_dir,
        data_dir=arguments.data_dir,
        builder_config=arguments.builder_config,
        **options,
    )
    print(built.summary)
    print(f"\n{built.status}: {built.directory}\nuse: --data {built.directory}")


def _option(word: str) -> tuple[str, object]:
    """`key=value`; the value is a Python literal, else text."""
    key, equals, text = word.partition("=")
    if not equals:
        raise ConfigError(f"--option {word}: write KEY=VALUE")
    try:
        return key, ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return key, text
