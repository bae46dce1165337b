"""Pages that follow from the code: every command, every key of a configuration, every public name.

`conf.py` calls `write` when the site is built; the pages are not committed.
"""

import argparse
import ast
import inspect
import re
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from mgajax.cli import make_parser
from mgajax.config import schema

ROOMS = {
    "models": "networks by name",
    "evaluation": "metrics and intervals",
    "explanation": "attributions, and how they score",
    "inference": "trained runs over new slices",
    "interop": "weights from and to PyTorch",
    "config": "configurations",
    "data.splits": "who trains, validates and tests",
    "data.table": "a built data set as columns",
    "training.trained": "a run's best checkpoint",
    "errors": "what can go wrong",
}
"""Rooms whose names are called from outside, with what each is for."""


OPTIONS = "NetworkOptions"
"""The class of the schema that every network's options start from."""


def write(folder: Path) -> None:
    """Write all pages anew."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = dict(_command_pages())
    pages["configuration.md"] = _configuration_page(inspect.getsource(schema))
    pages |= {f"python/{room}.md": _room_page(room, text) for room, text in ROOMS.items()}
    pages["python/index.md"] = _index("Python", ROOMS, note="What programs may call.")
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _command_pages() -> Iterator[tuple[str, str]]:
    commands = {}
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, parser in action.choices.items():
                commands[name] = helps[name]
                yield f"commands/{name}.md", "\n".join(_command(parser, level=1))
    note = "What each prints with `--help`. `mgajax --help` shows a typical order."
    yield "commands/index.md", _index("Commands", commands, note=note)


def _command(parser: argparse.ArgumentParser, *, level: int) -> Iterator[str]:
    """A command's section, and those of the commands below it."""
    yield f"{'#' * level} {parser.prog}\n"
    yield f"{parser.description or ''}\n"
    subcommands = [
        candidate
        for candidate in parser._actions
        if isinstance(candidate, argparse._SubParsersAction)
    ]
    options = [
        candidate
        for candidate in parser._actions
        if candidate not in subcommands and candidate.dest != "help"
    ]
    if options:
        yield "| option | what |\n|---|---|"
        for option in options:
            words = f"`{', '.join(option.option_strings) or option.dest}`"
            value = "" if option.nargs == 0 or not option.option_strings else _value(option)
            text = (option.help or "") % {"default": option.default}
            needed = " **Required.**" if option.required and option.option_strings else ""
            yield f"| {words}{value} | {_cell(text)}{needed} |"
        yield ""
    if parser.epilog:
        yield f"```text\n{parser.epilog.rstrip()}\n```\n"
    for action in subcommands:
        for inner in action.choices.values():
            yield from _command(inner, level=level + 1)


def _value(option: argparse.Action) -> str:
    if option.choices is not None:
        return f" `{{{','.join(map(str, option.choices))}}}`"
    name = option.metavar or option.dest.upper()
    return f" `{name if isinstance(name, str) else ' '.join(name)}`"


def _configuration_page(source: str) -> str:
    """Every dataclass of the schema: its keys, their defaults, and the comments above them."""
    lines = source.splitlines()
    classes = {
        candidate.name: candidate
        for candidate in ast.parse(source).body
        if isinstance(candidate, ast.ClassDef)
    }
    parts = [
        "# Configuration keys\n",
        "Every key can be set on the command line: `--config.KEY=VALUE`. A file of `configs/` starts "
        "from these defaults and sets what is special ([how](../../how-to/configuration.md)). `config.json` "
        "in a run's folder holds all.\n",
    ]
    # A network's options come last: they are many, and each is of one network.
    for node in sorted(
        classes.values(), key=lambda candidate: _lineage(candidate, classes)[-1] == OPTIONS
    ):
        parts += _section(node, classes, lines)
    return "\n".join(parts)


def _lineage(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> list[str]:
    """A class and those that it starts from, by name."""
    bases = [
        expression.id
        for expression in node.bases
        if isinstance(expression, ast.Name) and expression.id in classes
    ]
    return [node.name, *(name for base in bases for name in _lineage(classes[base], classes))]


def _section(
    node: ast.ClassDef, classes: dict[str, ast.ClassDef], lines: list[str]
) -> Iterator[str]:
    headline, _, remainder = (ast.get_docstring(node) or node.name).partition("\n")
    section = re.match(r"`config\.([\w.]+)`", headline)
    lineage = _lineage(node, classes)
    is_option = lineage[-1] == OPTIONS
    prefix = "model.options." if is_option else f"{section[1]}." if section else ""
    title, _, about = headline.rstrip(".").partition(": ")
    yield f"## {f'`config.model.options` of {title[3:]}' if is_option and not section else title}\n"
    if text := f"{about[:1].upper()}{about[1:]}{'.' if about else ''}\n{remainder.strip()}".strip():
        yield f"{text}\n"
    names = lineage if is_option else lineage[:1]
    fields = [
        field for name in names for field in classes[name].body if isinstance(field, ast.AnnAssign)
    ]
    if not fields:
        yield "No keys.\n"
        return
    yield "| key | default | what |\n|---|---|---|"
    for field in fields:
        key = f"{prefix}{ast.unparse(field.target)}"
        yield f"| `{key}` | {_default(field)} | {_cell(_comment_above(field, lines))} |"
    yield ""


def _default(field: ast.AnnAssign) -> str:
    """A value as code, a section as a word, with what it sets."""
    if field.value is None:
        return "set by the file"
    if isinstance(field.value, ast.Call):
        changes = ", ".join(ast.unparse(keyword) for keyword in field.value.keywords)
        return f"see below, with `{changes}`" if changes else "see below"
    return f"`{ast.unparse(field.value)}`"


def _comment_above(field: ast.AnnAssign, lines: list[str]) -> str:
    """The comment of a key, which stands above it, or above the keys before it."""
    row = field.lineno - 2
    while row >= 0 and lines[row].strip() and not lines[row].strip().startswith("#"):
        row -= 1
    words: list[str] = []
    while row >= 0 and lines[row].strip().startswith("#"):
        words.insert(0, lines[row].strip().removeprefix("#").strip())
        row -= 1
    return " ".join(words)


def _room_page(room: str, text: str) -> str:
    """The names that a room's `__all__` lists, or those that a module defines."""
    name = f"mgajax.{room}"
    module = import_module(name)
    listed = getattr(module, "__all__", None)
    if listed is None:
        directives = f".. automodule:: {name}\n   :members:\n"
    else:
        objects = (
            (getattr(module, listed_name), f"{name}.{listed_name}") for listed_name in listed
        )
        directives = "\n".join(
            _directive(value, full) for value, full in objects if callable(value)
        )
    return f"# {name}\n\n{text.capitalize()}.\n\n```{{eval-rst}}\n{directives}```\n"


def _directive(value: object, name: str) -> str:
    if inspect.isclass(value):
        return f".. autoclass:: {name}\n   :members:\n"
    return f".. autofunction:: {name}\n"


def _index(title: str, entries: dict[str, str], *, note: str) -> str:
    rows = "\n".join(f"- [{name}]({name}.md): {text}" for name, text in entries.items())
    names = "\n".join(entries)
    return f"# {title}\n\n{note}\n\n{rows}\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
