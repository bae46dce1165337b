"""`mgajax report --data DIR`: what a curated or built set holds, as a card, tables and figures.

Above all rooms that it draws from: `curation` counts, `data` prepares the slices of Figure 3, and
`reporting` draws.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mgajax import paper
from mgajax.curation import paper_counts
from mgajax.curation.names import canonical_name
from mgajax.curation.statistics import (
    Figure4,
    SliceFacts,
    SourceRow,
    figure4,
    read_split,
    table1,
    table2,
    total_row,
)
from mgajax.data.preparation import Preparation, prepare
from mgajax.errors import ConfigError, DataError
from mgajax.files import write_csv, write_text
from mgajax.imaging.pictures import decode_picture
from mgajax.reporting.dataset_contents import Contents, read_contents
from mgajax.reporting.figures.dataset_figures import (
    preparation_panel,
    statistics_figure,
)
from mgajax.reporting.html.blocks import Figure, Section, Table
from mgajax.reporting.html.markdown import as_markdown
from mgajax.reporting.html.page import html_page
from mgajax.schema import CLASS_NAMES, COVID, SOURCES

WORDING = {"published": "as the tables print them", "trusted": "without those that are invented"}


@dataclass(frozen=True)
class DatasetReport:
    """The files that were written, and the counts of slices and patients."""

    files: tuple[Path, ...]
    slices: int
    patients: int


def report_dataset(folder: Path, *, out: Path, split: Path | None = None) -> DatasetReport:
    """Describe the set in `folder`: Table 1, Table 2, Figures 3 and 4, and a card.

    Written to `out`: `card.html`, `card.md`, `table1.csv`, `table2.csv` (with a split),
    `figure4.png`, `figure4_trusted.png` (where some ages are invented), `figure3.png` (where the
    pictures are there) and `statistics.json`.

    Args:
      folder: of a rebuilt or a downloaded set, or of a built data set.
      out: folder to write to.
      split: a CSV of who is in which split, by slice (a run's `split.csv`) or by patient; None: the
        builder's, if the set is built.

    Raises:
      ConfigError: no such folder.
      DataError: it is no such set, a table is damaged, or the split names none of its slices.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"--data {folder}: no such folder; give the folder of a curated or built set"
        )
    contents = read_contents(folder)
    facts = contents.facts
    rows = [*table1(facts), total_row(facts)]
    splits = _splits(contents, split=split)
    out.mkdir(parents=True, exist_ok=True)
    published, trusted = (figure4(facts, demographics=kind) for kind in ("published", "trusted"))
    figures = _figures(facts, published, trusted, out=out)
    panel = _figure3(contents, path=out / "figure3.png")
    sections = [
        Section("Sources (Table 1)", (_table1(rows), *_table1_notes(contents, rows))),
        *([Section("Splits (Table 2)", _table2(splits))] if splits else []),
        *([Section("Slices (Figure 3)", (panel,))] if panel else []),
        Section(
            "People and findings (Figure 4)", (*figures, *_figure4_notes(facts, published, trusted))
        ),
        Section("Lesion masks", (_masks(facts, rows),)),
    ]
    title = f"{len(facts):,} CT slices of {len({fact.patient for fact in facts}):,} people"
    write_text(as_markdown(title, sections), out / "card.md")
    write_text(html_page(title, sections), out / "card.html")
    _write_csv(out / "table1.csv", _table1(rows))
    if splits:
        _write_csv(out / "table2.csv", _split_table(splits))
    summary = _summary(contents, rows, splits, published=published, trusted=trusted)
    write_text(json.dumps(summary, indent=1), out / "statistics.json")
    return DatasetReport(
        files=tuple(sorted(path for path in out.iterdir() if path.is_file())),
        slices=len(facts),
        patients=len({fact.patient for fact in facts}),
    )


def _splits(contents: Contents, *, split: Path | None) -> dict[str, dict[str, int]]:
    facts = contents.facts
    if split is None:
        return table2(facts, split_of=contents.split_of) if contents.split_of else {}
    counts = table2(facts, split_of=read_split(split))
    if sum(counts.get("unused", {}).values()) == len(facts):
        raise DataError(f"{split}: names none of the {len(facts):,} slices; give this set's split")
    return counts


def _table1(rows: Sequence[SourceRow]) -> Table:
    """One row a source and one for all; numbers of slices and of cases by class."""
    names = [f"{name} {unit}" for name in CLASS_NAMES for unit in ("slices", "cases")]
    header = ("source", "countries", *names, "masks", "age known", "sex known", "stored as")
    lines = []
    for row in rows:
        pairs = zip(row.slices, row.cases, strict=True)
        counts = [f"{count:,}" if count else "–" for pair in pairs for count in pair]
        shares = [
            f"{number / row.total:.0%}" if number else "–" for number in _count_known_people(row)
        ]
        countries = ", ".join(row.countries) if len(row.countries) < 4 else f"{len(row.countries)}"
        masks = f"{row.masked:,}" if row.masked else "–"
        lines.append((row.source, countries or "–", *counts, masks, *shares, row.stored_as))
    return _table(header, lines)


def _table(heads: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> Table:
    """A table whose columns after the first are numbers as text."""
    return Table(heads, tuple(lines), right=frozenset(range(1, len(heads))))


def _count_known_people(row: SourceRow) -> tuple[int, int]:
    return row.age_known, row.gender_known


def _table1_notes(contents: Contents, rows: Sequence[SourceRow]) -> list[str]:
    facts = contents.facts
    cases, people = sum(rows[-1].cases), len({fact.patient for fact in facts})
    notes = [
        "Cases are people, double identities merged: a built set does not keep the archives' own ids."
        if contents.is_built
        else f"Cases are patient ids as each archive gives them, {cases:,} in all; {people:,} people "
        "are left when double identities are merged. Ages and sexes that the published tables invent "
        "(MosMedData) or borrow from another scan do not count as known."
    ]
    differences = _differences(contents)
    if differences is None:
        return notes
    if not differences:
        return [*notes, f"All {'slices' if contents.is_built else 'counts'} are the paper's."]
    exceptions = "; ".join(
        f"{difference.source} {difference.class_name} {difference.quantity} {difference.counted:,} here, {difference.paper:,} in the paper"
        + (f" ({difference.reason})" if difference.reason else "")
        for difference in differences
    )
    return [*notes, f"All other counts are the paper's, but: {exceptions}."]


def _differences(contents: Contents) -> list[paper_counts.CountDifference] | None:
    """Differences from the paper's Table 1, of slices alone where cases are unknown; None for another set."""
    if not paper_counts.is_whole_set(contents.facts):
        return None
    differences = paper_counts.find_differences(contents.facts)
    return [
        difference
        for difference in differences
        if not contents.is_built or difference.quantity == "slices"
    ]


def _split_table(splits: Mapping[str, Mapping[str, int]]) -> Table:
    names = [CLASS_NAMES[code] for code in (COVID, 0, 2)]
    lines = [
        (split, *(f"{counts[name]:,}" for name in names), f"{sum(counts.values()):,}")
        for split, counts in splits.items()
    ]
    return _table(("split", *names, "total"), lines)


def _table2(splits: Mapping[str, Mapping[str, int]]) -> tuple[Table | str, ...]:
    fits = paper_counts.fits_table2(splits)
    return (
        (_split_table(splits), "Every count is the paper's Table 2.")
        if fits
        else (_split_table(splits),)
    )


def _figures(
    facts: Sequence[SliceFacts], published: Figure4, trusted: Figure4, *, out: Path
) -> list[Figure]:
    """Figure 4, and once more without invented ages and sexes where there are any."""
    kinds = {"published": (published, "figure4.png")}
    if _has_invented(facts):
        kinds["trusted"] = (trusted, "figure4_trusted.png")
    pictures = []
    for kind, (data, name) in kinds.items():
        note = f"; ages and sexes {WORDING[kind]}" if len(kinds) > 1 else ""
        path = statistics_figure(
            countries=data.countries,
            genders=data.genders,
            ages=data.ages,
            findings=data.findings.counts,
            reports=data.findings.reports,
            path=out / name,
            note=note,
        )
        pictures.append(_picture(path, f"Countries, sex, age and CT findings by slices{note}"))
    return pictures


def _has_invented(facts: Sequence[SliceFacts]) -> bool:
    return any(not fact.is_trusted and (fact.gender or fact.age >= 0) for fact in facts)


def _figure4_notes(
    facts: Sequence[SliceFacts], published: Figure4, trusted: Figure4
) -> tuple[str, ...]:
    findings, countries = published.findings, sum(map(bool, published.countries))
    missing = sum(counts[""] for counts in published.genders.values())
    sexes, ages = _sexes(published), _medians(published.median_ages())
    if _has_invented(facts):
        sexes += f"; without invented ones {_sexes(trusted)}"
        ages += f"; without invented ones {_medians(trusted.median_ages())}"
    reports = (
        f"{findings.reports:,} slices of COVID-19 have a report or caption, and "
        f"{findings.naming:,} of these name at least one of the findings looked for; the paper "
        f"speaks of {paper.REPORTS} and does not say how it counted."
    )
    return (
        f"Countries: {countries or 'unknown'} (paper: {paper.COUNTRIES}). Sex is missing "
        f"in {missing / len(facts):.0%} of the slices as the tables print it (paper: "
        f"{paper.MISSING_SEX:.0%}). Male and female slices: {sexes}.",
        f"Median ages over slices: {ages} (paper: {_medians(paper.MEDIAN_AGES)}).",
        *([reports] if findings.reports else []),
    )


def _sexes(data: Figure4) -> str:
    return ", ".join(
        f"{name} {counts['M']:,} and {counts['F']:,}"
        for name, counts in data.genders.items()
        if sum(counts.values())
    )


def _medians(ages: Mapping[str, float | None]) -> str:
    medians = [f"{name} {age:g}" for name, age in ages.items() if age is not None]
    return ", ".join(medians) or "unknown"


def _masks(facts: Sequence[SliceFacts], rows: Sequence[SourceRow]) -> Table | str:
    if not rows[-1].masked:
        return f"No masks lie beside these tables. The paper has {paper.MASKS:,}."
    covid = Counter(fact.source for fact in facts if fact.label == COVID and fact.has_mask)
    covid[rows[-1].source] = covid.total()
    lines = [
        (
            row.source,
            f"{row.masked:,}",
            f"{row.slices[COVID]:,}",
            f"{covid[row.source] / row.slices[COVID]:.0%}",
        )
        for row in rows
        if row.slices[COVID]
    ]
    header = ("source", "annotated masks", "COVID-19 slices", "of them with a mask")
    return _table(header, lines)


def _figure3(contents: Contents, *, path: Path) -> Figure | None:
    """One slice of each source before and after preparation: of COVID-19 where there is one, from
    the middle of its names on the first that opens.
    """
    locations = contents.locations
    facts_with_picture = [
        fact for fact in contents.facts if canonical_name(fact.file_name) in locations
    ]
    before, after, sources, classes = [], [], [], []
    for source in SOURCES:
        candidates = [fact for fact in facts_with_picture if fact.source == source]
        candidates = [fact for fact in candidates if fact.label == COVID] or candidates
        for fact in sorted(candidates, key=lambda fact: fact.file_name)[len(candidates) // 2 :]:
            name = canonical_name(fact.file_name)
            try:
                pixels = decode_picture(contents.picture(name), name=locations[name]).pixels
            except DataError:
                continue
            prepared = prepare(pixels, np.zeros_like(pixels), settings=Preparation())
            before.append(pixels)
            after.append(prepared.image)
            sources.append(source)
            classes.append(CLASS_NAMES[fact.label])
            break
    if not before:
        return None
    preparation_panel(before, after, titles=sources, classes=classes, path=path)
    return _picture(path, "A slice of each source as published and as a model sees it")


def _picture(path: Path, text: str) -> Figure:
    return Figure((path,), alt=text, caption=text)


def _write_csv(path: Path, table: Table) -> None:
    """A table's cells without separators of thousands, dashes as empty."""
    rows = (["" if cell == "–" else _plain(str(cell)) for cell in row] for row in table.rows)
    write_csv([table.heads, *rows], path)


def _plain(cell: str) -> str:
    bare = cell.replace(",", "")
    return bare if bare.isdigit() else cell


def _summary(
    contents: Contents,
    rows: Sequence[SourceRow],
    splits: Mapping[str, Mapping[str, int]],
    *,
    published: Figure4,
    trusted: Figure4,
) -> dict[str, Any]:
    """All numbers of the card as plain JSON types."""
    facts, differences = contents.facts, _differences(contents)
    people = {
        kind: {
            "genders": {n: {k or "unknown": v for k, v in g.items()} for n, g in d.genders.items()},
            "median_ages": d.median_ages(),
            "ages_known": {name: len(values) for name, values in d.ages.items()},
        }
        for kind, d in (("published", published), ("trusted", trusted))
    }
    return {
        "slices": len(facts),
        "people": len({fact.patient for fact in facts}),
        "classes": list(CLASS_NAMES),
        "table1": [asdict(row) for row in rows],
        "table2": {split: dict(counts) for split, counts in splits.items()},
        "countries": {name or "unknown": n for name, n in published.countries.items()},
        "demographics": people,
        "findings": asdict(published.findings),
        "differences_from_paper": (
            None if differences is None else [asdict(difference) for difference in differences]
        ),
    }
