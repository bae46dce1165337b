"""From a plan (a file with a configuration for each arm) to runs: arms × seeds, each with a folder."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_collections import ConfigDict

from mgajax import config as configs
from mgajax.experiments.budgets import Budget
from mgajax.experiments.datasets import DataSets

DRAWN = "drawn"
"""`config.data.drawn` holds options of the phantom that an arm needs, such as `shortcut`."""


@dataclass(frozen=True)
class PlannedRun:
    """One training.

    Attributes:
      arm: its name in the plan; arms are what is compared.
      seed: of parameters, data order and augmentation (and of the split, where it is drawn).
      config: all of it, with the data set's folder.
      folder: of the run. Equal runs of several experiments share a folder.
      fingerprint: hash of the configuration (without keys that change no numbers) and of the data's
        content.
    """

    arm: str
    seed: int
    config: ConfigDict
    folder: Path
    fingerprint: str

    @property
    def title(self) -> str:
        """The run's name in messages."""
        return f"{self.arm}, seed {self.seed}"


@dataclass(frozen=True)
class RunPlan:
    """All runs of an experiment, and the arms that cannot be run, each with the reason."""

    runs: tuple[PlannedRun, ...]
    impossible: dict[str, str]
    configs: dict[str, ConfigDict]


def plan_runs(
    plan: Path | str,
    *,
    budget: Budget,
    seeds: Sequence[int],
    data: DataSets,
    folder: Path,
    overrides: Sequence[str] = (),
) -> RunPlan:
    """Read a plan and list its runs seed by seed, so that every arm has a finished run early.

    Args:
      plan: a file whose `get_config()` gives a configuration for each arm.
      budget: its settings go into every arm before `overrides` do.
      seeds: added to the one in each arm's configuration.
      data: the data sets.
      folder: gets the runs' folders.
      overrides: `--config.ARM.key=value`.

    Raises:
      ConfigError: an unusable plan or override.
      DataError: a data set that cannot be read.
    """
    arms = configs.load(plan, overrides=[*_budget_words(plan, budget), *overrides])
    impossible = {}
    runs = []
    for arm, config in arms.items():
        options = dict(config.data.get(DRAWN, {}))
        place = data.place(options)
        if place is None:
            needs = ", ".join(f"{key}={value}" for key, value in options.items())
            impossible[arm] = f"needs a drawn data set with {needs}; run it without --data"
            continue
        for seed in seeds:
            arm_config = config.copy_and_resolve_references().unlock()
            if DRAWN in arm_config.data:
                del arm_config.data[DRAWN]  # the data's content says it
            arm_config.seed, arm_config.data.dir = config.seed + seed, str(place)
            runs.append(
                _plan_run(arm, arm_config.lock(), content=data.fingerprint(place), folder=folder)
            )
    order = sorted(runs, key=lambda run: run.seed)  # stable: arms stay in the plan's order
    return RunPlan(tuple(order), impossible, dict(arms.items()))


def _plan_run(arm: str, config: ConfigDict, *, content: str, folder: Path) -> PlannedRun:
    mark = fingerprint(config, content=content)
    place = folder / f"{config.model.name}-{mark[:12]}"
    return PlannedRun(arm, config.seed, config, place, mark)


def fingerprint(config: ConfigDict, *, content: str) -> str:
    """sha256 of everything that decides a run's numbers, except software and hardware.

    It names a run before it begins. Unlike `config.numbers_digest`, it includes the data's content and
    the initial weights.

    Args:
      content: hash of the data set.
    """
    keys = configs.deciding_keys(config, excluded={"checkpoint_dir"})
    text = json.dumps([sorted(keys.items()), content])
    return hashlib.sha256(text.encode()).hexdigest()


def _budget_words(plan: Path | str, budget: Budget) -> list[str]:
    """The budget's settings as overrides of every arm."""
    arms = configs.load(plan) if budget.settings else {}
    return [
        f"--config.{arm}.{key}={value}" for arm in arms for key, value in budget.settings.items()
    ]
