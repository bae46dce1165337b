"""What a run on few real slices may cost: pixels, steps, folds, seeds, and pretraining on drawn slices."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mgajax.errors import ConfigError, nearest

EPOCHS = 100_000
"""More epochs than any run needs: training ends by steps, as many for all folds and networks."""


@dataclass(frozen=True)
class RealBudget:
    """A size for all runs.

    Attributes:
      segmenter: keys set in every segmenter's configuration.
      classifier: keys set in every classifier's.
      pretraining: further keys for pretraining on drawn slices.
      drawn: options of the drawn set for pretraining.
      stand_in: options of the drawn set that is used where no real one is given.
      folds: how many.
      seeds: how many for each network.
      meant_for: a line for `--help`.
    """

    segmenter: Mapping[str, Any]
    classifier: Mapping[str, Any]
    pretraining: Mapping[str, Any]
    drawn: Mapping[str, Any]
    stand_in: Mapping[str, Any]
    folds: int
    seeds: int
    meant_for: str

    def settings(self, task: str) -> Mapping[str, Any]:
        """The keys set in the configurations of that task."""
        return self.segmenter if task == "segmentation" else self.classifier


def _steps(steps: int, *, image_size: int, batch_size: int) -> dict[str, Any]:
    """The same number of steps for all and no early stopping: the validation sets are too small for it.

    Batches are gathered on the host: a program that holds the set would be compiled anew for each fold.
    """
    return {
        "data.residence": "host",
        "preparation.image_size": image_size,
        "batch_size": batch_size,
        "eval_batch_size": 16,
        "max_steps": steps,
        "epochs": EPOCHS,
        "patience": 0,
        "log_every": 10,
    }


EQUAL_SOURCES = {"data.sampling": "slices"}
"""Drawn sources are of one size."""

STAND_IN = {"patients": 60, "slices_per_patient": 4, "size": 128, "annotated": 0.5, "seed": 1}

BUDGETS: Mapping[str, RealBudget] = {
    "smoke": RealBudget(
        segmenter=_steps(3, image_size=32, batch_size=8),
        classifier=_steps(3, image_size=32, batch_size=8),
        pretraining={"max_steps": 3, **EQUAL_SOURCES},
        drawn={"patients": 24, "slices_per_patient": 3, "size": 96},
        stand_in={**STAND_IN, "patients": 30, "slices_per_patient": 2, "size": 96},
        folds=2,
        seeds=1,
        meant_for="does everything run? seconds a run, numbers mean nothing",
    ),
    "minutes": RealBudget(
        segmenter=_steps(300, image_size=128, batch_size=8),
        classifier=_steps(200, image_size=96, batch_size=16),
        pretraining={"max_steps": 300, **EQUAL_SOURCES},
        drawn={"patients": 300, "slices_per_patient": 4, "size": 160},
        stand_in=STAND_IN,
        folds=3,
        seeds=1,
        meant_for="real slices on two CPU cores, a few minutes a run, one seed: a first look",
    ),
    "hours": RealBudget(
        segmenter=_steps(900, image_size=128, batch_size=8),
        classifier=_steps(300, image_size=96, batch_size=16),
        pretraining={"max_steps": 1200, **EQUAL_SOURCES},
        drawn={"patients": 1000, "slices_per_patient": 4, "size": 160},
        stand_in=STAND_IN,
        folds=3,
        seeds=2,
        meant_for="real slices on two CPU cores, up to twenty minutes a run, two seeds",
    ),
}


def chosen_budget(name: str, *, folds: int | None, seeds: int | None) -> RealBudget:
    """The budget of that name, with the given numbers of folds and seeds.

    Raises:
      ConfigError: an unknown name, fewer than two folds, or no seed.
    """
    if name not in BUDGETS:
        raise ConfigError(f"--budget {name}: {nearest(name, list(BUDGETS))}")
    for option, count, least in (("--folds", folds, 2), ("--seeds", seeds, 1)):
        if count is not None and count < least:
            raise ConfigError(f"{option} {count}: expected at least {least}")
    budget = BUDGETS[name]
    return replace(budget, folds=folds or budget.folds, seeds=seeds or budget.seeds)
