"""Writing files whole: a reader sees the older file or the complete new one."""

import contextlib
import csv
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

PARTIAL = ".writing-"
"""Prefix of a file's name while it is written; a killed process may leave such a file."""

UNENCODABLE = "backslashreplace"
"""How characters are written that a file or a terminal cannot hold (an error handler of Python's)."""

Durability = Literal["power_cut", "kill"]
"""What a written file survives. To survive a power cut costs a wait for the disk, which adds up for many
files; without it a file may be empty afterwards, and its reader must notice."""


@contextlib.contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Give an error of the operating system this path where it names no file.

    An error of writing names none, such as that of a full disk; one of opening does.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def replacing(path: Path, *, survives: Durability = "power_cut") -> Iterator[Path]:
    """A path to write to, which takes the place of `path` when all went well.

    It has no ending, so that the rest of a killed process is never read as a table or a picture. A
    device or pipe (`/dev/stdout`) is written to directly.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    partial = path.with_name(f"{PARTIAL}{uuid.uuid4().hex}")
    try:
        with naming_file(path):
            yield partial
        if survives == "power_cut":
            with partial.open("r+b") as file:
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(content: bytes, path: Path, *, survives: Durability = "power_cut") -> Path:
    """Write bytes as they are."""
    with replacing(path, survives=survives) as partial:
        partial.write_bytes(content)
    return path


def write_text(text: str, path: Path) -> Path:
    """Write a text in UTF-8; it ends with a newline, which is added where there is none.

    Names that are not UTF-8 stand in it with their odd bytes spelt out (`\\udcb2`).
    """
    content = text if text.endswith("\n") else f"{text}\n"
    return write_bytes(content.encode(errors=UNENCODABLE), path)


def write_json(tree: Any, path: Path) -> Path:
    """Write a report; NaN, which is no JSON, is refused."""
    return write_text(json.dumps(tree, indent=2, allow_nan=False), path)


def write_csv(lines: Iterable[Sequence[Any]], path: Path) -> Path:
    """Write rows of cells, the header among them."""
    with (
        replacing(path) as partial,
        partial.open("w", encoding="utf-8", errors=UNENCODABLE, newline="") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows(lines)
    return path


def cell(value: float) -> str:
    """A number in the shortest form that reads back to the same float64; empty for NaN."""
    return "" if np.isnan(value) else repr(float(value))
