"""Temperature scaling: one number, fitted on validation slices, that makes probabilities honest.

Dividing logits by a temperature keeps their order, so no decision changes (Guo et al. 2017).
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

SMALLEST = np.finfo(np.float64).tiny
RANGE = (0.05, 20.0)
"""Temperatures that are looked at."""


def fit_temperature(probabilities: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]) -> float:
    """The temperature of the lowest mean negative log-likelihood.

    Args:
      probabilities: of slices that the network was not trained on.
      labels: their classes.

    Returns:
      Above 1 for a network that is too sure of itself; within `RANGE`.
    """
    logits, rows = _logits(probabilities), np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scaled[rows, labels].mean())

    low, high = np.log(RANGE)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def rescaled(
    probabilities: Float[np.ndarray, "n k"], *, temperature: float
) -> Float[np.ndarray, "n k"]:
    """The probabilities that the logits give when divided by the temperature."""
    found: np.ndarray = softmax(_logits(probabilities) / temperature, axis=1)
    return found


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Logits up to a constant a row, which the softmax forgets."""
    return np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
