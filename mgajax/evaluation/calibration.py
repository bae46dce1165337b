"""Whether a probability of 0.8 is right eight times in ten: reliability bins, ECE and Brier.

And temperature scaling: one number, fitted on validation slices, that corrects over-confidence.
Dividing logits by a temperature keeps their order, so no decision changes (Guo et al. 2017).
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 15
"""Bins of equal width over [0, 1], each open on the left: (0, 1/15], … ; 0 falls in the first."""


def bin_index(confidence: Float[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
    """The bin (0 … BINS - 1) of each confidence."""
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def bin_sums(
    confidence: Float[np.ndarray, "n"], correct: Bool[np.ndarray, "n"]
) -> Float[np.ndarray, "n s"]:
    """Each example's contribution to the reliability sums: confidence minus outcome, in its bin.

    The expected calibration error of any selection of examples is `ece` of their sum.
    """
    gaps = np.zeros((len(confidence), BINS))
    gaps[np.arange(len(confidence)), bin_index(confidence)] = confidence - correct
    return gaps


def ece(gaps: Float[np.ndarray, "*r s"], count: Any) -> Any:
    """Expected calibration error: Σ over bins of |Σ (confidence - outcome)| / n, in [0, 1].

    The same as the usual "bin share × |mean confidence - accuracy|" summed over the bins.
    """
    return np.abs(gaps).sum(axis=-1) / count


def reliability(
    confidence: Float[np.ndarray, "n"], correct: Bool[np.ndarray, "n"]
) -> list[dict[str, float | int | None]]:
    """The reliability diagram as a list of bins.

    Returns:
      For each bin `low`, `high`, `count`, mean `confidence` and `observed` share (None if empty).
    """
    index = bin_index(confidence)
    counts = np.bincount(index, minlength=BINS)
    sums = np.bincount(index, confidence, minlength=BINS)
    hits = np.bincount(index, correct, minlength=BINS)
    return [
        {
            "low": i / BINS,
            "high": (i + 1) / BINS,
            "count": int(counts[i]),
            "confidence": float(sums[i] / counts[i]) if counts[i] else None,
            "observed": float(hits[i] / counts[i]) if counts[i] else None,
        }
        for i in range(BINS)
    ]


def brier_terms(
    probabilities: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """Each example's multi-class Brier score Σ_k (p_k - y_k)², in [0, 2] (Brier 1950)."""
    truth = np.eye(probabilities.shape[1])[labels]
    return ((probabilities - truth) ** 2).sum(axis=1)


SMALLEST_PROBABILITY = np.finfo(np.float64).tiny
TEMPERATURE_RANGE = (0.05, 20.0)
"""In which the temperature is searched."""


def fit_temperature(probabilities: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]) -> float:
    """The temperature of the lowest mean negative log-likelihood.

    Args:
      probabilities: of slices that the network was not trained on.
      labels: their classes.

    Returns:
      Above 1 for a network that is over-confident; within `TEMPERATURE_RANGE`.
    """
    logits, rows = _logits(probabilities), np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scaled[rows, labels].mean())

    low, high = np.log(TEMPERATURE_RANGE)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def apply_temperature(
    probabilities: Float[np.ndarray, "n k"], *, temperature: float
) -> Float[np.ndarray, "n k"]:
    """The probabilities that the logits give when divided by the temperature."""
    rescaled: np.ndarray = softmax(_logits(probabilities) / temperature, axis=1)
    return rescaled


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Logits up to a constant in each row, to which the softmax is indifferent."""
    return np.log(np.maximum(probabilities.astype(np.float64), SMALLEST_PROBABILITY))
