"""The command lines of `mgajax` that a text prints, and what the real parser says of them."""

import argparse
import contextlib
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from mgajax.cli import make_parser

STARTS = ("mgajax ", "python -m mgajax ")
"""With which a command line begins, after a prompt, `VARIABLE=value` words and `a &&`."""

BEFORE = re.compile(r"^(?:[$!%>]\s*|[A-Z_]+=\S+\s+|.*?&&\s*)*")
FENCED = re.compile(r"^( *)```[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^(?: {4}.*(?:\n|$))+", re.MULTILINE)
SPAN = re.compile(r"(?<!`)`(mgajax [a-z][^`\n]*)`(?!`)")


def in_blocks(text: str) -> list[str]:
    """Command lines of a Markdown text's code blocks, continued lines joined."""
    blocks = [match[2] for match in FENCED.finditer(text)]
    blocks += [match[0] for match in INDENTED.finditer(FENCED.sub("", text))]
    return [line for block in blocks for line in in_shell(block)]


def in_shell(text: str) -> list[str]:
    """Command lines of a shell text."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = (BEFORE.sub("", line.strip()) for line in joined.splitlines())
    return [line.removeprefix("python -m ") for line in lines if line.startswith(STARTS)]


def in_spans(text: str) -> list[str]:
    """Commands in running text, such as `mgajax COMMAND ...`; possibly only a part of a command."""
    return SPAN.findall(FENCED.sub("", text))


def in_notebook(path: Path) -> list[str]:
    """Command lines of a notebook's cells, of both kinds."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    commands = []
    for cell in cells:
        text = "".join(cell["source"])
        commands += in_shell(text) if cell["cell_type"] == "code" else in_blocks(text)
    return commands


def in_help() -> Iterator[str]:
    """Command lines that `--help` prints, of every command."""
    for parser in parsers(make_parser()):
        yield from in_shell(parser.epilog or "")


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and all below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


def bare(line: str) -> str:
    """A line without its comment, `...` and shell variables, but with the options in brackets."""
    line = re.sub(r"\s{3,}.*$|\s\$\w+", "", line)
    return re.sub(r"\[(--[^\]]*)\]", r"\1", line).replace(" ...", "")


def fault(line: str) -> str | None:
    """What the real parser has against a whole command line; None where it takes it."""
    words = shlex.split(bare(line), comments=True)[1:]
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
            arguments, rest = make_parser().parse_known_args(words)
    except SystemExit as end:
        return output.getvalue().splitlines()[-1] if end.code else None
    unknown = [word for word in rest if not re.match(r"--config\.[\w.]+=", word)]
    if unknown or (rest and not arguments.takes_overrides):
        return f"unknown: {' '.join(unknown or rest)}"
    return None


def fault_of_part(line: str) -> str | None:
    """The fault of a part of a command line: an unknown command or option.

    A command in capitals stands for any.
    """
    words = line.split()[1:]
    parser = make_parser()
    while words and (inner := _below(parser)):
        name = words.pop(0)
        if name.isupper():
            return None
        if name not in inner:
            return f"no command {name}"
        parser = inner[name]
    known = parser._option_string_actions
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    unknown = [
        option for option in options if option not in known and not option.startswith("--config.")
    ]
    return f"unknown: {' '.join(unknown)}" if unknown else None


def _below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}
