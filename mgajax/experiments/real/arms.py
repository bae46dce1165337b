"""The runs of the plan's networks: pretraining on drawn slices, then each start, seed and fold."""

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
    """How a network is initialised."""

    RANDOM = "random weights"
    DRAWN = "drawn slices"


@dataclass(frozen=True)
class Arm:
    """A network with a way to initialise it; arms are what is compared.

    Attributes:
      network: its name in the plan.
      start: how it is initialised.
      label: the printed name of the network.
    """

    network: str
    start: Start
    label: str

    @property
    def name(self) -> str:
        """The arm's printed name."""
        return f"{self.label}, {self.start}"


@dataclass(frozen=True)
class FoldRun:
    """One training run on real slices: an arm, a seed, and the fold whose patients are the test set.

    Attributes:
      arm: network and start.
      seed: from 0, added to the configuration's own.
      fold: from 0.
      run: its configuration and folder.
    """

    arm: Arm
    seed: int
    fold: int
    run: PlannedRun


FoldedRuns = Mapping[Arm, Mapping[int, Sequence[PlannedRun]]]
"""The runs of all folds in order, by arm and seed; only seeds in which all folds finished."""


def read_networks(
    plan: Path | str, *, budget: RealBudget, overrides: Sequence[str]
) -> dict[str, ConfigDict]:
    """The plan's configurations, changed by the budget's settings and then by the overrides.

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
    """The networks of a task, in the plan's order."""
    return {name: config for name, config in networks.items() if config.task == task}


def labels_of(networks: Mapping[str, ConfigDict]) -> dict[str, str]:
    """The printed name of each network: its model's name, or its own where several share a model."""
    models = {name: config.model.name for name, config in networks.items()}
    shared = [model for model, count in Counter(models.values()).items() if count > 1]
    return {name: name if model in shared else model_name(model) for name, model in models.items()}


@dataclass(frozen=True)
class LearningSet:
    """The data that a run is trained on.

    Attributes:
      place: a built data set.
      content: hash of its content.
      split: a CSV with training, validation and test patients; None: the split of the built set.
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
    """The run that pretrains a network on drawn slices; its weights initialise the runs on real ones."""
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
    """The run of an arm on a fold: trained on all patients but the fold's test patients.

    Args:
      arm: network and start.
      config: of its network.
      seed: added to the configuration's.
      fold: from 0.
      folds: number of folds.
      data: the data set with the fold's split.
      pretrained: the run whose weights it starts from; None: random weights.
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
    """A run in a folder that is named by what decides the run's numbers: content, not paths.

    For the split this is its file's name, a hash of its content; for a pretrained run, the fingerprint
    of that run.
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
    """The finished runs by arm and seed; a seed with an unfinished fold is left out."""
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
