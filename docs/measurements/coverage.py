"""How often a nominal 95 % interval holds the truth: the intervals of today, and those before.

    python docs/measurements/coverage.py --simulations 2000 --out docs/measurements/coverage.json

Drawn people have two slices that resemble each other (correlation 0.6). Before: the percentiles of a
bootstrap over patients; for seeds, of one over patients with the networks as they are.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.stats import norm

from mgajax.evaluation import calibration, ranking
from mgajax.evaluation.bootstrap import (
    Clusters,
    IntervalSettings,
    cluster_sums,
    prepend_original,
    resample,
)
from mgajax.evaluation.intervals import (
    Span,
    ValueScale,
    calibration_error,
    over_seeds,
    proportion,
    student_interval,
)
from mgajax.files import write_json

CONFIDENCE = 0.95
SLICES = 2
CORRELATION = 0.6
SICK = 0.38
"""Share of the patients that are of the class."""

RESAMPLES = 400
PATIENTS = (61, 240)

Ends = tuple[float, float]
Pair = tuple[Ends | None, Ends]
"""Today's interval, which can be none, and the one before."""


@dataclass(frozen=True)
class Row:
    """One situation.

    Attributes:
      what: is estimated.
      truth: of all patients.
      patients: of a test set.
      seeds: of a comparison of methods; None: one classifier.
      simulations: test sets drawn.
      before: share of them in which the old interval held the truth.
      now: share of those with an interval today in which it does.
      none: share without one.
    """

    what: str
    truth: float
    patients: int
    seeds: int | None
    simulations: int
    before: float
    now: float
    none: float


def rows(*, simulations: int, seed: int = 0) -> Iterator[Row]:
    """Every situation: accuracies, areas, calibration errors, differences over seeds."""
    rng = np.random.default_rng(seed)
    for patients in PATIENTS:
        for accuracy in (0.9, 0.97):
            yield _row("accuracy", accuracy, patients, simulations, _accuracy, rng)
        for shift in (1.3, 2.3):
            area = float(norm.cdf(shift / np.sqrt(2)))
            yield _row("ROC AUC", area, patients, simulations // 2, _area, rng)
        for gap in (0.0, 0.1):
            yield _row("ECE", gap, patients, simulations // 2, _calibration_error, rng)
    for seeds in (3, 5, 10):
        draw = _difference_over(seeds)
        yield _row("difference of two methods", 0.02, PATIENTS[0], simulations, draw, rng, seeds)


def _row(
    estimate: str,
    truth: float,
    patients: int,
    simulations: int,
    draw: Callable[[float, int, np.random.Generator], Pair],
    rng: np.random.Generator,
    seeds: int | None = None,
) -> Row:
    pairs = [draw(truth, patients, rng) for _ in range(simulations)]
    now = [low <= truth <= high for low, high in (new for new, _ in pairs if new is not None)]
    before = [low <= truth <= high for _, (low, high) in pairs]
    missing = 1 - len(now) / simulations
    return Row(
        estimate,
        truth,
        patients,
        seeds,
        simulations,
        float(np.mean(before)),
        float(np.mean(now)),
        missing,
    )


def _accuracy(truth: float, patients: int, rng: np.random.Generator) -> Pair:
    hits = rng.random((patients, SLICES)) < truth
    equal = rng.random(patients) < CORRELATION
    hits[equal] = hits[equal][:, :1]
    counts = rng.multinomial(patients, np.full(patients, 1 / patients), size=RESAMPLES)
    resampled = counts @ hits.mean(axis=1) / patients
    total = np.ones(hits.size, bool)
    span = proportion(hits.ravel(), total, _clusters(patients), confidence=CONFIDENCE)
    return _ends(span), _percentiles(resampled)


def _area(truth: float, patients: int, rng: np.random.Generator) -> Pair:
    """Two normal populations of scores, as far apart as gives that area."""
    sick = np.arange(patients) < round(SICK * patients)
    person = rng.normal(size=(patients, 1)) * np.sqrt(CORRELATION)
    noise = rng.normal(size=(patients, SLICES)) * np.sqrt(1 - CORRELATION)
    shift = np.sqrt(2) * norm.ppf(truth)
    scores, positive = (person + noise + shift * sick[:, None]).ravel(), np.repeat(sick, SLICES)
    clusters = Clusters(np.arange(patients), sick.astype(np.int64), ("healthy", "sick"), "patient")
    settings = IntervalSettings(RESAMPLES, int(rng.integers(2**31)), CONFIDENCE)
    counts = prepend_original(resample(clusters, settings=settings))
    areas = ranking.roc_auc(scores, positive, np.repeat(counts, SLICES, axis=1))
    rarer = int(min(sick.sum(), (~sick).sum()))
    span = student_interval(
        float(areas[0]), areas[1:], clusters=rarer, confidence=CONFIDENCE, scale=ValueScale.SHARE
    )
    return _ends(span), _percentiles(areas[1:])


def _calibration_error(truth: float, patients: int, rng: np.random.Generator) -> Pair:
    """Confidences that are too high by as much everywhere; 0: honest ones."""
    confidence = np.repeat(rng.uniform(0.55, 1.0, size=patients), SLICES)
    luck = rng.random((patients, SLICES))
    equal = rng.random(patients) < CORRELATION
    luck[equal] = luck[equal][:, :1]
    correct = luck.ravel() < confidence - truth
    gaps = cluster_sums(calibration.bin_sums(confidence, correct), _clusters(patients).member)
    counts = rng.multinomial(patients, np.full(patients, 1 / patients), size=RESAMPLES)
    errors = calibration.ece(np.concatenate([np.ones((1, patients)), counts]) @ gaps, luck.size)
    deviations = calibration.ece(counts @ gaps - patients * gaps.mean(axis=0), luck.size)
    span = calibration_error(
        float(errors[0]), errors[1:], deviations, clusters=patients, confidence=CONFIDENCE
    )
    return _ends(span), _percentiles(errors[1:])


def _difference_over(seeds: int) -> Callable[[float, int, np.random.Generator], Pair]:
    """Networks differ by their seed (2 points), patients by themselves (10) and in each network (5)."""

    def draw(truth: float, patients: int, rng: np.random.Generator) -> Pair:
        network = rng.normal(size=(seeds, 1)) * 0.02
        person = rng.normal(size=(1, patients)) * 0.10
        residual = rng.normal(size=(seeds, patients)) * 0.05
        differences = truth + network + person + residual
        mean = differences.mean(axis=0)
        error = float(mean.std(ddof=1) / np.sqrt(patients))
        span = over_seeds(differences.mean(axis=1), error, clusters=patients, confidence=CONFIDENCE)
        counts = rng.multinomial(patients, np.full(patients, 1 / patients), size=RESAMPLES)
        return _ends(span), _percentiles(counts @ mean / patients)

    return draw


def _clusters(patients: int) -> Clusters:
    member = np.repeat(np.arange(patients), SLICES)
    return Clusters(member, np.zeros(patients, np.int64), ("all",), "patient")


def _ends(span: Span) -> Ends | None:
    if span["low"] is None or span["high"] is None:
        return None
    return span["low"], span["high"]


def _percentiles(resampled: np.ndarray) -> Ends:
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def markdown(situations: list[Row]) -> str:
    """The table of docs/explanation/intervals.md."""
    lines = [
        "| what | truth | patients | seeds | before | now | none |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in situations:
        shares = (f"{100 * share:.1f}" for share in (row.before, row.now, row.none))
        cells = (row.what, f"{row.truth:.3f}", str(row.patients), str(row.seeds or "–"), *shares)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    situations = list(rows(simulations=args.simulations))
    print(markdown(situations))
    if args.out:
        write_json({"rows": [asdict(row) for row in situations]}, args.out)


if __name__ == "__main__":
    main()
