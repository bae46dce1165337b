"""What can lie behind the paper's printed numbers: counts that give them, and readings of our runs.

Counts of slices are whole numbers, so only few percentages are possible. Either some counts give all
four numbers of a row, or the assumed reading of the row is wrong.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from mgajax import paper, schema
from mgajax.evaluation.predictions import Predictions
from mgajax.evaluation.replicates import binary_scores, confusion_scores
from mgajax.experiments.classifiers import MODELS
from mgajax.experiments.compare import predictions_of
from mgajax.experiments.study import Study, StudyInput, StudyResults
from mgajax.reporting.tables.measurements import Measurement

ROUNDED, TRUNCATED = 0.00505, 0.01
"""How far a percentage may be from its two printed decimals, either way or upwards."""

Counts: TypeAlias = tuple[int, int, int, int]
"""TP, FP, FN, TN."""

Size: TypeAlias = tuple[int, int]
"""Number of all slices, and of those of the positive class."""


def fitting_counts(
    printed: Mapping[str, float], *, slices: int, positives: Iterable[int]
) -> list[Counts]:
    """All (TP, FP, FN, TN) that give the four printed percentages, rounded or cut off.

    Args:
      printed: percent: "accuracy", "f1", "recall", "precision".
      slices: how many the test set has.
      positives: the possible numbers of slices of the positive class.
    """
    return [
        (tp, fp, fn, slices - tp - fp - fn)
        for tp, fp, fn in _without_negatives(printed, positives=positives)
        if tp + fp + fn <= slices and _prints(1 - (fp + fn) / slices, printed["accuracy"])
    ]


def fitting_sizes(printed: Mapping[str, float], *, most: int) -> set[Size]:
    """All sizes of a test set, up to `most` slices, for which some counts give the percentages."""
    sizes = set()
    for tp, fp, fn in _without_negatives(printed, positives=range(1, most + 1)):
        low, high = _bounds(printed["accuracy"])
        fewest = max(tp + fp + fn, math.floor((fp + fn) / (1 - low)))
        last = most if high >= 1 else min(most, math.ceil((fp + fn) / (1 - high)))
        sizes |= {
            (slices, tp + fn)
            for slices in range(max(fewest, 1), last + 1)
            if _prints(1 - (fp + fn) / slices, printed["accuracy"])
        }
    return sizes


def _without_negatives(
    printed: Mapping[str, float], *, positives: Iterable[int]
) -> Iterator[tuple[int, int, int]]:
    """All (TP, FP, FN) that give recall, precision and F1; none of these depends on true negatives."""
    least, most = _bounds(printed["precision"])
    low, high = _bounds(printed["recall"])
    for count in positives:
        for tp in range(max(1, math.ceil(low * count)), math.floor(high * count) + 1):
            fn = count - tp
            for fp in range(math.floor(tp / most) - tp, math.ceil(tp / least) - tp + 1):
                values = {
                    "recall": tp / count,
                    "precision": tp / (tp + fp),
                    "f1": 2 * tp / (2 * tp + fp + fn),
                }
                if all(_prints(value, printed[name]) for name, value in values.items()):
                    yield tp, fp, fn


def _bounds(printed: float) -> tuple[float, float]:
    """The lowest and highest share that is printed as this percentage, rounded or cut off; at most 1."""
    return (printed - ROUNDED) / 100, min((printed + TRUNCATED) / 100, 1.0)


def _prints(share: float, printed: float) -> bool:
    return -ROUNDED <= 100 * share - printed < TRUNCATED


COLUMNS = ("accuracy", "f1", "recall", "precision")
HEADINGS = {name: paper.CLASSIFIER_METRICS[name] for name in COLUMNS}

NEAR = 0.0101
"""The same for Table 3, where some numbers are rounded, some cut off, and one has a digit too few."""

TEST = paper.TABLE2["test"]
SLICES = sum(TEST.values())
FULL = SLICES // paper.BATCH * paper.BATCH

POPULATIONS: Mapping[str, tuple[int, Sequence[int]]] = {
    "every slice": (SLICES, (TEST["COVID-19"],)),
    f"full batches of {paper.BATCH}": (
        FULL,
        range(TEST["COVID-19"] - SLICES + FULL, TEST["COVID-19"] + 1),
    ),
    "every slice, Normal positive": (SLICES, (TEST["Normal"],)),
    "every slice, CAP positive": (SLICES, (TEST["CAP"],)),
}
"""Possible test sets of a row: number of slices, and possible numbers of positive ones."""

PROPOSED = "mga_resnet18"


def _printed_rows() -> list[Measurement]:
    measured = []
    for name, printed in _paper_rows().items():
        for reading, (slices, positives) in POPULATIONS.items():
            counts = fitting_counts(printed, slices=slices, positives=positives)
            text = "; ".join(
                "TP {}, FP {}, FN {}, TN {}".format(*confusion) for confusion in counts[:1]
            )
            measured.append(
                Measurement(
                    "Counts that give a printed row",
                    name,
                    reading,
                    value=float(len(counts)),
                    note=f"{reading}: {text}" if text else "",
                    scale="number",
                )
            )
    return measured


def _size_rows() -> list[Measurement]:
    """Sizes of a test set, up to that of Table 2, that several rows can share."""
    sizes = {name: fitting_sizes(printed, most=SLICES) for name, printed in _paper_rows().items()}
    baselines = {MODELS[arm] for arm in paper.TABLE4 if arm != PROPOSED}
    groups = {
        "the four baselines": baselines,
        "the guided models (Tables 4 and 5)": sizes.keys() - baselines,
        "all rows": sizes.keys(),
    }
    rows = []
    for name, members in groups.items():
        common = sorted(set.intersection(*(sizes[member] for member in members)))
        text = "; ".join(
            f"{slices:,} slices, {positives} of COVID-19" for slices, positives in common
        )
        rows.append(
            Measurement(
                f"Test sets of at most {SLICES:,} slices that give rows",
                name,
                "Test sets",
                value=float(len(common)),
                note=text,
                scale="number",
            )
        )
    return rows


def _paper_rows() -> dict[str, dict[str, float]]:
    """Every row of Tables 4 and 5 in percent, by `COLUMNS`."""
    rows = {MODELS[arm]: row for arm, row in paper.TABLE4.items()}
    rows |= {f"Table 5, {stage}": row for stage, row in paper.TABLE5.items()}
    return {name: {column: row[column] for column in COLUMNS} for name, row in rows.items()}


def _table3_rows() -> list[Measurement]:
    """Values of FP / TP and FN / TP with two decimals that give a printed row of Table 3.

    The code that the paper used prints these two ratios, and has them exchanged.
    """
    measured = []
    for name, row in paper.TABLE3.items():
        ratios = np.round(np.arange(0.0, 2.0, 0.01), 2)
        a, b = ratios[:, None], ratios[None, :]
        values = {"precision": 1 / (1 + a), "recall": 1 / (1 + b), "iou": 1 / (1 + a + b)}
        off = [np.abs(100 * value - row[name]) for name, value in values.items()]
        places = np.argwhere((off[0] < NEAR) & (off[1] < NEAR) & (off[2] < NEAR))
        for heading, axis in (("FP / TP", 0), ("FN / TP", 1)):
            value = float(ratios[places[0, axis]]) if len(places) else None
            table = "Two-decimal ratios that give a row of Table 3"
            measured.append(Measurement(table, name, heading, value=value, scale="number"))
    return measured


def _as_is(predictions: Predictions) -> dict[str, float]:
    return _binary(predictions, np.arange(len(predictions)))


def _full_batches(predictions: Predictions) -> dict[str, float]:
    return _binary(predictions, np.arange(len(predictions) // paper.BATCH * paper.BATCH))


def _shuffled_batches(predictions: Predictions) -> dict[str, float]:
    order = np.random.default_rng(0).permutation(len(predictions))
    return _binary(predictions, order[: len(predictions) // paper.BATCH * paper.BATCH])


def _exchange_scores(predictions: Predictions) -> dict[str, float]:
    scores = _as_is(predictions)
    return scores | {"recall": scores["precision"], "precision": scores["recall"]}


def _normal_positive(predictions: Predictions) -> dict[str, float]:
    return _binary(
        predictions, np.arange(len(predictions)), positive=schema.CLASS_NAMES.index("Normal")
    )


def _macro(predictions: Predictions) -> dict[str, float]:
    confusion = _confusion(predictions, np.arange(len(predictions)))
    scores = confusion_scores(confusion, class_names=predictions.class_names)
    values = {column: scores[f"macro_{column}"] for column in COLUMNS[1:]}
    return {name: float(v[0]) for name, v in ({"accuracy": scores["accuracy"]} | values).items()}


READINGS: Mapping[str, Callable[[Predictions], dict[str, float]]] = {
    "COVID-19 against the rest, every slice": _as_is,
    "last incomplete batch dropped": _full_batches,
    "last incomplete batch dropped, shuffled": _shuffled_batches,
    "precision and recall exchanged": _exchange_scores,
    "Normal as the positive class": _normal_positive,
    "three classes, macro averages": _macro,
}


def _binary(
    predictions: Predictions, rows: np.ndarray, *, positive: int = schema.COVID
) -> dict[str, float]:
    scores = binary_scores(_confusion(predictions, rows), positive=positive)
    return {column: float(scores[column][0]) for column in COLUMNS}


def _confusion(predictions: Predictions, rows: np.ndarray) -> np.ndarray:
    k = len(predictions.class_names)
    cells = predictions.labels[rows] * k + predictions.predicted[rows]
    return np.bincount(cells, minlength=k * k).reshape(1, k, k).astype(np.float64)


def _examine(finished: StudyInput) -> StudyResults:
    rows = [*_printed_rows(), *_size_rows(), *_table3_rows()]
    for arm, runs in finished.arms.items():
        predictions = {seed: predictions_of(run) for seed, run in runs.items()}
        for reading, read in READINGS.items():
            by_seed = {seed: read(table) for seed, table in predictions.items()}
            rows += _reading_rows(f"Readings of {MODELS[arm]}", reading, by_seed)
    return StudyResults(rows, notes=NOTES)


def _reading_rows(
    table: str, reading: str, by_seed: Mapping[int, Mapping[str, float]]
) -> list[Measurement]:
    rows = []
    for column, heading in HEADINGS.items():
        values = {
            seed: scores[column] for seed, scores in by_seed.items() if np.isfinite(scores[column])
        }
        mean = sum(values.values()) / len(values) if values else None
        rows.append(Measurement(table, reading, heading, value=mean, seeds=values))
    return rows


NOTES = (
    "A cell of the first table is the number of confusions that give a row's accuracy, F1, recall "
    "and precision; 0 rules the reading out. The four baselines fit every slice of the test set, the "
    "guided models only 1,216 = 38 × 32 of its 1,238 slices (or one more, if their percentages are cut "
    "off and not rounded): no test set fits all, so that the paper's comparison is probably not on one.",
    "Table 3's ratios have two decimals, as the code that the paper used prints them. That code "
    "exchanges false positives and false negatives, so its precision and recall columns are "
    "probably exchanged.",
)

STUDIES = {
    "forensics": Study(
        title="What the printed numbers can be",
        source="Paper, Tables 3, 4 and 5",
        plan="configs/experiments/forensics.py",
        examine=_examine,
    ),
}
