"""Tables of results in a Markdown text, made from the results that an experiment left.

A block is marked by two comments; the first names the file, seen from the text, and one of its
tables:

    <!-- results: docs/results/table4.json, COVID-19 against the rest -->
    <!-- /results -->

What stands between them is written anew, and so are the numbers in running text (`statements`); the
rest of the text is left alone.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mgajax import paper
from mgajax.errors import ConfigError, DataError, nearest
from mgajax.files import write_text
from mgajax.reporting.result_folders import read_json
from mgajax.reporting.statements import STATEMENT, filled
from mgajax.reporting.tables.measurements import Measurement, pivot
from mgajax.reporting.tables.number import at

BLOCK = re.compile(
    r"(?P<open><!-- results: (?P<file>[^,\n]+), (?P<table>[^\n]+?) -->\n)(?P<body>.*?)(?P<end><!-- /results -->)",
    re.DOTALL,
)
EXAMPLE = "<!-- results: docs/results/NAME.json, TABLE --> … <!-- /results -->"


def rewrite(path: Path) -> str:
    """Write every marked block and statement of a text anew; returns what was done, for a terminal.

    Raises:
      ConfigError: no such text, nothing marked in it, or a mark whose file or table does not exist.
      DataError: a results file is damaged.
    """
    if not path.is_file():
        raise ConfigError(f"--readme {path}: no such file")
    before = path.read_text(encoding="utf-8")
    tables, statements = len(BLOCK.findall(before)), len(STATEMENT.findall(before))
    if not tables + statements:
        raise ConfigError(f"--readme {path}: no marked block; write {EXAMPLE}")
    told = f"{tables} tables" + (f" and {statements} statements" if statements else "")
    after = rewritten(before, folder=path.parent)
    if after == before:
        return f"{told} are as their results give them"
    write_text(after, path)
    return f"{told} written"


def rewritten(text: str, *, folder: Path) -> str:
    """The text with every block and statement made anew; files are looked for in `folder`."""

    def made(match: re.Match[str]) -> str:
        file = match["file"].strip()
        return f"{match['open']}\n{results_table(folder / file, match['table'])}\n\n{match['end']}"

    return filled(BLOCK.sub(made, text), folder=folder)


def results_table(path: Path, table: str) -> str:
    """One table of results: names down, metrics across, the paper's row below its own.

    Args:
      path: the `results.json` of an experiment, or the `table3.json` of a comparison of segmenters.
      table: its heading; of a comparison, the block of the reports: "pooled" or "per_image".

    Raises:
      ConfigError: no such file, or no such table in it.
      DataError: damaged.
    """
    content = read_json(path)
    if content is None:
        raise ConfigError(f"{path}: no such results; `mgajax experiment` writes them")
    try:
        rows = _compared(content["models"]) if "models" in content else content["rows"]
        tables = list(dict.fromkeys(row["table"] for row in rows))
        if table not in tables:
            raise ConfigError(f"{path}: no table {table!r}; {nearest(table, tables)}")
        own = [Measurement.from_json(row) for row in rows if row["table"] == table]
        shown = pivot([replace(row, note="") for row in own])
        if "command" not in content:
            return shown
        seeds = ", ".join(map(str, content["seeds"]))
        return f"{shown}\n\n`{content['command']}`; seeds {seeds}."
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not the results of `mgajax experiment` ({error!r})") from error


def _compared(models: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The reports of segmenters as rows of `results.json`."""
    return [
        {
            "table": block,
            "name": paper.model_name(model),
            "metric": text,
            "value": metrics[block][key],
            **(at(metrics, f"intervals.{block}.{key}") or {}),
        }
        for model, metrics in models.items()
        for block in ("pooled", "per_image")
        for key, text in paper.SEGMENTER_METRICS.items()
    ]
