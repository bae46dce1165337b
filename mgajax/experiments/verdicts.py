"""The verdict on a difference of two methods, by seeds and patients.

An interval over patients alone describes the networks that happened to be trained. A statement about a
method needs several seeds, too: the interval over seeds and patients must exclude zero, and all seeds
must agree in sign.
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
      clusters: number of patients.
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
    """The verdict on the claim that a difference is above zero.

    Args:
      row: with the interval over seeds and patients.
      reason: why there is no interval.

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
