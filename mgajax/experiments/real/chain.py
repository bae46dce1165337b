"""The stages: pretraining on drawn slices, segmenters, masks, classifiers. Each can be resumed."""

import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mgajax import config as configs
from mgajax.data.table import SliceTable
from mgajax.errors import ConfigError, TrainingError, nearest, quantity
from mgajax.experiments.execution import RunOutcome, RunStatus
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.real.arms import (
    Arm,
    FoldedRuns,
    FoldRun,
    LearningSet,
    Start,
    finished_folds,
    fold_run,
    labels_of,
    networks_of,
    pretraining_run,
    read_networks,
)
from mgajax.experiments.real.folds import Fold, deal_folds, written_split
from mgajax.experiments.real.order import RealOrder
from mgajax.experiments.real.seed_archive import FinishedSeeds, read_seeds
from mgajax.experiments.real.sets import Build, RealSets, used_rows
from mgajax.experiments.real.stage_times import SUFFIX, StageTimes
from mgajax.experiments.runner import run_all
from mgajax.inference.segment import segment
from mgajax.progress import say
from mgajax.training.tasks import TaskName

FOLD_SEED = 0
"""The folds are the same for all seeds; only training differs between seeds."""

MASKS = "masks of one segmenter"
"""The stage, as it is told."""

FoldSets = Mapping[tuple[int, int], LearningSet]
"""The data that a run is trained on, by seed and fold."""


class Chain:
    """The stages of an experiment; each uses the results of the one before.

    Each call of a stage completes its runs and repeats no finished one.
    """

    def __init__(self, order: RealOrder, *, build: Build) -> None:
        """Read the plan, build the data sets, assign patients to folds.

        Raises:
          ConfigError: an unusable option, plan or override, or earlier seeds of another experiment.
          DataError: a download that cannot be built, an archive that cannot be read, or too few
            patients for the folds.
        """
        self.order = order
        self.budget = order.settings
        plan = order.plan or configs.shipped_file(order.plan_file)
        networks = read_networks(plan, budget=self.budget, overrides=order.overrides)
        self.segmenters = networks_of(networks, TaskName.SEGMENTATION)
        self.classifiers = networks_of(networks, TaskName.CLASSIFICATION)
        if self.segmenters and order.segmenter not in self.segmenters:
            known = nearest(order.segmenter, list(self.segmenters))
            raise ConfigError(f"--segmenter {order.segmenter}: {known}")
        self.times = StageTimes()
        self.sets = RealSets(
            slices=order.slices,
            lesions=order.lesions,
            build=build,
            folder=order.folder / "data",
            stand_in=self.budget.stand_in,
            times=self.times,
        )
        self.tables = self.sets.tables()
        used, self.notes = used_rows(self.tables)
        self.folds = deal_folds(self.tables, used, folds=self.budget.folds, seed=FOLD_SEED)
        self.earlier = FinishedSeeds()
        if order.earlier is not None:
            self.earlier = self._read_earlier(order.earlier)
        self.outcomes = [RunOutcome(run, RunStatus.FINISHED) for run in self.earlier.runs]
        self.pretrained: dict[tuple[str, int], PlannedRun] = {}

    @property
    def identity(self) -> dict[str, Any]:
        """What is equal in two experiments whose seeds can be joined, as plain values."""
        return {
            "budget": self.order.budget,
            "folds": self.budget.folds,
            "segmenter": self.order.segmenter,
            "pretraining": dict(self.budget.pretraining),
            "drawn": dict(self.budget.drawn),
            **{name: table.fingerprint for name, table in self.tables.items()},
        }

    def _read_earlier(self, archive: Path) -> FinishedSeeds:
        """The runs of earlier seeds; the masks that their segmenters predicted are counted."""
        earlier = read_seeds(
            archive,
            identity=self.identity,
            networks=self._learning_networks(),
            folder=self.order.folder,
        )
        for run in earlier.runs:
            for file in run.folder.glob(f"masks-*{SUFFIX}"):
                self.times.count(MASKS, file)
        say(f"{quantity(len(earlier.seeds), 'seed')} finished earlier: {archive}")
        return earlier

    @functools.cached_property
    def drawn(self) -> SliceTable:
        """The columns of the set that networks are pretrained on."""
        return self.sets.table(self.sets.drawn_set(self.budget.drawn))

    def _do(self, runs: Sequence[PlannedRun]) -> list[RunOutcome] | None:
        """Complete the runs; None when stopped by a signal."""
        outcomes = run_all(runs, jobs=self.order.jobs)
        if any(outcome.status == RunStatus.STOPPED for outcome in outcomes):
            return None
        self.outcomes += outcomes
        return outcomes

    def pretrain(self) -> bool:
        """Pretrain every network on drawn slices, once for each seed; False when stopped."""
        say("pretraining on drawn slices")
        data = LearningSet(self.drawn.directory, self.drawn.fingerprint)
        networks = self._learning_networks()
        planned = {
            (name, seed): pretraining_run(
                name,
                config,
                budget=self.budget,
                seed=seed,
                data=data,
                folder=self.order.folder,
            )
            for seed in self._own_seeds
            for name, config in networks.items()
        }
        outcomes = self._do([*planned.values()])
        if outcomes is None:
            return False
        self.pretrained = {
            key: run
            for (key, run), outcome in zip(planned.items(), outcomes, strict=True)
            if outcome.status == RunStatus.FINISHED
        }
        return True

    def _learning_networks(self) -> dict[str, ConfigDict]:
        """The networks for which there are real slices to train on."""
        steps = {"lesions": self.segmenters, "slices": self.classifiers}
        return {
            name: config
            for kind, networks in steps.items()
            if kind in self.tables
            for name, config in networks.items()
        }

    def segment(self) -> FoldedRuns | None:
        """Train the segmenters on all folds of the annotated slices; None when stopped."""
        if "lesions" not in self.tables:
            return {}
        say("step 1: segmenters on annotated slices")
        table = self.tables["lesions"]
        data = [self._learning_set(table, fold, name="lesions") for fold in self.folds]
        return self._train_folds(
            self.segmenters,
            {(seed, fold): data[fold] for seed in self._own_seeds for fold in range(len(data))},
        )

    def guided_sets(self, segmenters: FoldedRuns) -> FoldSets:
        """The classification set of every seed and fold, with the masks for mask guidance.

        The segmenter of a fold was not trained on the fold's test patients. A seed whose segmenter
        failed has no sets, since its classifiers would get other masks than those of the other seeds.

        Raises:
          TrainingError: stopped by a signal; the same call resumes.
        """
        guide = self._guide(segmenters)
        place = self.sets.slice_set()
        assert place is not None, "asked for where there are slices"
        sets: dict[tuple[int, int], LearningSet] = {}
        for seed in self._own_seeds:
            if segmenters and seed not in guide:
                self.notes.append(
                    f"Seed {seed}: no masks, since {self.order.segmenter} did not finish all folds; "
                    "its classifiers were not trained."
                )
                continue
            for fold in self.folds:
                built = place
                if seed in guide:
                    built = self._predict_masks(guide[seed][fold.number], place)
                sets[seed, fold.number] = self._learning_set(
                    self.sets.table(built), fold, name="slices"
                )
        return sets

    def _guide(self, segmenters: FoldedRuns) -> dict[int, Sequence[PlannedRun]]:
        """By seed, the folds' runs of the segmenter that predicts masks; pretrained ones if any."""
        by_start = {
            arm.start: runs
            for arm, runs in segmenters.items()
            if arm.network == self.order.segmenter
        }
        return dict(by_start.get(Start.DRAWN) or by_start.get(Start.RANDOM) or {})

    def _predict_masks(self, run: PlannedRun, place: Path) -> Path:
        """The slices at `place` with masks predicted by a segmenter's run."""
        say(f"masks by {run.title}")
        out = run.folder / f"masks-{self.sets.table(place).fingerprint[:12]}"
        began = time.monotonic()
        masks = segment(run.folder, data=place, out=out)
        seconds_file = run.folder / f"{out.name}{SUFFIX}"
        self.times.count(MASKS, seconds_file)
        if masks.written:
            seconds = time.monotonic() - began
            self.times.add(MASKS, seconds_file, seconds=seconds, goes_on=masks.earlier > 0)
        if not masks.finished:
            raise TrainingError(
                "stopped while predicting masks; give the same command again to go on"
            )
        masked = self.sets.slice_set(masks=out)
        assert masked is not None, "there are slices"
        return masked

    def classify(self, sets: FoldSets) -> FoldedRuns | None:
        """Train the classifiers on all folds of the slices; None when stopped."""
        say("step 2: classifiers")
        return self._train_folds(self.classifiers, sets)

    @property
    def seeds(self) -> list[int]:
        """The seeds that are judged, trained here or earlier."""
        return sorted({*range(self.budget.seeds), *self.earlier.seeds})

    @property
    def _own_seeds(self) -> list[int]:
        return [seed for seed in self.seeds if seed not in self.earlier.seeds]

    def _learning_set(self, table: SliceTable, fold: Fold, *, name: str) -> LearningSet:
        split = written_split(
            table, fold.splits[name], name=name, folder=self.order.folder / "splits"
        )
        return LearningSet(table.directory, table.fingerprint, split)

    def _train_folds(self, networks: Mapping[str, ConfigDict], sets: FoldSets) -> FoldedRuns | None:
        """Train every network from both starts, by seed and fold; None when stopped.

        The outer loop is over seeds and folds, so that all arms have finished folds early.
        """
        labels, runs = labels_of(networks), list[FoldRun]()
        for (seed, fold), data in sets.items():
            for name, config in networks.items():
                for start in Start:
                    pretrained = self.pretrained.get((name, seed))
                    if start is Start.DRAWN and pretrained is None:
                        continue
                    runs.append(
                        fold_run(
                            Arm(name, start, labels[name]),
                            config,
                            seed=seed,
                            fold=fold,
                            folds=len(self.folds),
                            data=data,
                            pretrained=pretrained if start is Start.DRAWN else None,
                            folder=self.order.folder,
                        )
                    )
        outcomes = self._do([planned.run for planned in runs])
        if outcomes is None:
            return None
        return finished_folds(runs, outcomes, folds=len(self.folds))
