"""The settings of `mgajax experiment real`, and the command line that gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgajax.experiments.real.budgets import RealBudget, chosen_budget

NAME = "real"
PLAN = "configs/experiments/real.py"
GUIDE = "hmsanet"


@dataclass(frozen=True, kw_only=True)
class RealOrder:
    """The settings of the experiment.

    Attributes:
      workdir: gets the results.
      runs: gets runs and data sets; None: `runs` in `workdir`.
      slices: download of the classification set; None: no such set.
      lesions: download of the annotated pairs; None: no such set. If both are None, slices are drawn.
      outside: another hospital's set on which classifiers are evaluated; None: no such set.
      budget: one of `budgets.BUDGETS`.
      folds, seeds: how many; None: the budget's.
      segmenter: the network that predicts the masks for the classifiers.
      earlier: an archive of seeds that are finished (`seed_archive`); they are not trained again.
      jobs: runs at a time.
      plan: a file of networks in place of the shipped one.
      overrides: `--config.NETWORK.key=value`.
    """

    workdir: Path
    runs: Path | None = None
    slices: Path | None = None
    lesions: Path | None = None
    outside: Path | None = None
    budget: str = "hours"
    folds: int | None = None
    seeds: int | None = None
    segmenter: str = GUIDE
    earlier: Path | None = None
    jobs: int = 1
    plan: Path | None = None
    overrides: Sequence[str] = ()

    @property
    def folder(self) -> Path:
        """The absolute folder of runs, splits and data sets."""
        return (self.runs or self.workdir / "runs").resolve()

    @property
    def settings(self) -> RealBudget:
        """The budget with the chosen numbers of folds and seeds.

        Raises:
          ConfigError: an unknown budget, or too few folds or seeds.
        """
        return chosen_budget(self.budget, folds=self.folds, seeds=self.seeds)

    @property
    def plan_file(self) -> Path:
        """The file of networks."""
        return self.plan or Path(PLAN)

    def command(self) -> str:
        """The command line with the same settings."""
        options: dict[str, Any] = {
            "slices": self.slices,
            "lesions": self.lesions,
            "outside": self.outside,
            "runs": self.runs,
            "plan": self.plan,
            "budget": self.budget,
            "folds": self.folds,
            "seeds": self.seeds,
            "segmenter": None if self.segmenter == GUIDE else self.segmenter,
            "earlier": self.earlier,
        }
        words = [f"mgajax experiment {NAME} --workdir {self.workdir}"]
        words += [f"--{key} {value}" for key, value in options.items() if value is not None]
        return " ".join([*words, *self.overrides])
