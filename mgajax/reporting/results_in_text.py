"""Results in Markdown texts: tables and numbers that are made from what an experiment left.

A table stands between two comments. The first names the file, seen from the text, and one of its tables:

    <!-- results: docs/results/table4.json, COVID-19 against the rest -->
    <!-- /results -->

A statement is a number or a verdict in running text. Its first comment names the file, the measurement's
table, name and metric, and the form in which it is written (`FORMS`):

    <!-- = claims/results.json; Claims on performance; MGA is better …; ROC AUC; interval -->…<!-- / -->

What stands between the comments is written anew, so that a text cannot say what its results do not.
The rest of the text stays as it is.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mgajax import paper
from mgajax.errors import ConfigError, DataError, nearest
from mgajax.files import write_text
from mgajax.reporting.result_folders import read_json
from mgajax.reporting.tables.measurements import DECIDED, Measurement, pivot
from mgajax.reporting.tables.number import at

TABLE = re.compile(
    r"(?P<open><!-- results: (?P<file>[^,\n]+), (?P<table>[^\n]+?) -->\n)(?P<body>.*?)(?P<end><!-- /results -->)",
    re.DOTALL,
)
EXAMPLE = "<!-- results: docs/results/NAME.json, TABLE --> … <!-- /results -->"

_KEYS = ("file", "table", "name", "metric", "form")
STATEMENT = re.compile(
    r"(?P<open><!-- = " + "; ".join(rf"(?P<{key}>[^;\n]+?)" for key in _KEYS) + r" -->)"
    r"(?P<body>[^<]*)(?P<end><!-- / -->)"
)


def _interval(row: Measurement) -> str:
    """A difference with its interval over seeds and patients and its verdict; an arm with that over patients."""
    if not row.verdict:
        return f"{_number(row, row.value)}{_span(row, row.span)}"
    verdict = "holds" if row.verdict.startswith(DECIDED) else "open"
    return f"{_number(row, row.value)}{_span(row, row.method_span)} ({verdict})"


FORMS: Mapping[str, Callable[[Measurement], str]] = {
    "value": lambda row: _number(row, row.value),
    "interval": _interval,
    "networks": lambda row: f"{_number(row, row.value)}{_span(row, row.span)}",
    "seeds": lambda row: ", ".join(_number(row, value) for value in row.seeds.values()),
    "verdict": lambda row: row.verdict.partition(":")[0],
}
"""How a measurement is written: its value; with its interval and verdict; with the interval of these networks;
the value of each seed; its verdict."""


def rewrite_file(path: Path) -> str:
    """Write every marked table and statement of a text anew; returns a line that says how many.

    Raises:
      ConfigError: no such text, nothing marked in it, or a mark whose file or table does not exist.
      DataError: a results file is damaged.
    """
    if not path.is_file():
        raise ConfigError(f"--readme {path}: no such file")
    old_text = path.read_text(encoding="utf-8")
    tables, statements = len(TABLE.findall(old_text)), len(STATEMENT.findall(old_text))
    if not tables + statements:
        raise ConfigError(f"--readme {path}: no marked block; write {EXAMPLE}")
    counts = f"{tables} tables" + (f" and {statements} statements" if statements else "")
    new_text = rewrite_text(old_text, folder=path.parent)
    if new_text == old_text:
        return f"{counts} are as their results give them"
    write_text(new_text, path)
    return f"{counts} written"


def rewrite_text(text: str, *, folder: Path) -> str:
    """The text with every table and statement written anew; their files are relative to `folder`."""

    def table(match: re.Match[str]) -> str:
        file = match["file"].strip()
        return f"{match['open']}\n{results_table(folder / file, match['table'])}\n\n{match['end']}"

    return fill_statements(TABLE.sub(table, text), folder=folder)


def results_table(path: Path, table: str) -> str:
    """One table of results: names down, metrics across, the paper's row below its own.

    Args:
      path: the `results.json` of an experiment, or the `table3.json` of a comparison of segmenters.
      table: its heading; of a comparison, the block of the reports: "pooled" or "per_image".

    Raises:
      ConfigError: no such file, or no such table in it.
      DataError: damaged.
    """
    content = _read_results(path)
    try:
        rows = _comparison_rows(content["models"]) if "models" in content else content["rows"]
        tables = list(dict.fromkeys(row["table"] for row in rows))
        if table not in tables:
            raise ConfigError(f"{path}: no table {table!r}; {nearest(table, tables)}")
        measurements = [Measurement.from_json(row) for row in rows if row["table"] == table]
        text = pivot([replace(row, note="") for row in measurements])
        if "command" not in content:
            return text
        seeds = ", ".join(map(str, content["seeds"]))
        return f"{text}\n\n`{content['command']}`; seeds {seeds}."
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not the results of `mgajax experiment` ({error!r})") from error


def _read_results(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if content is None:
        raise ConfigError(f"{path}: no such results; `mgajax experiment` writes them")
    return content


def _comparison_rows(models: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
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


def fill_statements(text: str, *, folder: Path) -> str:
    """The text with every statement written anew; their files are relative to `folder`.

    Raises:
      ConfigError: no such file, measurement or form.
      DataError: a results file is damaged.
    """

    def statement(match: re.Match[str]) -> str:
        form = FORMS.get(match["form"])
        if form is None:
            raise ConfigError(f"statement {match['open']}: {nearest(match['form'], list(FORMS))}")
        return f"{match['open']}{form(_find_measurement(match, folder))}{match['end']}"

    return STATEMENT.sub(statement, text)


def _find_measurement(match: re.Match[str], folder: Path) -> Measurement:
    path = folder / match["file"]
    content = _read_results(path)
    try:
        rows = [Measurement.from_json(row) for row in content["rows"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not the results of `mgajax experiment` ({error!r})") from error
    for key in ("table", "name", "metric"):
        values = list(dict.fromkeys(getattr(row, key) for row in rows))
        if match[key] not in values:
            raise ConfigError(
                f"{path}: no {key} {match[key]!r} there; {nearest(match[key], values)}"
            )
        rows = [row for row in rows if getattr(row, key) == match[key]]
    return rows[0]


def _number(row: Measurement, value: float | None) -> str:
    if value is None:
        return "–"
    text = f"{100 * value:.1f}" if row.scale == "percent" else f"{value:.3g}"
    return text.replace("-0.0", "0.0").replace("-", "−")


def _span(row: Measurement, span: tuple[float, float] | None) -> str:
    return "" if span is None else f" [{', '.join(_number(row, end) for end in span)}]"
