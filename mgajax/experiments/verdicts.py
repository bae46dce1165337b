"""What a difference says of two methods: decided by seeds and patients, or open.

An interval over patients alone is about the networks that happened to be trained. A sentence about
a method needs seeds, too: the interval over both must exclude zero, and no seed may disagree.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mgajax.evaluation.intervals import over_seeds
from mgajax.experiments.study import RESAMPLING
from mgajax.reporting.tables.measurements import Measurement

HOLDS, FAILS, OPEN, UNDECIDED = "holds", "fails: the opposite holds", "open", "undecided"


def judge(row: Measurement, *, patient_error: float, clusters: int) -> Measurement:
    """A difference with its interval over seeds and patients, and its verdict.

    Args:
      row: the difference, with the value of each seed and the interval of these networks.
      patient_error: standard error of the mean over seeds, over patients.
      clusters: how many patients stand behind it.
    """
    span = over_seeds(
        np.array(list(row.seeds.values())),
        patient_error,
        clusters=clusters,
        confidence=RESAMPLING.confidence,
    )
    both = replace(row, method_low=span["low"], method_high=span["high"])
    return replace(both, verdict=verdict(both, reason=str(span["reason"])))


def by_verdict(rows: Sequence[Measurement]) -> str:
    """`holds: ROC AUC; open: the interval holds zero: Accuracy, F1`, in the order of the rows."""
    metrics_by_verdict: dict[str, list[str]] = {}
    for row in rows:
        metrics_by_verdict.setdefault(row.verdict, []).append(row.metric)
    return "; ".join(
        f"{name}: {', '.join(metrics)}" for name, metrics in metrics_by_verdict.items()
    )


def verdict(row: Measurement, *, reason: str = "") -> str:
    """What a difference says of the claim that it is above zero.

    Args:
      row: with the interval over seeds and patients.
      reason: why there is none.

    Returns:
      `holds`, `fails: the opposite holds`, `open: …` or `undecided: …`.
    """
    if row.value is None:
        return f"{UNDECIDED}: undefined"
    if len(row.seeds) < 2:
        return f"{OPEN}: one seed"
    if row.method_span is None:
        return f"{UNDECIDED}: {reason or 'no interval'}"
    low, high = row.method_span
    if low <= 0 <= high:
        return f"{OPEN}: the interval holds zero"
    others = [seed for seed, value in row.seeds.items() if value * row.value < 0]
    if others:
        seeds = ", ".join(map(str, others))
        return f"{OPEN}: seed{'s' if len(others) > 1 else ''} {seeds} of the other sign"
    return HOLDS if low > 0 else FAILS
