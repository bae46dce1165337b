"""Attributions of a few slices of each fold: which ones, their scores, and that none is made twice."""

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_runs import brightness_run

from mgajax.data.cache import PreparedSet
from mgajax.data.patient_groups import Split
from mgajax.errors import ConfigError
from mgajax.evaluation.predictions import Predictions
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.real import attributions
from mgajax.experiments.real.arms import Arm, FoldedRuns, Start
from mgajax.experiments.real.attributions import choose_slices, examine_attributions
from mgajax.experiments.real.folds import Fold
from mgajax.experiments.real.stage_times import StageTimes
from mgajax.experiments.study import StudyResults
from mgajax.explanation.attribution import CompletenessWarning
from mgajax.explanation.methods import ExplanationTask, Method, MethodMaps
from mgajax.schema import COVID, NORMAL

ARM = Arm("mga_resnet18", Start.RANDOM, "MGA")


@pytest.fixture
def prepared(small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedSet:
    """The phantom with every second COVID-19 slice's mask as if a network had predicted it."""
    whole = attributions._open_slices(planned(small_config(), tmp_path, fold=0))
    covid = np.flatnonzero(whole.table.labels == COVID)
    origins = whole.table.mask_origins.astype("<U9")
    origins[covid[::2]] = "predicted"
    half_annotated = replace(whole, table=replace(whole.table, mask_origins=origins))
    monkeypatch.setattr(attributions, "_open_slices", lambda run: half_annotated)
    monkeypatch.setattr(attributions, "load_trained", lambda folder: brightness_run())
    return half_annotated


def planned(config, folder: Path, *, fold: int) -> PlannedRun:
    return PlannedRun("mga", 0, config, folder / f"fold{fold}", "")


@pytest.fixture
def folds(prepared: PreparedSet) -> list[Fold]:
    """COVID-19 and Normal slices, every second one judged in the first fold, the others in the second."""
    halves = []
    for number in range(2):
        assignment = np.full(len(prepared.table), -1, np.int8)
        used = np.flatnonzero(prepared.table.labels <= COVID)
        assignment[used] = np.where(used // 2 % 2 == number, 2, 0)
        halves.append(Fold(number, {"slices": Split("fold", assignment)}))
    return halves


@pytest.fixture
def runs(prepared: PreparedSet, folds: list[Fold], small_config, tmp_path: Path) -> FoldedRuns:
    """One seed of one network, whose predictions of both folds are there."""
    fold_runs = []
    for fold in folds:
        run = planned(small_config(), tmp_path, fold=fold.number)
        test = fold.splits["slices"].indices("test")
        (run.folder / "evaluation").mkdir(parents=True)
        Predictions(
            file_names=prepared.table.file_names[test],
            labels=prepared.table.labels[test].astype(np.int64),
            probabilities=np.full((len(test), 3), 1 / 3),
            patients=prepared.table.patients[test],
            sources=prepared.table.sources[test],
            split="test",
        ).write_csv(run.folder / "evaluation" / "test_predictions.csv")
        fold_runs.append(run)
    return {ARM: {0: fold_runs}}


def examined(runs: FoldedRuns, prepared: PreparedSet, folds: list[Fold]) -> StudyResults:
    return examine_attributions(
        runs, table=prepared.table, folds=folds, has_guide=True, times=StageTimes()
    )


def test_both_kinds_of_masks_take_turns_and_people_too(
    runs: FoldedRuns, prepared: PreparedSet, folds: list[Fold]
) -> None:
    table = prepared.table
    fold = folds[0]
    chosen = choose_slices(fold, table=table, has_guide=True, limit=6)
    assert Counter(chosen.origins.tolist()) == {"annotated": 3, "predicted": 3}
    rows = np.flatnonzero(np.isin(table.file_names, chosen.file_names))
    assert set(rows) <= set(fold.splits["slices"].indices("test"))
    assert (table.labels[rows] != NORMAL).all()
    alone = choose_slices(fold, table=table, has_guide=False, limit=6)
    assert set(alone.origins.tolist()) == {"annotated"}
    every = choose_slices(fold, table=table, has_guide=True, limit=100)
    people = {
        origin: len({table.patients[row] for row in _rows(prepared, every.named(origin))})
        for origin in ("annotated", "predicted")
    }
    for origin, count in people.items():
        first = every.named(origin)[:count]
        assert len({table.patients[row] for row in _rows(prepared, first)}) == count


def _rows(prepared: PreparedSet, names: np.ndarray) -> list[int]:
    return [prepared.table.file_names.tolist().index(name) for name in names]


def test_a_slice_with_an_empty_mask_is_in_no_mean(
    runs: FoldedRuns,
    prepared: PreparedSet,
    folds: list[Fold],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = examined(runs, prepared, folds)
    chosen = [choose_slices(fold, table=prepared.table, has_guide=True) for fold in folds]
    names = chosen[0].named("predicted")
    masks = np.array(prepared.masks)
    masks[_rows(prepared, names[:1])] = 0
    emptied = replace(prepared, masks=masks)
    monkeypatch.setattr(attributions, "_open_slices", lambda run: emptied)
    for path in runs[ARM][0][0].folder.rglob("attributions-*_predictions.csv"):
        path.unlink()
    measured = _measured(examined(runs, emptied, folds), "predicted")
    assert measured != _measured(whole, "predicted")
    assert measured == pytest.approx(_share(emptied, folds, "predicted"), rel=1e-4)


def _measured(results: StudyResults, origin: str, *, method: str = "Integrated Gradients") -> float:
    (row,) = (
        row
        for row in results.rows
        if row.table == f"Attributions on {origin} lesions"
        and row.name == f"MGA, random weights, {method}"
        and row.metric == "Attribution on lesion"
    )
    assert row.value is not None
    return row.value


def test_attributions_are_scored_against_lesions_once(
    runs: FoldedRuns, prepared: PreparedSet, folds: list[Fold], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = examined(runs, prepared, folds)
    for origin in ("annotated", "predicted"):
        by_gradients, by_deeplift = (
            _measured(results, origin, method=method)
            for method in ("Integrated Gradients", "DeepLIFT Rescale")
        )
        assert by_gradients == pytest.approx(by_deeplift, rel=1e-4), "a linear network"
        assert by_gradients == pytest.approx(_share(prepared, folds, origin), rel=1e-4)
    assert {row.value for row in results.rows if row.metric == "Maps that add up"} == {1.0}
    (note,) = results.notes
    assert "16 test slices, at most 8 a fold" in note
    assert "8 of their masks are annotated, 8 predicted by step 1" in note
    monkeypatch.setattr(attributions, "load_trained", None)
    assert examined(runs, prepared, folds).rows == results.rows


def test_a_map_that_does_not_add_up_is_counted_and_stops_nothing(
    runs: FoldedRuns, prepared: PreparedSet, folds: list[Fold], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explain(title: str, method: Method, task: ExplanationTask) -> MethodMaps:
        warnings.warn("half of them", CompletenessWarning, stacklevel=1)
        maps = explained(title, method, task)
        half = np.arange(len(task.images)) % 2 == 0
        return replace(maps, maps=replace(maps.maps, adds_up=half))

    explained = attributions.explain_slices
    monkeypatch.setattr(attributions, "explain_slices", explain)
    rows = [row for row in examined(runs, prepared, folds).rows if row.metric == "Maps that add up"]
    assert sum(row.value or 0.0 for row in rows) == pytest.approx(len(rows) / 2)


def _share(prepared: PreparedSet, folds: list[Fold], origin: str) -> float:
    """Of what a slice is brighter than black, the share on its lesion; the mean over chosen slices."""
    shares = []
    for fold in folds:
        chosen = choose_slices(fold, table=prepared.table, has_guide=True)
        for row in _rows(prepared, chosen.named(origin)):
            grey, lesion = prepared.images[row] / 1.0, prepared.masks[row] / 255
            if lesion.any():
                shares.append(float((grey * lesion).sum() / grey.sum()))
    return float(np.mean(shares))


def test_a_method_without_a_rule_for_the_network_is_reported_and_left_out(
    runs: FoldedRuns,
    prepared: PreparedSet,
    folds: list[Fold],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def explain(title: str, method, task):
        if method.title == "DeepLIFT Rescale":
            raise ConfigError("sort: no rule for this operation")
        return explained(title, method, task)

    explained = attributions.explain_slices
    monkeypatch.setattr(attributions, "explain_slices", explain)
    results = examined(runs, prepared, folds)
    assert {row.name for row in results.rows} == {"MGA, random weights, Integrated Gradients"}
    assert "no attributions by DeepLIFT Rescale: sort: no rule" in capsys.readouterr().err
