"""Pages of experiments, tunings and explanations of several runs."""

import csv
from pathlib import Path
from typing import Any

from mgajax.errors import DataError
from mgajax.reporting.html.blocks import (
    Block,
    Cell,
    Code,
    Details,
    Facts,
    Figure,
    Link,
    Missing,
    Section,
    Table,
)
from mgajax.reporting.html.explanation_page import PICTURES, explanation_tables
from mgajax.reporting.html.markdown import from_markdown
from mgajax.reporting.html.page import FIGURES, TABLES, Page
from mgajax.reporting.result_folders import FolderKind, ResultFolder, read_json
from mgajax.reporting.tables.number import Number

FACTS = {
    "title": "What",
    "command": "Command",
    "source": "In the paper",
    "budget": "Budget",
    "plan": "Plan",
    "data": "Data",
}
"""Keys of an experiment's results that its page shows, and their headings."""

MANY_ROWS = 12
"""A table of so many rows or more is folded."""


def write_experiment(page: Page, folder: ResultFolder) -> Path:
    """Facts, the experiment's texts, every figure and every CSV of the folder."""
    results: dict[str, Any] = {}
    try:
        results = read_json(folder.path / FolderKind.EXPERIMENT) or {}
        introduction: list[Block] = [Facts(_facts(results)), *_failures(results)]
    except DataError as error:
        introduction = [Missing(str(error), "the same `mgajax experiment` again")]
    texts = sorted(folder.path.glob("*.md"))
    tables = sorted(folder.path.glob("*.csv"))
    figures = _figures(page, folder.path)
    sections = [Section("", tuple(introduction))]
    if texts:
        words = (path.read_text(encoding="utf-8") for path in texts)
        blocks = (block for text in words for block in from_markdown(text, folder=page.folder))
        sections.append(Section("Results", tuple(blocks)))
    if figures:
        sections.append(Section("Figures", tuple(figures)))
    if tables:
        sections.append(Section("Tables", tuple(map(_csv_block, tables))))
    return page.write([*sections, *_versions(results)])


def write_tuning(page: Page, folder: ResultFolder) -> Path:
    """The search, its best trial, its trace and its trials."""
    try:
        content = read_json(folder.path / FolderKind.TUNING) or {}
        introduction: list[Block] = [Facts(_search(content))]
    except DataError as error:
        introduction = [Missing(str(error), "the same `mgajax tune` again")]
    blocks = [
        *introduction,
        *_figures(page, folder.path),
        *map(_csv_block, sorted(folder.path.glob("*.csv"))),
    ]
    return page.write([Section("", tuple(blocks))])


def write_explanation(page: Page, folder: ResultFolder) -> Path:
    """The gallery of explanations of one or more runs."""
    return page.write([Section("", tuple(explanation_blocks(page, folder.path)))])


def explanation_blocks(page: Page, folder: Path) -> list[Block]:
    """The gallery of one folder of `mgajax explain`."""
    name = folder.name
    try:
        summary = read_json(folder / "summary.json")
    except DataError as error:
        return [Missing(str(error), "mgajax explain --out " + str(folder))]
    blocks: list[Block] = []
    if summary is not None:
        text = f"{summary['slices']:,} slices, baseline: {summary['baseline']}."
        blocks += [text, *explanation_tables(summary, name=name)]
    blocks += [
        page.take(folder / f"{stem}.png", name=f"{name}_{stem}.png", alt=text, caption=text)
        for stem, text in PICTURES.items()
        if (folder / f"{stem}.png").is_file()
    ]
    scores = page.copy(folder / FolderKind.EXPLANATION, folder=TABLES, name=f"{name}_slices.csv")
    return [*blocks, Facts({"Scores of each slice": Link(scores.name, f"{TABLES}/{scores.name}")})]


def folder_title(folder: ResultFolder) -> str:
    """What a folder holds, for a line of a table."""
    if folder.kind != FolderKind.EXPERIMENT:
        return {
            FolderKind.TUNING: "a search of settings",
            FolderKind.EXPLANATION: "attribution maps",
        }[folder.kind]
    try:
        results = read_json(folder.path / FolderKind.EXPERIMENT) or {}
    except DataError:
        return "damaged results"
    source = f" ({results['source']})" if results.get("source") else ""
    return f"{results.get('title', '')}{source}"


def _facts(results: dict[str, Any]) -> dict[str, Cell]:
    facts: dict[str, Cell] = {
        head: Code(str(results[key])) if key == "command" else _as_text(results[key])
        for key, head in FACTS.items()
        if results.get(key)
    }
    if results.get("seeds"):
        facts["Seeds"] = ", ".join(map(str, results["seeds"]))
    if results.get("runs"):
        facts["Runs"] = f"{len(results['runs'])}, of which {results.get('failed', 0)} failed"
    return facts


def _versions(results: dict[str, Any]) -> list[Section]:
    versions = results.get("provenance")
    facts = Facts({name: str(version) for name, version in (versions or {}).items()})
    return [Section("Where it is from", (Details("Versions", (facts,)),))] if versions else []


def _as_text(value: Any) -> str:
    """A value as text; the options of drawn slices as `drawn: patients 240, size 128`."""
    if isinstance(value, dict):
        return "drawn: " + ", ".join(f"{key} {option}" for key, option in value.items())
    return str(value)


def _failures(results: dict[str, Any]) -> list[Block]:
    return [
        Missing(f"{run.get('arm')}, seed {run.get('seed')}: failed ({run.get('reason')})")
        for run in results.get("runs") or []
        if run.get("status") == "failed"
    ]


def _search(content: dict[str, Any]) -> dict[str, Cell]:
    counts, best = content.get("counts") or {}, content.get("best")
    return {
        "Objective": str(content.get("objective", "unknown")),
        "Trials": ", ".join(f"{count} {status}" for status, count in counts.items()) or "none",
        "As it stands": _value(content.get("default")),
        "Best": f"{_value(best['value'])} (trial {best['number']})" if best else "none yet",
        "Command": Code(str(content.get("command") or "–")),
        "Space": "; ".join(
            f"{key} {low:g} … {high:g} ({scale})"
            for key, (low, high, scale) in (content.get("space") or {}).items()
        ),
    }


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _figures(page: Page, folder: Path) -> list[Figure]:
    """Every PNG of a folder, with its SVG where there is one."""
    pictures = []
    for png in sorted(folder.glob("*.png")):
        name = png.stem.replace("_", " ")
        files = [file for file in (png.with_suffix(".svg"), png) if file.is_file()]
        copies = tuple(page.copy(file, folder=FIGURES) for file in files)
        pictures.append(Figure(copies, alt=f"Figure: {name}", caption=name))
    return pictures


def _csv_block(path: Path) -> Block:
    """A CSV as a table."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            heads, *rows = list(csv.reader(file)) or [[]]
    except (OSError, ValueError, csv.Error) as error:
        return Missing(f"{path}: cannot be read ({error})")
    complete_rows = [row for row in rows if len(row) == len(heads)]
    cells = tuple(tuple(_number_or_text(text) for text in row) for row in complete_rows)
    caption = f"{path.name}, rows: {len(complete_rows):,}"
    table = Table(tuple(heads), cells, caption=caption, name=path.stem)
    return table if len(complete_rows) < MANY_ROWS else Details(table.caption, (table,))


def _number_or_text(text: str) -> Cell:
    try:
        value = float(text)
    except ValueError:
        return text
    return Number(value, digits=0 if value.is_integer() else 4)


def link_to(folder: ResultFolder) -> Link:
    """The link from the front page to a folder's page."""
    return Link(folder.name, f"{folder.slug}/index.html")
