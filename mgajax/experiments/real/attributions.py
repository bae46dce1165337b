"""Do classifiers base their decisions on lesions? Attributions of a few test slices of each fold."""

import hashlib
import json
import time
import warnings
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import jax
import numpy as np
from jaxtyping import Int

from mgajax.data.cache import PreparedSet, open_prepared_set
from mgajax.data.loader import to_float
from mgajax.data.preparation import Preparation
from mgajax.data.table import SliceTable
from mgajax.errors import ConfigError
from mgajax.evaluation.evaluation_report import results_folder
from mgajax.evaluation.overlap import lesion_overlap
from mgajax.evaluation.predictions import Predictions, concatenate
from mgajax.experiments.attributions import CHOSEN, TITLES
from mgajax.experiments.compare import measured_arms, predictions_of
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.real.arms import FoldedRuns
from mgajax.experiments.real.classifiers import replicates_of
from mgajax.experiments.real.folds import Fold
from mgajax.experiments.real.stage_times import SUFFIX, StageTimes
from mgajax.experiments.study import Metrics, StudyResults
from mgajax.explanation.attribution import CompletenessWarning
from mgajax.explanation.baselines import black
from mgajax.explanation.methods import METHODS, ExplanationTask, explain_slices
from mgajax.explanation.scores import relevance
from mgajax.progress import say
from mgajax.schema import MASK_ORIGINS, NORMAL
from mgajax.training.trained import load_trained

SLICES = 8
"""Number of explained slices of each fold, the same ones for all networks and seeds."""

SEED = 0
"""Of the choice of slices."""

READING = "positive"
"""Which part of an attribution is scored: the evidence for the true class."""

STAGE = "attributions of one classifier"
"""Name of the stage in the results."""

TABLE = "Attributions on {} lesions"
"""Heading of a table; one for each origin of masks."""

ATTRIBUTION: Metrics = {
    "attention.attention_in_lesion": "Attribution on lesion",
    "attention.cell_hit": "Highest pixel on lesion",
    "attention.rank_auc": "ROC AUC of pixels",
    "attention.top_area_iou": "IoU, lesion-sized area",
    "attention.adds_up": "Maps that add up",
}
"""The columns of the attention scores, here for maps of the slice's size; and the share of maps whose
sum is the logit's difference from the black picture, within a tenth of it."""


@dataclass(frozen=True, eq=False)
class ChosenSlices:
    """Test slices of one fold, the same ones for all networks and seeds.

    Attributes:
      file_names: of each.
      origins: of the mask of each.
    """

    file_names: np.ndarray
    origins: np.ndarray

    def named(self, origin: str) -> np.ndarray:
        """The slices whose mask has that origin."""
        return self.file_names[self.origins == origin]


def examine_attributions(
    runs: FoldedRuns,
    *,
    table: SliceTable,
    folds: Sequence[Fold],
    has_guide: bool,
    times: StageTimes,
) -> StudyResults:
    """Score the evidence for the true class against lesion masks; a table for each origin of masks.

    Args:
      runs: of classifiers, finished and evaluated.
      table: of the slices that they classify.
      folds: with the split `slices`.
      has_guide: whether a segmenter predicted masks.
      times: gets the seconds of explaining.

    Raises:
      CheckpointError, DataError: a run that cannot be read.
    """
    whole = {arm: by_seed for arm, by_seed in runs.items() if by_seed}
    if not whole:
        return StudyResults([])
    chosen = [choose_slices(fold, table=table, has_guide=has_guide) for fold in folds]
    scored: dict[str, dict[int, Predictions]] = {}
    for _, arms in groupby(whole.items(), key=lambda item: item[0].network):
        for arm, by_seed in arms:
            for seed, folds_of_seed in by_seed.items():
                for method, joined in _score_folds(folds_of_seed, chosen, times).items():
                    name = f"{arm.name}, {METHODS[method].title}"
                    scored.setdefault(name, {})[seed] = joined
        jax.clear_caches()  # programs of no use to the next network
    rows = []
    for origin in MASK_ORIGINS[1:]:
        names = np.concatenate([slices.named(origin) for slices in chosen])
        if not len(names):
            continue
        of_origin = {
            name: {
                seed: predictions.select(np.isin(predictions.file_names, names))
                for seed, predictions in by_seed.items()
            }
            for name, by_seed in scored.items()
        }
        heading = TABLE.format(origin)
        rows += measured_arms(replicates_of(of_origin), table=heading, metrics=ATTRIBUTION)
    return StudyResults(rows, notes=[_note(chosen)])


def choose_slices(
    fold: Fold, *, table: SliceTable, has_guide: bool, limit: int = SLICES
) -> ChosenSlices:
    """Choose the slices of a fold to explain, alternating between annotated and predicted masks.

    The choice depends on no network: whether a mask has a lesion is not looked at. Every patient gives
    one slice before any gives a second one. Normal slices are not used, even if a segmenter marked a
    lesion in them.

    Args:
      fold: with the split `slices`.
      table: of the slices, without predicted masks.
      has_guide: whether a segmenter predicts the masks of slices without an annotated one; if none
        does, they are not chosen.
      limit: the most slices.
    """
    _, annotated, predicted = MASK_ORIGINS
    test = fold.splits["slices"].indices("test")
    test = test[table.labels[test] != NORMAL]
    if not has_guide:
        test = test[table.mask_origins[test] == annotated]
    origins = np.where(table.mask_origins[test] == annotated, annotated, predicted)
    names, people = table.file_names[test], table.patients[test]
    order = np.random.default_rng([SEED, fold.number]).permutation(len(test))
    of_person = [(origins[row], people[row]) for row in order]
    order = order[np.argsort(_count_earlier(of_person), kind="stable")]
    in_turn = order[np.argsort(_count_earlier(origins[order].tolist()), kind="stable")][:limit]
    return ChosenSlices(names[in_turn], origins[in_turn])


def _count_earlier(keys: Sequence[Hashable]) -> Int[np.ndarray, "n"]:
    """How many equal keys come before each."""
    counted: Counter[Hashable] = Counter()
    counts = []
    for key in keys:
        counts.append(counted[key])
        counted[key] += 1
    return np.array(counts, np.int64)


def _score_folds(
    folds: Sequence[PlannedRun], chosen: Sequence[ChosenSlices], times: StageTimes
) -> dict[str, Predictions]:
    """By method, predictions for the chosen slices of all folds, with scores of their attributions."""
    parts = [
        attribute_slices(run, slices.file_names, times=times)
        for run, slices in zip(folds, chosen, strict=True)
        if len(slices.file_names)
    ]
    return {
        method: concatenate([part[method] for part in parts])
        for method in CHOSEN
        if parts and all(method in part for part in parts)
    }


def attribute_slices(
    run: PlannedRun, names: np.ndarray, *, times: StageTimes
) -> dict[str, Predictions]:
    """By method, a run's predictions for slices, with scores of its attributions against their lesions.

    They are stored beside the run's evaluation. A method without a rule for one of the network's
    operations is left out, with a message.

    Args:
      run: of a classifier.
      names: file names of the slices.
      times: gets the seconds that it took.

    Raises:
      CheckpointError: the run has no checkpoint.
    """
    mark = hashlib.sha256(json.dumps([names.tolist(), READING]).encode()).hexdigest()[:12]
    splits = {method: f"attributions-{mark}-{method}" for method in CHOSEN}
    folder, task = results_folder(run.folder), None
    seconds_file, began = run.folder / f"attributions-{mark}{SUFFIX}", time.monotonic()
    times.count(STAGE, seconds_file)
    by_method = {}
    for method, split in splits.items():
        path = folder / f"{split}_predictions.csv"
        if not path.is_file():
            task = task or _make_task(run, names)
            try:
                columns = _score_maps(run, names, method=method, task=task)
            except ConfigError as error:
                say(f"{run.title}: no attributions by {METHODS[method].title}: {error}")
                continue
            predictions = predictions_of(run)
            rows = [predictions.file_names.tolist().index(name) for name in names]
            replace(predictions.select(np.array(rows)), split=split, overlap=columns).write_csv(
                path
            )
        by_method[method] = predictions_of(run, split=split)
    if task is not None:
        times.add(STAGE, seconds_file, seconds=time.monotonic() - began)
    return by_method


def _make_task(run: PlannedRun, names: np.ndarray) -> ExplanationTask:
    """The slices, a black baseline for each, and their true classes."""
    prepared, trained = _open_slices(run), load_trained(run.folder)
    rows = _find_rows(prepared, names)
    images = np.asarray(to_float(prepared.images[rows]))
    targets = prepared.table.labels[rows].astype(np.int64)
    variables = jax.device_get(trained.variables)
    return ExplanationTask(trained.model, variables, images, black(images), targets)


def _score_maps(
    run: PlannedRun, names: np.ndarray, *, method: str, task: ExplanationTask
) -> dict[str, np.ndarray]:
    """Scores of each map against its lesion, and 1 where the map adds up, else 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompletenessWarning)  # told as a score
        maps = explain_slices(run.title, METHODS[method], task).maps
    prepared = _open_slices(run)
    masks = prepared.masks[_find_rows(prepared, names)][..., 0]
    scores = lesion_overlap(relevance(maps.values, reading=READING), masks)
    assert maps.adds_up is not None, "both methods are attributions"
    return {**scores, "adds_up": maps.adds_up.astype(np.float64)}


def _open_slices(run: PlannedRun) -> PreparedSet:
    """The slices of a run with the masks of its seed and fold."""
    return open_prepared_set(
        run.config.data.dir,
        settings=Preparation(**run.config.preparation),
        cache_dir=run.config.data.cache_dir or None,
    )


def _find_rows(prepared: PreparedSet, names: np.ndarray) -> Int[np.ndarray, "_"]:
    row_of: Mapping[str, int] = {
        name: row for row, name in enumerate(prepared.table.file_names.tolist())
    }
    return np.array([row_of[name] for name in names.tolist()], np.int64)


def _note(chosen: Sequence[ChosenSlices]) -> str:
    origins = np.concatenate([slices.origins for slices in chosen])
    if not len(origins):
        return "Attributions: no test slice has a mask."
    annotated, predicted = (int((origins == origin).sum()) for origin in MASK_ORIGINS[1:])
    note = (
        f"Attributions ({TITLES}, against a black picture): evidence for the true class on "
        f"{len(origins)} test slices, at most {SLICES} a fold, chosen by seed {SEED}, the same for all "
        f"networks and seeds. {annotated} of their masks are annotated, {predicted} predicted by step 1"
    )
    if not predicted:
        return f"{note}."
    return (
        f"{note}, which are in a table of their own: they are no truth, and MGA learned from masks "
        "like them. A slice whose mask has no lesion is in no mean."
    )
