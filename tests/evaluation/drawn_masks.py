"""Drawn lesions and predictions of them, for the segmentation tests."""

import numpy as np


def ellipse(shape: tuple[int, int], *, centre: tuple[float, float], radii: tuple[float, float]):
    """A filled ellipse, bool."""
    rows, columns = np.indices(shape)
    return ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 <= 1


def drawn_pairs(n: int = 12, *, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Predictions and lesions of unequal sizes; every fourth slice has no lesion."""
    rng = np.random.default_rng(seed)
    predictions, masks = [], []
    for i in range(n):
        shape = tuple(rng.integers(20, 50, size=2).tolist())
        centre, radii = rng.uniform(8, 14, size=2), rng.uniform(3, 8, size=2)
        truth = ellipse(shape, centre=tuple(centre), radii=tuple(radii))
        near = ellipse(shape, centre=tuple(centre + rng.normal(size=2)), radii=tuple(radii * 1.1))
        masks.append(truth & (i % 4 != 0))
        predictions.append(near & (i % 8 != 0) & (i % 5 != 0))
    return predictions, masks
