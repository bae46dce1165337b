"""How often a training slice comes in an epoch."""

import numpy as np
from jaxtyping import Int, Shaped

SAMPLINGS = ("slices", "sources")
"""Each slice once, or those of small sources more often."""


def sample_rows(
    rows: Int[np.ndarray, "n"], sources: Shaped[np.ndarray, "n"], *, sampling: str
) -> Int[np.ndarray, "m"]:
    """The rows of one epoch, each at least once.

    Annotated slices lie badly spread: a volume has a hundred, a figure of a paper one, and a network that
    learns fast from the many may say nothing of the few. Under "sources" a slice of a source of n slices
    comes round(√(n_max / n)) times, n_max those of the largest source: shares of the sources then go about
    with the square root of their slices.

    Args:
      rows: of the training slices.
      sources: of these slices.
      sampling: one of `SAMPLINGS`.
    """
    if sampling == "slices" or not len(rows):
        return rows
    _, source, slices = np.unique(sources, return_inverse=True, return_counts=True)
    times = np.rint(np.sqrt(slices.max() / slices)).astype(np.int64)
    return np.repeat(rows, times[source])
