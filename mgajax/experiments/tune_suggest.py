"""Which point to try next: spread at first, then by a Gaussian process over what is known.

Nothing is kept between calls: a suggestion follows from the seed, its number and the trials that it
may know of, so that a search taken up again suggests what it would have suggested.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bayes_opt import BayesianOptimization
from bayes_opt.acquisition import ExpectedImprovement
from scipy.stats import qmc
from sklearn.exceptions import ConvergenceWarning

from mgajax.experiments.tune_space import Point, Space

NOISE = 1e-3
"""Variance of a repeated training, as a share of the variance over the trials. Ours: the package's
1e-6 would fit every trial exactly."""


@dataclass(frozen=True)
class PriorTrial:
    """A trial that a suggestion may know of.

    Attributes:
      point: what was tried.
      gain: what it was worth, the larger the better; None if it failed or is still under way.
      failed: it will never have a worth.
    """

    point: Point
    gain: float | None
    failed: bool = False


def suggest(
    space: Space, known: Sequence[PriorTrial], *, number: int, initial: int, seed: int
) -> dict[str, float | int]:
    """The point of trial `number` (from 1; trial 0 is the configuration as it stands).

    A trial that failed counts as the worst so far. One under way counts as the mean of all, so that
    a second one is not sent to the same place (a "constant liar": Ginsbourger et al. 2010).

    Args:
      space: where to search.
      known: trials before this one.
      number: of the trial.
      initial: trials below this number are spread by a scrambled Halton sequence.
      seed: of the search.
    """
    gains = [trial.gain for trial in known if trial.gain is not None]
    if number < initial or not gains:
        spread = qmc.Halton(len(space.dimensions), rng=seed).random(number)
        return space.point(spread[-1].tolist())
    worst, mean = min(gains), float(np.mean(gains))
    optimiser = BayesianOptimization(
        f=None,
        pbounds={dimension.key: (0.0, 1.0) for dimension in space.dimensions},
        acquisition_function=ExpectedImprovement(xi=0.0),
        random_state=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
        verbose=0,
        allow_duplicate_points=True,
    )
    optimiser.set_gp_params(alpha=NOISE)
    for trial in known:
        if space.holds(trial.point):
            gain = trial.gain if trial.gain is not None else (worst if trial.failed else mean)
            optimiser.register(np.clip(space.places(trial.point), 0.0, 1.0), gain)
    with warnings.catch_warnings():
        # A length scale at the end of its range is a flat direction, not an error.
        warnings.simplefilter("ignore", ConvergenceWarning)
        suggestion = optimiser.suggest()
    return space.point([float(suggestion[dimension.key]) for dimension in space.dimensions])
