"""The next point to try: first spread over the space, then by a Gaussian process over known trials.

No state is kept between calls. A suggestion depends only on the seed, its number and the trials that it
may use, so a resumed search suggests the same points as one that was never stopped.
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
    """An earlier trial, as a suggestion may use it.

    Attributes:
      point: what was tried.
      gain: its value, the larger the better; None if it failed or is still running.
      failed: whether it failed and will never have a value.
    """

    point: Point
    gain: float | None
    failed: bool = False


def suggest(
    space: Space, known: Sequence[PriorTrial], *, number: int, initial: int, seed: int
) -> dict[str, float | int]:
    """The point of trial `number` (from 1; trial 0 is the configuration as it stands).

    A failed trial counts as the worst so far. A running one counts as the mean of all, so that no
    second trial tries the same point (a "constant liar": Ginsbourger et al. 2010).

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
        # A length scale at the end of its range means a flat direction; this is no error.
        warnings.simplefilter("ignore", ConvergenceWarning)
        suggestion = optimiser.suggest()
    return space.point([float(suggestion[dimension.key]) for dimension in space.dimensions])
