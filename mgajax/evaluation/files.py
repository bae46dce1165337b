"""Results on disk: a reader never sees half a file, and an older one stays until the new is whole."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np


def write_text(text: str, path: Path) -> Path:
    """Write a text; a newline is added at its end."""
    return _write(path, lambda file: file.write(text + "\n"))


def write_json(tree: dict[str, Any], path: Path) -> Path:
    """Write a report; NaN, which is no JSON, is refused."""
    return write_text(json.dumps(tree, indent=2, allow_nan=False), path)


def write_csv(lines: Iterable[Sequence[Any]], path: Path) -> Path:
    """Write rows of cells, the header among them."""
    return _write(path, lambda file: csv.writer(file, lineterminator="\n").writerows(lines))


def cell(value: float) -> str:
    """A number in the shortest form that reads back to the same float64; empty for NaN."""
    return "" if np.isnan(value) else repr(float(value))


def _write(path: Path, put: Callable[[TextIO], Any]) -> Path:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            put(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
