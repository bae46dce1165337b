"""Every verdict on a difference of methods: as first published, and over seeds and patients.

    python docs/measurements/verdicts.py

Writes docs/results/verdicts.md from `former_verdicts.json` (what was published, by intervals over patients alone)
and the `results.json` of each study (what holds today).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mgajax.files import write_text
from mgajax.reporting.tables.measurements import DECIDED, Measurement

DOCS = Path(__file__).resolve().parents[1]
FORMER = DOCS / "measurements" / "former_verdicts.json"
PAGE = DOCS / "results" / "verdicts.md"
CLAIMS, FIVE_SEEDS = "claims", "paper_masks"
"""Claims were published of three seeds; five of `paper_masks` replace them, exact masks among its rows."""

PAPERS_MASKS = "the paper's"
"""In the names of rows about them."""

HEAD = """# Verdicts, before and now

    python docs/measurements/verdicts.py

A difference of two methods was said to hold where its interval over the test patients excluded zero, with
the trained networks as they were. Now the interval must be over seeds and patients, and no seed may be of the
other sign ([Intervals](../explanation/intervals.md)). In percentage points; `seeds` are the differences of each seed. The
intervals of today are made of each seed's value and the width of the published interval over patients; those of the
claims, which were published of three seeds and are now of five, of the predictions themselves.
"""


def page() -> str:
    """The Markdown of docs/results/verdicts.md."""
    lines = [*_lines()]
    claims = [line for line in lines if line["study"].startswith(f"[{FIVE_SEEDS}]")]
    others = [line for line in lines if line not in claims and _is_decided(line["before"])]
    parts = [HEAD, "## The paper's claims", _count(claims), _table(claims)]
    parts += [
        f"### With the paper's masks: [{FIVE_SEEDS}]({FIVE_SEEDS}/results.md)",
        _table(_with_papers_masks()),
    ]
    parts += ["## Other differences"]
    standing = [line for line in others if _is_decided(line["now"])]
    parts += [_count(others), "### What stands", _table(standing), "### What fell"]
    verdicts = Counter(line["now"] for line in others if line not in standing)
    parts.append(
        ", ".join(f"{count} × {verdict}" for verdict, count in verdicts.most_common()) + "."
    )
    for study in dict.fromkeys(line["study"] for line in others):
        fallen = [line for line in others if line["study"] == study and line not in standing]
        parts += [f"#### {study}", _table(fallen)] if fallen else []
    return "\n\n".join(part.strip() for part in parts)


def _count(lines: list[dict[str, str]]) -> str:
    before = [line for line in lines if _is_decided(line["before"])]
    decided = [line for line in before if _is_decided(line["now"])]
    stand = sum(
        line["now"].split(":")[0] == re.split("[:,]", line["before"])[0] for line in decided
    )
    new = sum(_is_decided(line["now"]) for line in lines) - len(decided)
    parts = [f"**{stand} stand, {len(before) - len(decided)} fell**"]
    parts += [f"{len(decided) - stand} turned into the opposite"] if len(decided) > stand else []
    parts += [f"{new} more are told now" if new else "none is new"]
    return f"Of {len(lines)} differences {len(before)} were told from zero: {', '.join(parts)}."


def _is_decided(verdict: str) -> bool:
    return verdict.startswith(DECIDED)


def _lines() -> Iterator[dict[str, str]]:
    """Each difference that was published with an interval."""
    results: dict[str, dict[tuple[str, ...], Measurement]] = {}
    for former in json.loads(FORMER.read_text(encoding="utf-8"))["rows"]:
        study = FIVE_SEEDS if former["study"] == CLAIMS else former["study"]
        if study not in results:
            results[study] = {(row.table, row.name, row.metric): row for row in _rows(study)}
        table, name, metric = former["table"], former["name"], former["metric"]
        exact = results[study].get((table, f"{name}: exact masks", metric))
        yield _line(former, exact or results[study][table, name, metric], study=study)


def _rows(study: str) -> Iterator[Measurement]:
    content = json.loads((DOCS / "results" / study / "results.json").read_text(encoding="utf-8"))
    return map(Measurement.from_json, content["rows"])


def _with_papers_masks() -> list[dict[str, str]]:
    """The claims under the paper's masks, and what exact ones are worth over them."""
    rows = [row for row in _rows(FIVE_SEEDS) if row.verdict and PAPERS_MASKS in row.name]
    return [
        {
            "difference": f"{row.name}: {row.metric}",
            "seeds": _points(*row.seeds.values()),
            "over both": f"[{_points(*row.method_span)}]" if row.method_span else "–",
            "now": row.verdict,
        }
        for row in rows
    ]


def _points(*values: float) -> str:
    return ", ".join(f"{100 * value:.1f}" for value in values)


def _line(former: Mapping[str, Any], row: Measurement, *, study: str) -> dict[str, str]:
    return {
        "study": f"[{study}]({study}/results.md)",
        "difference": f"{row.name}: {row.metric}" + _table_of(row),
        "seeds": _points(*row.seeds.values()),
        "before": f"{former['verdict']}, [{_points(former['low'], former['high'])}]",
        "over both": f"[{_points(*row.method_span)}]" if row.method_span else "–",
        "now": row.verdict,
    }


def _table_of(row: Measurement) -> str:
    """Where the name alone does not tell."""
    return f" ({row.table})" if "checkpoint" in row.table or "shortcut" in row.table else ""


def _table(lines: list[dict[str, str]]) -> str:
    if not lines:
        return "None."
    heads = list(lines[0])
    rows = [heads, ["---"] * len(heads), *([line[head] for head in heads] for line in lines)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


if __name__ == "__main__":
    print(write_text(page(), PAGE))
