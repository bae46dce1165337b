"""Resampling of whole patients, since slices of one patient resemble each other.

A cluster is a patient (or a slice where patients are unknown). Resampling is stratified: patients
are drawn with replacement within their class, because the test sets are made that way (the paper's
Table 2 fixes the number of each class), and no replicate then lacks a class that the data have.
Note: the paper gives no intervals, so this design is ours. A stratum of one patient never varies,
so the sizes of the strata are reported; where each stratum has one patient, there is no interval.
`intervals.py` makes intervals of the replicates.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Num

from mgajax.errors import ConfigError

CHUNK = 64
"""Replicates handled at once: bounds the memory at CHUNK × examples × 8 bytes a temporary."""


@dataclass(frozen=True)
class IntervalSettings:
    """How intervals are made.

    Attributes:
      replicates: how often to resample; 0: no intervals.
      seed: of the draws.
      confidence: coverage of the intervals, in (0, 1).

    Raises:
      ConfigError: a negative number of replicates, or a confidence outside (0, 1).
    """

    replicates: int
    seed: int
    confidence: float

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ConfigError(f"confidence={self.confidence}, expected a share in (0, 1), as 0.95")
        if self.replicates < 0:
            raise ConfigError(f"bootstrap={self.replicates}, expected 0 (no intervals) or more")


@dataclass(frozen=True)
class Clusters:
    """Which examples are resampled together.

    Attributes:
      member: int64 [n], the cluster of each example, 0 … c-1.
      stratum: int64 [c], the stratum of each cluster.
      strata: names of the strata in the order of their codes.
      unit: what a cluster is, "patient" or "slice".
    """

    member: Int[np.ndarray, "n"]
    stratum: Int[np.ndarray, "c"]
    strata: tuple[str, ...]
    unit: str

    def sizes(self) -> dict[str, int]:
        """Number of clusters in each stratum."""
        counts = np.bincount(self.stratum, minlength=len(self.strata))
        return {name: int(count) for name, count in zip(self.strata, counts, strict=True)}


def make_clusters(
    patients: np.ndarray | None, labels: Int[np.ndarray, "n"], *, class_names: tuple[str, ...]
) -> Clusters:
    """Clusters by patient, strata by the set of classes among a patient's slices.

    Args:
      patients: str [n], or None: each example on its own.
      labels: class codes.
      class_names: for the strata's names, e.g. "Normal" or "Normal+COVID-19".
    """
    n = len(labels)
    member = np.arange(n) if patients is None else np.unique(patients, return_inverse=True)[1]
    has = np.zeros((member.max(initial=-1) + 1, len(class_names)), bool)
    has[member, labels] = True
    kinds, stratum = np.unique(has, axis=0, return_inverse=True)
    names = ("+".join(np.array(class_names)[kind].tolist()) for kind in kinds)
    unit = "slice" if patients is None else "patient"
    return Clusters(member, stratum.reshape(-1), tuple(names), unit)


def resample(clusters: Clusters, *, settings: IntervalSettings) -> Int[np.ndarray, "r c"]:
    """How often each cluster is drawn in each replicate; every stratum keeps its size.

    Returns:
      int64 counts; no row at all where no stratum has two clusters: there is nothing to resample,
      and an interval of width zero would feign certainty.
    """
    stratum, replicates = clusters.stratum, settings.replicates
    if np.bincount(stratum).max(initial=0) < 2:
        replicates = 0
    rng = np.random.default_rng(settings.seed)
    counts = np.zeros((replicates, len(stratum)), np.int64)
    offsets = np.arange(replicates)[:, None]
    for code in range(stratum.max(initial=-1) + 1):
        members = np.flatnonzero(stratum == code)
        size = len(members)
        drawn = rng.integers(size, size=(replicates, size)) + offsets * size
        tally = np.bincount(drawn.ravel(), minlength=replicates * size)
        counts[:, members] = tally.reshape(replicates, size)
    return counts


def prepend_original(counts: Int[np.ndarray, "r c"]) -> Int[np.ndarray, "r+1 c"]:
    """The same counts below a row of ones: every cluster once, which is the data as they are."""
    return np.concatenate([np.ones((1, counts.shape[1]), np.int64), counts])


def cluster_sums(
    values: Num[np.ndarray, "n s"], member: Int[np.ndarray, "n"]
) -> Float[np.ndarray, "c s"]:
    """Sum the rows of each cluster: all that a replicate needs of an additive statistic."""
    sums = np.zeros((member.max(initial=-1) + 1, values.shape[1]))
    np.add.at(sums, member, values)
    return sums


def iter_chunks(counts: Int[np.ndarray, "r c"]) -> Iterator[Int[np.ndarray, "q c"]]:
    """The replicates a few at a time, to bound memory; one empty part where there are none."""
    for start in range(0, max(len(counts), 1), CHUNK):
        yield counts[start : start + CHUNK]


def ratio(
    part: Num[np.ndarray, "*shape"], whole: Num[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """`part / whole` of each replicate, float64; NaN where `whole` is 0: undefined, not a score."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
