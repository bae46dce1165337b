"""From the plan's networks to runs: pretraining on drawn slices, and every start, seed and fold."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ml_collections import ConfigDict

from mgajax import config as configs
from mgajax.errors import ConfigError
from mgajax.experiments.execution import RunOutcome, RunStatus
from mgajax.experiments.plan import PlannedRun, fingerprint
from mgajax.experiments.real.budgets import RealBudget
from mgajax.paper import model_name
from mgajax.training.tasks import TaskName


class Start(StrEnum):
    """What a network begins with."""

    RANDOM = "random weights"
    DRAWN = "drawn slices"


@dataclass(frozen=True)
class Arm:
    """What is compared.

    Attributes:
      network: its name in the plan.
      start: what it begins with.
      label: how the network is written.
    """

    network: str
    start: Start
    label: str

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.label}, {self.start}"


@dataclass(frozen=True)
class FoldRun:
    """One training on real slices: an arm, a seed, and who is judged.

    Attributes:
      arm: what is compared.
      seed: from 0, added to the configuration's own.
      fold: from 0.
      run: its configuration and folder.
    """

    arm: Arm
    seed: int
    fold: int
    run: PlannedRun


FoldedRuns = Mapping[Arm, Mapping[int, Sequence[PlannedRun]]]
"""By arm and seed the runs of all folds, in order; of seeds in which all of them finished."""


def read_networks(
    plan: Path | str, *, budget: RealBudget, overrides: Sequence[str]
) -> dict[str, ConfigDict]:
    """The plan's configurations with the budget's settings, then the overrides.

    Raises:
      ConfigError: an unusable plan or override, or a network without a task.
    """
    words = []
    for name, config in configs.load(plan).items():
        if "task" not in config:
            raise ConfigError(f"{plan}: {name} is no configuration of a run (no key task)")
        settings = budget.settings(config.task)
        words += [f"--config.{name}.{key}={value}" for key, value in settings.items()]
    return dict(configs.load(plan, overrides=[*words, *overrides]).items())


def networks_of(networks: Mapping[str, ConfigDict], task: TaskName) -> dict[str, ConfigDict]:
    """Those that learn a task, in the plan's order."""
    return {name: config for name, config in networks.items() if config.task == task}


def labels_of(networks: Mapping[str, ConfigDict]) -> dict[str, str]:
    """How each is written: its model's name, or its own where several have one model."""
    models = {name: config.model.name for name, config in networks.items()}
    shared = [model for model, count in Counter(models.values()).items() if count > 1]
    return {name: name if model in shared else model_name(model) for name, model in models.items()}


@dataclass(frozen=True)
class LearningSet:
    """What a run learns from.

    Attributes:
      place: a built data set.
      content: hash of what is in it.
      split: a CSV of who trains, validates and tests; None: the built one.
    """

    place: Path
    content: str
    split: Path | None = None


def pretraining_run(
    network: str,
    config: ConfigDict,
    *,
    budget: RealBudget,
    seed: int,
    data: LearningSet,
    folder: Path,
) -> PlannedRun:
    """The run of a network on drawn slices whose weights begin the real ones."""
    changed = config.copy_and_resolve_references().unlock()
    changed.update_from_flattened_dict(dict(budget.pretraining))
    title = f"{network} on drawn slices"
    return _plan_run(title, changed, seed=seed, data=data, folder=folder)


def fold_run(
    arm: Arm,
    config: ConfigDict,
    *,
    seed: int,
    fold: int,
    folds: int,
    data: LearningSet,
    pretrained: PlannedRun | None,
    folder: Path,
) -> FoldRun:
    """The run of an arm on the people who are not judged in a fold.

    Args:
      arm: what is compared.
      config: of its network.
      seed: added to the configuration's.
      fold: from 0.
      folds: how many there are.
      data: with the fold's split.
      pretrained: the run that it starts from; None: random weights.
      folder: gets the run's folder.
    """
    changed = config.copy_and_resolve_references().unlock()
    title = f"{arm.network} from {arm.start}, fold {fold + 1} of {folds}"
    run = _plan_run(title, changed, seed=seed, data=data, folder=folder, pretrained=pretrained)
    return FoldRun(arm, seed, fold, run)


def _plan_run(
    title: str,
    config: ConfigDict,
    *,
    seed: int,
    data: LearningSet,
    folder: Path,
    pretrained: PlannedRun | None = None,
) -> PlannedRun:
    """A run in a folder named by what decides its numbers: content, not places.

    The split counts by its file's name, which is a hash of who is where; the run that it starts from by
    its own fingerprint.
    """
    config.seed += seed
    content = [data.content, data.split.name if data.split else "", ""]
    if pretrained is not None:
        content[-1] = pretrained.fingerprint
    if data.split is not None:
        config.split.kind = "csv"
    mark = fingerprint(config, content=" ".join(content))
    config.data.dir = str(data.place)
    config.split.path = str(data.split or "")
    config.init_from = str(pretrained.folder if pretrained else "")
    place = folder / f"{config.model.name}-{mark[:12]}"
    return PlannedRun(title, config.seed, config.lock(), place, mark)


def finished_folds(
    runs: Iterable[FoldRun], outcomes: Sequence[RunOutcome], *, folds: int
) -> FoldedRuns:
    """The finished runs by arm and seed; a seed that lacks a fold is left out."""
    folders = {outcome.run.folder for outcome in outcomes if outcome.status == RunStatus.FINISHED}
    finished: dict[Arm, dict[int, dict[int, PlannedRun]]] = {}
    for trained in runs:
        by_seed = finished.setdefault(trained.arm, {})
        if trained.run.folder in folders:
            by_seed.setdefault(trained.seed, {})[trained.fold] = trained.run
    return {
        arm: {
            seed: [by_fold[fold] for fold in range(folds)]
            for seed, by_fold in by_seed.items()
            if len(by_fold) == folds
        }
        for arm, by_seed in finished.items()
    }
