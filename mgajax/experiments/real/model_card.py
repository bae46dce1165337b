"""`model_card.md`: the networks of `mgajax experiment real`, their training data, results and limits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mgajax.errors import quantity
from mgajax.experiments.calibration import METRICS as CALIBRATION
from mgajax.experiments.real import attributions, classifiers, costs, segmenters
from mgajax.experiments.real.arms import Start
from mgajax.experiments.results_page import READING
from mgajax.experiments.study import BINARY
from mgajax.paper import SEGMENTER_METRICS
from mgajax.reporting.tables.limits import LIMITS, NOTICE
from mgajax.reporting.tables.markdown import markdown_table
from mgajax.reporting.tables.measurements import Measurement, pivot

CARD_FILE = "model_card.md"

FIRST_RESULTS = (
    segmenters.LESIONS,
    segmenters.BY_SOURCE,
    classifiers.SLICES,
    classifiers.PEOPLE,
    classifiers.BY_SOURCE,
    classifiers.OUTSIDE,
)

ROLES = {
    "drawn": "pretraining: drawn slices",
    "lesions": "step 1: annotated slices",
    "slices": "step 2: slices of the classes",
}
"""The use of each set in training, by the set's name in the results."""

DICE, AUC, ACCURACY = SEGMENTER_METRICS["dice"], BINARY[classifiers.AUC], "Accuracy"
ECE = CALIBRATION["calibration.ece.covid_vs_rest"]
CHANCE = 0.5

RowsByTable = Mapping[str, Sequence[Measurement]]
"""The rows with a value, by table."""


def card_page(content: Mapping[str, Any]) -> str:
    """The Markdown of the card, made from the content of `results.json` alone.

    Args:
      content: of `results.json`; of its keys `title`, `command`, `design`, `sets`, `rows`, `notes`.

    Raises:
      KeyError, TypeError: a key is missing, or the content is no experiment's.
    """
    rows = [Measurement.from_json(row) for row in content["rows"]]
    tables: dict[str, list[Measurement]] = {}
    for row in rows:
        tables.setdefault(row.table, []).append(row)
    results = [
        f"### {table}\n\n{pivot(tables[table])}" for table in FIRST_RESULTS if table in tables
    ]
    failures = [f"- {line}" for line in _failures(tables)]
    sections = {
        "What the networks are": [
            *_networks(content["design"]),
            *_costs(tables),
            _recipes(content["design"]["recipes"]),
        ],
        "What they learned from": [
            _sets(content["sets"]),
            "People and slices that take part in no fold are not counted.",
        ],
        "Who was judged, and how": content["notes"],
        "First results": [READING, *results] if results else ["Nothing was measured."],
        "Known failures": ["\n".join(failures)] if failures else ["None was measured."],
        "What they must not be used for": ["\n".join(f"- {line}" for line in LIMITS)],
    }
    parts = [f"# Model card: {content['title']}", NOTICE, f"    {content['command']}"]
    for heading, blocks in sections.items():
        parts += [f"## {heading}", *blocks]
    return "\n\n".join(parts)


def _networks(design: Mapping[str, Any]) -> Iterator[str]:
    """What a row of the results means, and how the networks were initialised."""
    folds, seeds, guide = design["folds"], design["seeds"], design["guide"]
    tasks = ["Segmenters outline lung lesions on single axial slices of chest CT."] if guide else []
    if design["classes"]:
        tasks.append(f"Classifiers tell {' and '.join(design['classes'])} apart on such slices.")
    yield (
        f"{' '.join(tasks)} A row stands for {folds * seeds} trained networks, "
        f"one for each of {folds} folds of people and each of {quantity(seeds, 'seed')}: it says how well such a "
        "network does on people whom it never saw, and not how well one file of weights does."
    )
    if design["stands_in"]:
        yield "Drawn slices stand in for real ones here: nothing below is about people."
    drawn = design["drawn"]
    if drawn["steps"]:
        steps = " or ".join(f"{number:,}" for number in drawn["steps"])
        yield (
            f"“{Start.DRAWN}” began with weights that had learned on {drawn['slices']:,} drawn slices of "
            f"{drawn['people']:,} people who do not exist, for {steps} steps; “{Start.RANDOM}” with none."
        )
    preparation = ", ".join(f"{key} {value}" for key, value in design["preparation"].items())
    about = (
        f"A slice is prepared (version {design['preparation_version']}: {preparation}) and becomes as many "
        "pixels as the table says."
    )
    if design["classes"]:
        about += " Masks that guide classifiers are annotated"
        about += (
            f" where there are any, and else predicted by {guide} of the same fold and seed."
            if guide
            else "."
        )
    yield about


def _costs(tables: RowsByTable) -> list[str]:
    return [pivot(tables[costs.TABLE])] if costs.TABLE in tables else []


def _recipes(recipes: Mapping[str, Mapping[str, str]]) -> str:
    """A line for each network."""
    heads = ["", *next(iter(recipes.values()))]
    return markdown_table(heads, [[name, *recipe.values()] for name, recipe in recipes.items()])


def _sets(sets: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each set and source: slices, people, annotated masks, slices of each class."""
    heads: list[str] = []
    lines = []
    for name, sources in sets.items():
        for source, counts in sources.items():
            heads = heads or ["learned from", "source", *counts]
            lines.append([ROLES[name], source, *(f"{number:,}" for number in counts.values())])
    return markdown_table(heads, lines) if lines else "Nothing."


def _failures(tables: RowsByTable) -> Iterator[str]:
    """Sentences on failures, the worst source first, each from measured rows."""
    yield from _worst_sources(tables)
    for row in _of(tables, segmenters.HEALTHY, segmenters.MARKED["healthy.marked"]):
        yield f"{row.name}: marks a lesion on {row.as_text()} % of the slices without one."
    yield from _source_alone(tables)
    yield from _outside(tables)
    yield from _calibration(tables)
    annotated = attributions.TABLE.format("annotated")
    for row in _of(tables, annotated, attributions.ATTRIBUTION["attention.rank_auc"]):
        if row.low is None or row.low <= CHANCE:
            yield (
                f"{row.name}: its evidence does not tell annotated lesions from other pixels "
                f"(ROC AUC {row.as_text()}; 50 is chance)."
            )


def _of(tables: RowsByTable, table: str, metric: str) -> list[Measurement]:
    """The rows of one column with a value."""
    rows = tables.get(table, ())
    return [row for row in rows if row.metric == metric and row.value is not None]


def _worst_sources(tables: RowsByTable) -> Iterator[str]:
    by_name: dict[str, list[Measurement]] = {}
    for row in tables.get(segmenters.BY_SOURCE, ()):
        if row.value is not None:
            by_name.setdefault(row.name, []).append(row)
    for name, rows in by_name.items():
        worst, best = min(rows, key=_value), max(rows, key=_value)
        yield (
            f"{name}: pooled {DICE} {worst.as_text()} on its worst source, {worst.metric}, and "
            f"{best.as_text()} on its best, {best.metric}."
        )


def _value(row: Measurement) -> float:
    assert row.value is not None, "only rows with a value are compared"
    return row.value


def _source_alone(tables: RowsByTable) -> Iterator[str]:
    every = _of(tables, classifiers.SLICES, AUC)
    alone = [row for row in every if row.name == classifiers.ALONE]
    networks = [row for row in every if row.name != classifiers.ALONE]
    for row in alone:
        above = sum(_value(network) > _value(row) for network in networks)
        yield (
            f"Whoever knows of a slice only its source has a ROC AUC of {row.as_text()}; {above} of "
            f"{len(networks)} networks have a higher one."
        )
    for row in _of(tables, classifiers.AHEAD, AUC):
        if row.name.endswith(classifiers.ALONE):
            yield f"{row.name}: ROC AUC {row.as_text()} ({row.verdict})."


def _outside(tables: RowsByTable) -> Iterator[str]:
    inside = {row.name: row for row in _of(tables, classifiers.SLICES, AUC)}
    accuracy = {row.name: row for row in _of(tables, classifiers.OUTSIDE, ACCURACY)}
    for row in _of(tables, classifiers.OUTSIDE, AUC):
        if row.name in inside and row.name in accuracy:
            yield (
                f"{row.name}: ROC AUC {inside[row.name].as_text()} on unseen people of its own sources, "
                f"{row.as_text()} on the outside set (accuracy there {accuracy[row.name].as_text()})."
            )


def _calibration(tables: RowsByTable) -> Iterator[str]:
    """The calibration error before and after temperature scaling."""
    rows = {row.name: row for row in _of(tables, classifiers.PROBABILITIES, ECE)}
    for name, before in rows.items():
        arm, _, when = name.rpartition(", ")
        after = rows.get(f"{arm}, after")
        if when == "before" and after is not None:
            yield (
                f"{arm}: {ECE} {before.as_text()} as it is, {after.as_text()} after a temperature "
                "fitted on validation people."
            )
