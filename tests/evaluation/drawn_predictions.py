"""Drawn predictions, and counts turned into predictions, for the evaluation and figure tests."""

import numpy as np

CLASS_NAMES = ("Normal", "COVID-19", "CAP")


def drawn(n: int = 300, *, people: int = 40, seed: int = 0, skill: float = 1.2) -> dict:
    """Float32 probabilities of a middling classifier, with labels, patients and sources."""
    rng = np.random.default_rng(seed)
    owner = rng.integers(people, size=n)
    labels = (owner % 3).astype(np.int64)
    logits = rng.normal(size=(n, 3)) + rng.normal(size=(people, 3))[owner]
    logits[np.arange(n), labels] += skill
    logits = np.round(logits, 1)  # ties, as rounded scores have them
    odds = np.exp(logits)
    return {
        "probabilities": (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32),
        "labels": labels,
        "patients": np.array([f"zhao/{i}" for i in owner]),
        "sources": np.array(["zhao", "cohen", "jun"])[owner % 2],
    }


def from_confusion(confusion: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels whose argmax gives exactly this matrix (rows true)."""
    counts = np.array(confusion)
    true, called = np.indices(counts.shape).reshape(2, -1).repeat(counts.ravel(), axis=1)
    probabilities = np.full((len(true), len(counts)), 0.1)
    probabilities[np.arange(len(true)), called] = 1 - 0.1 * (len(counts) - 1)
    return probabilities, true
