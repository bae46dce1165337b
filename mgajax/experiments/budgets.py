"""What an experiment may cost: the phantom drawn where no data are given, and how long runs train."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mgajax.errors import ConfigError, nearest


@dataclass(frozen=True)
class Budget:
    """A size for all runs of an experiment.

    Attributes:
      phantom: options of the phantom that is drawn where no data set is given.
      settings: keys set in every classifier's configuration; empty for the paper's own settings.
      seeds: how many seeds each arm gets.
      meant_for: a sentence for `--help`.
    """

    phantom: Mapping[str, Any]
    settings: Mapping[str, Any]
    seeds: int
    meant_for: str


def _short(*, image_size: int, batch_size: int, epochs: int, learning_rate: float) -> dict:
    """All epochs, no early stopping: a small validation set is too noisy to stop by."""
    return {
        "preparation.image_size": image_size,
        "batch_size": batch_size,
        "epochs": epochs,
        "patience": 0,
        "optimiser.learning_rate": learning_rate,
        "log_every": 10,
    }


BUDGETS: Mapping[str, Budget] = {
    "smoke": Budget(
        phantom={"patients": 24, "slices_per_patient": 3, "size": 96, "severity": 1.0},
        settings=_short(image_size=32, batch_size=8, epochs=1, learning_rate=1e-3),
        seeds=1,
        meant_for="does everything run? seconds a run, numbers mean nothing",
    ),
    # Many patients with few slices each: intervals depend on the 60 patients of the test set.
    "small": Budget(
        phantom={"patients": 240, "slices_per_patient": 2, "size": 128, "severity": 1.0},
        settings=_short(image_size=64, batch_size=32, epochs=25, learning_rate=1e-3),
        seeds=3,
        meant_for="drawn slices on two CPU cores: one to two minutes a run",
    ),
    "medium": Budget(
        phantom={"patients": 480, "slices_per_patient": 4, "size": 160, "severity": 0.8},
        settings=_short(image_size=96, batch_size=32, epochs=40, learning_rate=1e-3),
        seeds=3,
        meant_for="drawn slices on one GPU, or a CPU overnight",
    ),
    # As many slices as the curated set has, within a thousandth.
    "full": Budget(
        phantom={"patients": 2138, "slices_per_patient": 8, "size": 256},
        settings={},
        seeds=3,
        meant_for="the configurations as they are: the curated set (--data), on GPUs",
    ),
}


def chosen_budget(name: str) -> Budget:
    """The budget of that name.

    Raises:
      ConfigError: no such budget.
    """
    if name not in BUDGETS:
        raise ConfigError(f"--budget {name}: {nearest(name, list(BUDGETS))}")
    return BUDGETS[name]
