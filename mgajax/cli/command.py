"""Adding a command to the parser, with the options that all commands have."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RunCommand = Callable[[argparse.Namespace, list[str]], int | None]
"""A command, of its options and the `--config.key=value` words; its exit code, None for 0."""


def add_command(
    commands: Any,
    name: str,
    run: RunCommand,
    *,
    text: str,
    examples: Sequence[str],
    epilog: str = "",
    overrides: bool = False,
) -> argparse.ArgumentParser:
    """Add a command to a parser's commands, with the options that all have.

    Args:
      commands: from `add_subparsers`.
      name: the word for it.
      run: the function that runs it.
      text: its line of help.
      examples: command lines, shown below its options.
      epilog: below the examples, as it stands.
      overrides: whether it takes `--config.key=value`.
    """
    lines = "\n".join(f"  {example}" for example in examples)
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"examples:\n{lines}\n\n{epilog}".rstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("--debug", action="store_true", help="show a traceback on an error")
    command.set_defaults(run=run, takes_overrides=overrides)
    return command


def add_data(command: argparse.ArgumentParser) -> None:
    """Add `--data DIR`, the short form of `--config.data.dir=DIR`."""
    command.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        dest="data_key",
        help="a built data set: short for --config.data.dir=DIR",
    )
