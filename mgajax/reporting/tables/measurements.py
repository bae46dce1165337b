"""What an experiment measured, as a machine-readable table, and as Markdown and CSV."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from mgajax.reporting.tables.markdown import markdown_table

Status = Literal["measured", "not run", "failed"]
NumberFormat = Literal["percent", "number"]

DECIDED = ("holds", "fails")
"""How verdicts begin that tell a difference from zero."""


@dataclass(frozen=True)
class Measurement:
    """One number of one arm (or of the difference of two) of an experiment.

    Attributes:
      table: the table that it stands in.
      name: what was measured: an arm, or "A minus B".
      metric: the column.
      value: the mean over seeds, as a share where `scale` is percent; None if there is none.
      low, high: 95 % interval of that mean over patients, the trained networks as they are; None if
        there is none.
      seeds: the value of each seed.
      paper: what the paper reports, on the same scale.
      status: `not run` and `failed` have no value, and a note that says why.
      note: a remark.
      scale: as what it is written.
      method_low, method_high: of a difference, the 95 % interval over seeds and patients; None if
        there is none.
      verdict: of a difference, whether the claim that it is above zero holds; "" if nothing is claimed.
    """

    table: str
    name: str
    metric: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: Mapping[int, float] = field(default_factory=dict)
    paper: float | None = None
    status: Status = "measured"
    note: str = ""
    scale: NumberFormat = "percent"
    method_low: float | None = None
    method_high: float | None = None
    verdict: str = ""

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds (n - 1); None for fewer than two."""
        values = list(self.seeds.values())
        return statistics.stdev(values) if len(values) > 1 else None

    @property
    def span(self) -> tuple[float, float] | None:
        """Low and high, where there is an interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def method_span(self) -> tuple[float, float] | None:
        """The interval over seeds and patients, where there is one."""
        if self.method_low is None or self.method_high is None:
            return None
        return self.method_low, self.method_high

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> "Measurement":
        """The inverse of `to_json`; keys that a file lacks have their defaults.

        Raises:
          KeyError, TypeError: no such measurement.
        """
        names = {column.name for column in fields(Measurement)}
        values = {key: value for key, value in content.items() if key in names}
        seeds = {int(seed): value for seed, value in content.get("seeds", {}).items()}
        return Measurement(**(values | {"seeds": seeds}))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "table": self.table,
            "name": self.name,
            "metric": self.metric,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "method_low": self.method_low,
            "method_high": self.method_high,
            "verdict": self.verdict,
            "seed_spread": self.spread,
            "seeds": {str(seed): value for seed, value in self.seeds.items()},
            "paper": self.paper,
            "status": self.status,
            "note": self.note,
            "scale": self.scale,
        }

    def as_text(self) -> str:
        """`93.1 [90.2, 95.4] ± 0.8`, `not run`, or a dash for what is undefined.

        A difference: `**2.1 [0.3, 4.0]** ± 0.8; networks [0.9, 3.1]`, the first interval over seeds
        and patients, bold where it decides.
        """
        if self.status != "measured":
            return self.status
        if self.value is None:
            return "–"
        text = self._number(self.value)
        spread = f" ± {self._number(self.spread)}" if self.spread is not None else ""
        networks = "" if self.span is None else f"[{', '.join(map(self._number, self.span))}]"
        if not self.verdict:
            return f"{text} {networks}".strip() + spread
        if self.method_span is not None:
            text += f" [{', '.join(map(self._number, self.method_span))}]"
        if self.verdict.startswith(DECIDED):
            text = f"**{text}**"
        return text + spread + (f"; networks {networks}" if networks else "")

    def paper_as_text(self) -> str:
        """The paper's number, or a dash."""
        if self.paper is None:
            return "–"
        return f"{100 * self.paper:.2f}" if self.scale == "percent" else f"{self.paper:g}"

    def _number(self, value: float) -> str:
        if self.scale == "percent":
            return f"{round(100 * value, 1) + 0.0:.1f}"  # no minus before a zero
        return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


CSV_COLUMNS = (
    "table",
    "name",
    "metric",
    "value",
    "low",
    "high",
    "method_low",
    "method_high",
    "verdict",
    "seed_spread",
    "paper",
    "status",
    "note",
)


def csv_lines(rows: Iterable[Measurement]) -> list[list[Any]]:
    """A line for each measurement, the header first; empty cells for what there is not."""
    lines: list[list[Any]] = [list(CSV_COLUMNS)]
    for row in rows:
        content = row.to_json()
        lines.append(["" if content[key] is None else content[key] for key in CSV_COLUMNS])
    return lines


def markdown_tables(rows: Sequence[Measurement]) -> str:
    """Each table under its heading: names down, metrics across, the paper's row below its own."""
    sections = []
    for table in dict.fromkeys(row.table for row in rows):
        table_rows = [row for row in rows if row.table == table]
        sections.append(f"## {table}\n\n{pivot(table_rows)}")
    return "\n\n".join(sections)


def pivot(rows: Sequence[Measurement]) -> str:
    """One table: names down, metrics across, the paper's row below its own; notes below the table."""
    metrics = list(dict.fromkeys(row.metric for row in rows))
    cells = {(row.name, row.metric): row for row in rows}
    lines = []
    notes = []
    for name in dict.fromkeys(row.name for row in rows):
        row_cells = [cells.get((name, metric)) for metric in metrics]
        lines.append([name, *("" if cell is None else cell.as_text() for cell in row_cells)])
        if any(cell is not None and cell.paper is not None for cell in row_cells):
            printed = ["–" if cell is None else cell.paper_as_text() for cell in row_cells]
            lines.append(["*in the paper*", *printed])
        row_notes = dict.fromkeys(cell.note for cell in row_cells if cell is not None and cell.note)
        notes += [f"- {name}: {'; '.join(row_notes)}."] if row_notes else []
    return "\n\n".join(
        [markdown_table(["", *metrics], lines), *(["\n".join(notes)] if notes else [])]
    )
