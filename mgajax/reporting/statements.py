"""Numbers and verdicts in running text, made from the results that an experiment left.

A statement stands between two comments; the first names the file, seen from the text, the measurement's
table, name and metric, and the form in which it is told (`FORMS`):

    <!-- = claims/results.json; Claims on performance; MGA is better …; ROC AUC; interval -->…<!-- / -->

What stands between them is written anew, so that a sentence cannot say what its results do not.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from mgajax.errors import ConfigError, DataError, nearest
from mgajax.reporting.result_folders import read_json
from mgajax.reporting.tables.measurements import DECIDED, Measurement

_KEYS = ("file", "table", "name", "metric", "form")
STATEMENT = re.compile(
    r"(?P<open><!-- = " + "; ".join(rf"(?P<{key}>[^;\n]+?)" for key in _KEYS) + r" -->)"
    r"(?P<body>[^<]*)(?P<end><!-- / -->)"
)


def _interval(row: Measurement) -> str:
    """Of a difference over seeds and patients, and whether it holds; of an arm over patients."""
    if not row.verdict:
        return f"{_number(row, row.value)}{_span(row, row.span)}"
    told = "holds" if row.verdict.startswith(DECIDED) else "open"
    return f"{_number(row, row.value)}{_span(row, row.method_span)} ({told})"


FORMS: Mapping[str, Callable[[Measurement], str]] = {
    "value": lambda row: _number(row, row.value),
    "interval": _interval,
    "networks": lambda row: f"{_number(row, row.value)}{_span(row, row.span)}",
    "seeds": lambda row: ", ".join(_number(row, value) for value in row.seeds.values()),
    "verdict": lambda row: row.verdict.partition(":")[0],
}
"""How a measurement can be told: value; with its interval (and verdict); with that of these networks; each seed's."""


def filled(text: str, *, folder: Path) -> str:
    """The text with every statement made anew; files are looked for in `folder`.

    Raises:
      ConfigError: no such file, measurement or form.
      DataError: a results file is damaged.
    """

    def made(match: re.Match[str]) -> str:
        told = FORMS.get(match["form"])
        if told is None:
            raise ConfigError(f"statement {match['open']}: {nearest(match['form'], list(FORMS))}")
        return f"{match['open']}{told(_measurement(match, folder))}{match['end']}"

    return STATEMENT.sub(made, text)


def _measurement(match: re.Match[str], folder: Path) -> Measurement:
    path = folder / match["file"]
    content = read_json(path)
    if content is None:
        raise ConfigError(f"{path}: no such results; `mgajax experiment` writes them")
    try:
        rows = [Measurement.from_json(row) for row in content["rows"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not the results of `mgajax experiment` ({error!r})") from error
    for key in ("table", "name", "metric"):
        known = list(dict.fromkeys(getattr(row, key) for row in rows))
        if match[key] not in known:
            raise ConfigError(
                f"{path}: no {key} {match[key]!r} there; {nearest(match[key], known)}"
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
