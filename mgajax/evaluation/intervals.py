"""Intervals with the coverage that they claim, even of few patients (docs/explanation/intervals.md).

Three forms, all over whole patients and with Student's t for the number of patients:

- A proportion has Wilson's score interval (Wilson 1927) of an effective number of slices, which is
  the number over the design effect (Kish 1965; Korn & Graubard 1998, Survey Methodology 24:193).
- Any other value has the standard error of a bootstrap, taken on an unbounded scale: the logit of a
  share, the logarithm of a loss, a difference as it is.
- The estimate of a calibration error is too high, since noise in the bins can only raise it. The lower
  end of its interval allows for that (`calibration_error`).

There is no interval where a value rests on too few patients, or does not change with any of them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit, logit
from scipy.stats import t as student

from mgajax.evaluation.bootstrap import Clusters, cluster_sums

MIN_CLUSTERS = 5
"""Patients (or slices where patients are unknown) that an interval needs on each side of a value:
of the class that a recall is of, of both classes that a ROC AUC ranks."""

SMALLEST_ERROR = 1e-12
"""A smaller standard error comes from rounding alone."""


class Span(TypedDict):
    """The ends of an interval; None where there is none."""

    low: float | None
    high: float | None
    clusters: int
    """How many patients the value rests on."""
    reason: str
    """Why there is no interval; "" where there is one."""


class ValueScale(StrEnum):
    """Where a value can lie; its interval is computed accordingly."""

    SHARE = "share"
    """In [0, 1]: on the logit scale."""

    LOSS = "loss"
    """0 or more: on the logarithmic scale."""

    DIFFERENCE = "difference"
    """Anywhere: as it is."""


def scale_of(path: str) -> ValueScale:
    """The scale of a metric by its path in a report, as `three_class.log_loss`."""
    losses = {"log_loss", "brier", "hausdorff95"}
    return ValueScale.LOSS if losses & set(path.split(".")) else ValueScale.SHARE


def proportion(
    hits: Bool[np.ndarray, "n"],
    counted: Bool[np.ndarray, "n"],
    clusters: Clusters,
    *,
    confidence: float,
) -> Span:
    """Wilson's interval of the share of `hits` among the `counted`, with the effective number of them.

    The design effect is estimated from the patients' sums. It lies between 1 and that of identical
    slices of each patient, which is also used where every slice is a hit, or none.

    Args:
      hits: the numerator, where `counted`.
      counted: the denominator.
      clusters: which examples belong together.
      confidence: in (0, 1).
    """
    examples = np.stack([hits & counted, counted], axis=1).astype(np.float64)
    sums = cluster_sums(examples, clusters.member)
    numerators, denominators = sums[sums[:, 1] > 0].T
    count = len(denominators)
    if count < MIN_CLUSTERS:
        return _no_span(count, _too_few(count, clusters.unit))
    n = denominators.sum()
    p = numerators.sum() / n
    smallest = (
        n**2 / (denominators**2).sum()
    )  # effective number if a patient's slices are identical
    variance = count / (count - 1) * ((numerators - p * denominators) ** 2).sum() / n**2
    estimated = p * (1 - p) / variance if variance > 0 else np.inf
    effective = np.clip(estimated, smallest, n) if 0 < p < 1 else smallest
    low, high = _wilson(p, effective, _quantile(float(count - 1), confidence))
    return _span(low, high, count)


def student_interval(
    value: float,
    draws: Float[np.ndarray, "r"],
    *,
    clusters: int,
    confidence: float,
    scale: ValueScale,
    unit: str = "patient",
) -> Span:
    """The interval of any other value, from its bootstrap replicates.

    Args:
      value: the estimate; NaN where undefined.
      draws: the value on each resample; NaN where undefined.
      clusters: patients that the value rests on, of the rarer kind where it compares two.
      confidence: in (0, 1).
      scale: of the value.
      unit: what a cluster is.

    Returns:
      No interval for an undefined value, one that most resamples leave undefined, fewer than
      `MIN_CLUSTERS` patients, resamples that do not vary, and a value at an end of its range.
    """
    defined = draws[np.isfinite(draws)]
    if clusters < MIN_CLUSTERS:
        return _no_span(clusters, _too_few(clusters, unit))
    if not len(draws):
        return _no_span(clusters, "nothing to resample")
    if not np.isfinite(value) or 2 * len(defined) < len(draws):
        return _no_span(clusters, "undefined, or so in most resamples")
    error = standard_error(defined, clusters=clusters)
    if error < SMALLEST_ERROR:
        return _no_span(clusters, f"no {unit} makes a difference")
    half = _quantile(float(clusters - 1), confidence) * error
    if scale is ValueScale.DIFFERENCE:
        return _span(value - half, value + half, clusters)
    if value <= 0 or (scale is ValueScale.SHARE and value >= 1):
        return _no_span(clusters, f"at the edge: {value:g}")
    if scale is ValueScale.LOSS:
        return _span(value * np.exp(-half / value), value * np.exp(half / value), clusters)
    half /= value * (1 - value)
    low, high = expit(logit(value) + np.array([-half, half]))
    return _span(low, high, clusters)


def calibration_error(
    value: float,
    draws: Float[np.ndarray, "r"],
    deviations: Float[np.ndarray, "r"],
    *,
    clusters: int,
    confidence: float,
    unit: str = "patient",
) -> Span:
    """The interval of an expected calibration error, which contains the estimate.

    An estimate is too high, since noise of either sign raises a bin's absolute gap. It is off by at
    most the sum of the bins' absolute errors, so the interval reaches that far below it. Above it the
    interval reaches Student's t times the bootstrap's standard error.

    Args:
      value: the estimate.
      draws: of each resample.
      deviations: of each resample, Σ over bins of |its gap − the estimate's gap|.
      clusters: patients that it rests on.
      confidence: in (0, 1).
      unit: what a cluster is.
    """
    if clusters < MIN_CLUSTERS:
        return _no_span(clusters, _too_few(clusters, unit))
    if not len(draws):
        return _no_span(clusters, "nothing to resample")
    error = standard_error(draws, clusters=clusters)
    if error < SMALLEST_ERROR:
        return _no_span(clusters, f"no {unit} makes a difference")
    low = value - float(np.quantile(deviations, (1 + confidence) / 2))
    high = value + _quantile(float(clusters - 1), confidence) * error
    return _span(max(low, 0.0), min(high, 1.0), clusters)


def over_seeds(
    by_seed: Float[np.ndarray, "s"], patient_error: float, *, clusters: int, confidence: float
) -> Span:
    """The interval of a method's mean difference, over other seeds and other patients.

    Seeds and patients are crossed: every network is judged on every patient. The variance of the
    mean is that over seeds plus that over patients, as a bootstrap of both estimates it (Owen 2007,
    Annals of Applied Statistics 1:386). That counts their joint part twice, so it is never too small.
    A bootstrap of three seeds cannot leave their range, so Student's t is used instead, with
    Satterthwaite's degrees of freedom.

    Args:
      by_seed: the difference of each seed.
      patient_error: standard error of their mean over patients, of these networks.
      clusters: patients that it rests on.
      confidence: in (0, 1).
    """
    seeds = len(by_seed)
    if seeds < 2:
        return _no_span(clusters, "one seed")
    if clusters < MIN_CLUSTERS:
        return _no_span(clusters, _too_few(clusters, "patient"))
    variances = np.array([by_seed.var(ddof=1) / seeds, patient_error**2])
    total = variances.sum()
    if total < SMALLEST_ERROR**2:
        return _no_span(clusters, "no seed and no patient makes a difference")
    degrees = total**2 / (variances**2 / [seeds - 1, clusters - 1]).sum()
    half = _quantile(degrees, confidence) * np.sqrt(total)
    mean = by_seed.mean()
    return _span(mean - half, mean + half, clusters)


def standard_error(draws: Float[np.ndarray, "r"], *, clusters: int) -> float:
    """The spread of bootstrap replicates, corrected for their bias, the root of (n − 1) / n."""
    if len(draws) < 2 or clusters < 2:
        return 0.0
    return float(draws.std(ddof=1) * np.sqrt(clusters / (clusters - 1)))


def interval_tree(
    values: Mapping[str, Any],
    replicates: Mapping[str, Any],
    clusters: Mapping[str, Any],
    *,
    confidence: float,
    unit: str = "patient",
    path: str = "",
) -> dict[str, Any]:
    """`student_interval` of each metric of a nested report, in the same nesting.

    Args:
      values: the estimates; None where undefined.
      replicates: on each resample, of the metrics that get an interval.
      clusters: how many patients each metric rests on.
      confidence: in (0, 1).
      unit: what a cluster is.
      path: of the trees in the report, for `scale_of`.
    """
    spans: dict[str, Any] = {}
    for key, draws in replicates.items():
        key_path = f"{path}.{key}" if path else key
        if isinstance(draws, dict):
            spans[key] = interval_tree(
                values[key], draws, clusters[key], confidence=confidence, unit=unit, path=key_path
            )
            continue
        value = np.nan if values[key] is None else float(values[key])
        spans[key] = student_interval(
            value,
            draws,
            clusters=int(clusters[key]),
            confidence=confidence,
            scale=scale_of(key_path),
            unit=unit,
        )
    return spans


def _too_few(count: int, unit: str) -> str:
    """`1 patient, fewer than 5`."""
    return f"{count} {unit}{'' if count == 1 else 's'}, fewer than {MIN_CLUSTERS}"


def _wilson(p: float, n: float, quantile: float) -> tuple[float, float]:
    middle, square = p + quantile**2 / (2 * n), quantile**2 / n
    half = quantile * np.sqrt(p * (1 - p) / n + quantile**2 / (4 * n**2))
    low, high = (middle - half) / (1 + square), (middle + half) / (1 + square)
    return max(low, 0.0), min(high, 1.0)


def _quantile(degrees: float, confidence: float) -> float:
    return float(student.ppf((1 + confidence) / 2, degrees))


def _span(low: float, high: float, clusters: int) -> Span:
    return {"low": float(low), "high": float(high), "clusters": clusters, "reason": ""}


def _no_span(clusters: int, reason: str) -> Span:
    return {"low": None, "high": None, "clusters": clusters, "reason": reason}
