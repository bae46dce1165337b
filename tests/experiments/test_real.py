"""Experiment real: its stages in order, its tables, and resuming."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pretended_runs import predicted
from unrendered import leave_blank

from mgajax.data.table import SliceTable, read_table
from mgajax.errors import ConfigError
from mgajax.evaluation.other_set import JudgingData
from mgajax.evaluation.predictions import Predictions
from mgajax.evaluation.segmentation_counts import BOUNDARY, PIXELS, SegmentationCounts
from mgajax.evaluation.segmenter_comparison import StoredEvaluation
from mgajax.experiments.compare import predictions_of
from mgajax.experiments.execution import RunOutcome, RunStatus
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.real import attributions
from mgajax.experiments.real import chain as stages
from mgajax.experiments.real.classifiers import ALONE, source_alone
from mgajax.experiments.real.experiment import run_real
from mgajax.experiments.real.folds import deal_folds
from mgajax.experiments.real.model_card import card_page
from mgajax.experiments.real.order import RealOrder
from mgajax.experiments.real.segmenters import lesion_replicates
from mgajax.experiments.real.sets import RealSets
from mgajax.files import write_csv, write_json, write_text
from mgajax.inference.segment import SegmentSummary
from mgajax.schema import CLASS_NAMES, NORMAL

PLAN = """
from mgajax.config import classification, segmentation
from ml_collections import ConfigDict


def get_config():
    plan = ConfigDict(sort_keys=False)
    plan.hmsanet = segmentation("hmsanet")
    plan.hmsanet.model.options.trunk = "hrnet_tiny"
    plan.unet = segmentation("unet")
    plan.unet.model.options.width = 1
    for name in ("resnet18_cbam", "mga_resnet18"):
        plan[name] = classification(name)
        plan[name].model.options.width = 16
        plan[name].model.options.depths = (1, 1, 1, 1)
    return plan
"""


@dataclass
class FakeTraining:
    """Replaces training: every run has results at once, better ones after pretraining."""

    table: SliceTable
    finished: list[PlannedRun]
    stop_at: str = "nowhere"
    fail_at: str = "nowhere"

    def run_all(self, runs: Sequence[PlannedRun], *, jobs: int) -> list[RunOutcome]:
        outcomes = []
        for run in runs:
            status = RunStatus.FINISHED
            if self.fail_at in run.title:
                status = RunStatus.FAILED
            elif self.stop_at in run.title:
                status = RunStatus.STOPPED
            else:
                self.finish(run)
            outcomes.append(RunOutcome(run, status, reason="out of memory"))
        return outcomes

    def finish(self, run: PlannedRun) -> None:
        self.finished.append(run)
        (run.folder / "evaluation").mkdir(parents=True, exist_ok=True)
        write_json({"steps": 3, "finished": True}, run.folder / "summary.json")
        write_json({"seconds": 2.0, "peak_memory": 3 * 2**20}, run.folder / "done.json")
        write_text("head  1\n1,234 parameters, 0 running statistics", run.folder / "parameters.txt")
        if run.config.split.kind == "csv":
            skill = 1.0 + 2.0 * bool(run.config.init_from)
            segments = run.config.task == "segmentation"
            (self.write_segmenter if segments else self.write_classifier)(run, skill)

    def rows(self, run: PlannedRun, split: str) -> np.ndarray:
        with Path(run.config.split.path).open() as file:
            named = {line["file_name"] for line in csv.DictReader(file) if line["split"] == split}
        return np.flatnonzero(np.isin(self.table.file_names, list(named)))

    def write_segmenter(self, run: PlannedRun, skill: float) -> None:
        rng = np.random.default_rng(run.seed)
        lines: list[list[object]] = [["file_name", "patient", "source", *PIXELS, *BOUNDARY]]
        for row in self.rows(run, "test"):
            lesion = 80 * (self.table.labels[row] != NORMAL)
            hits = min(lesion, int(rng.integers(60, 80) * min(skill / 3, 1.0)))
            names = [getattr(self.table, key)[row] for key in ("file_names", "patients", "sources")]
            lines.append([*names, hits, 5, lesion - hits, 995 - lesion, 2.0, 0.5])
        folder = run.folder / "evaluation"
        write_csv(lines, folder / "test_slices.csv")
        write_json({"boundary": {"tolerance": 2.0, "unit": "px"}}, folder / "test.json")
        curve = [{"step": step, "validation/dice": skill * step / 60} for step in (5, 10, 15)]
        write_text("\n".join(map(json.dumps, curve)), run.folder / "metrics.jsonl")

    def write_classifier(self, run: PlannedRun, skill: float) -> None:
        for split in ("test", "validation"):
            rows = self.rows(run, split)
            predictions = of_rows(self.table, rows, skill=skill, seed=run.seed, split=split)
            predictions.write_csv(run.folder / "evaluation" / f"{split}_predictions.csv")


def of_rows(
    table: SliceTable, rows: np.ndarray, *, skill: float, seed: int, split: str
) -> Predictions:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(rows), len(CLASS_NAMES)))
    logits[np.arange(len(rows)), table.labels[rows]] += skill
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    score = np.full(len(rows), skill / 4)
    columns = ("lesion_area", "attention_in_lesion", "cell_hit", "rank_auc", "top_area_iou")
    return Predictions(
        file_names=table.file_names[rows],
        labels=table.labels[rows].astype(np.int64),
        probabilities=chances,
        patients=table.patients[rows],
        sources=table.sources[rows],
        split=split,
        overlap=dict.fromkeys(columns, score),
    )


def attribute(run: PlannedRun, names: np.ndarray, **_: object) -> dict[str, Predictions]:
    """Replaces attribution by the attention maps."""
    predictions = predictions_of(run)
    explained = predictions.select(np.isin(predictions.file_names, names))
    return dict.fromkeys(attributions.CHOSEN, explained)


@pytest.fixture
def training(phantom: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTraining:
    leave_blank(monkeypatch)
    fake = FakeTraining(read_table(phantom), finished=[])
    monkeypatch.setattr(stages, "run_all", fake.run_all)
    monkeypatch.setattr(attributions, "attribute_slices", attribute)
    return fake


@pytest.fixture
def order(tmp_path: Path) -> RealOrder:
    plan = tmp_path / "plan.py"
    plan.write_text(PLAN)
    return RealOrder(workdir=tmp_path / "out", plan=plan, budget="smoke", seeds=2)


def test_both_steps_are_evaluated_on_test_patients(
    training: FakeTraining,
    order: RealOrder,
    phantom: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    masks: list[tuple[Path, Path]] = []

    def segment(workdir: Path, *, data: Path, out: Path) -> object:
        new = out not in {folder for _, folder in masks}
        masks.append((workdir, out))
        return replace(SEGMENTED, folder=out, total=1, earlier=int(not new), written=int(new))

    requests: list[dict[str, object]] = []

    def build(name: str, **options: object) -> Path:
        requests.append(options)
        return phantom

    judged: list[Path] = []

    def evaluate(data: JudgingData, workdir: Path) -> None:
        assert data.place == tmp_path / "hospital"
        name = data.options.name
        assert name
        judged.append(workdir)
        outside = predicted(skill=1.0, seed=0, split=name)
        outside = replace(outside, patients=np.full(len(outside), ""))
        outside.write_csv(workdir / "evaluation" / f"{name}_predictions.csv")

    monkeypatch.setattr(stages, "segment", segment)
    monkeypatch.setattr(JudgingData, "evaluate", evaluate)
    order = replace(order, outside=tmp_path / "hospital")
    experiment = run_real(order, build=build)
    assert experiment is not None
    assert not experiment.failed
    results = json.loads((order.workdir / "results.json").read_text())
    rows = {(row["table"], row["name"], row["metric"]): row for row in results["rows"]}

    titles = [run.title for run in training.finished]
    kinds = ("on drawn slices", "hmsanet from", "resnet18 from")
    first = [next(n for n, title in enumerate(titles) if kind in title) for kind in kinds]
    assert first == sorted(first), "drawn slices, then segmenters, then classifiers"
    assert len(titles) == 4 * 2 + 4 * 2 * 2 * 2, "networks, and networks × starts × seeds × folds"
    assert len({run.folder for run in training.finished}) == len(titles)

    assert [out.parent for _, out in masks] == [workdir for workdir, _ in masks]
    guides = {run.folder: run.title for run in training.finished}
    assert {guides[workdir] for workdir, _ in masks} == {
        f"hmsanet from drawn slices, fold {fold} of 2, seed {seed}"
        for fold in (1, 2)
        for seed in (0, 1)
    }
    assert {str(out) for _, out in masks} == {o["masks"] for o in requests if "masks" in o}

    dice = rows["Lesions: all pixels pooled", "U-Net, drawn slices", "Dice"]
    assert dice["value"] > 0.8
    assert set(dice["seeds"]) == {"0", "1"}
    assert dice["low"] < dice["value"] < dice["high"]
    gain = rows["Lesions: drawn slices minus random weights", "HMSANet", "all sources"]
    assert gain["verdict"] == "holds"
    assert rows["Lesions: differences of networks", "HMSANet minus U-Net, drawn slices", "zhao"]
    marked = "Slices without a lesion", "U-Net, drawn slices"
    assert rows[*marked, "Slices with a predicted lesion"]["value"] == 1
    assert rows[*marked, "Predicted share of the pixels"]["value"] == pytest.approx(5 / 1000)
    steps = "Steps until a validation Dice of 0.3"
    assert rows[steps, "HMSANet, drawn slices", "Steps"]["value"] == 10
    never = rows[steps, "HMSANet, random weights", "Steps"]
    assert (never["value"], never["note"]) == (None, "0 of 4 runs reached it")

    table = "COVID-19 against the rest, slices"
    mga = rows[table, "ResNet18 + CBAM + MGA, drawn slices", "ROC AUC"]
    alone = rows[table, ALONE, "ROC AUC"]
    assert mga["value"] > rows[table, "ResNet18 + CBAM + MGA, random weights", "ROC AUC"]["value"]
    assert mga["value"] > alone["value"]
    assert rows[
        "Attention on annotated lesions", "ResNet18 + CBAM, drawn slices", "ROC AUC of pixels"
    ]
    explained = "ResNet18 + CBAM, drawn slices, DeepLIFT Rescale"
    assert rows["Attributions on annotated lesions", explained, "ROC AUC of pixels"]
    assert rows["Calibration", "ResNet18 + CBAM, drawn slices, after", "Log loss"]["value"] > 0
    outside = rows["COVID-19: the outside set", "ResNet18 + CBAM, drawn slices", "ROC AUC"]
    assert 0.5 < outside["value"] < 1
    cost = "What was trained, a run"
    assert rows[cost, "U-Net, random weights", "Parameters"]["value"] == 1234
    assert rows[cost, "U-Net, random weights", "Peak memory, MiB"]["value"] == 3
    stages_of_first = other_stages(order)
    assert stages_of_first["one classifier on the outside set", "Times"] == 16
    assert stages_of_first["one classifier on the outside set", "Seconds"] > 0
    assert stages_of_first["masks of one segmenter", "Times"] == 4
    assert stages_of_first["masks of one segmenter", "Seconds"] > 0
    assert "--budget smoke --seeds 2" in results["command"]
    assert any("each person is judged once a seed" in note for note in results["notes"])

    card = (order.workdir / "model_card.md").read_text()
    assert card.rstrip("\n") == card_page(results), "from what is committed, and nothing beside it"
    assert results["sets"]["slices"]["all"]["slices"] == len(training.table)
    assert not any(patient in card for patient in training.table.patients)

    before = len(training.finished)
    again = run_real(order, build=build)
    assert again is not None
    assert {run.folder for run in training.finished[before:]} == {
        run.folder for run in training.finished[:before]
    }, "equal orders have equal folders"
    assert len(judged) == len(set(judged)) == 16, "outside once a network"
    assert other_stages(order) == stages_of_first, "a later call tells them, too"


def other_stages(order: RealOrder) -> dict[tuple[str, str], float | None]:
    rows = json.loads((order.workdir / "results.json").read_text())["rows"]
    return {
        (row["name"], row["metric"]): row["value"]
        for row in rows
        if row["table"] == "What the other stages took"
    }


SEGMENTED = SegmentSummary(Path(), total=0, annotated=0, earlier=0)


def test_healthy_people_change_no_interval_of_lesions(tmp_path: Path) -> None:
    """They are of the same sources, and resampled by themselves."""
    rng, lesions = np.random.default_rng(0), np.arange(24) < 16
    found = rng.integers(1, 40, 24) * lesions
    columns = [found, rng.integers(0, 9, 24), 50 * lesions - found, np.full(24, 900)]
    evaluation = StoredEvaluation(
        workdir=tmp_path,
        metrics={},
        file_names=np.array([f"{number:02}.png" for number in range(24)]),
        patients=np.array([f"p{number // 2}" for number in range(24)]),
        sources=np.where(np.arange(24) % 4 < 2, "jun", "morozov"),
        counts=SegmentationCounts(*columns, np.ones(24), np.ones(24), tolerance=2.0, unit="px"),
    )
    names = ("file_names", "patients", "sources")
    alone = replace(
        evaluation,
        **{name: getattr(evaluation, name)[lesions] for name in names},
        counts=evaluation.counts.select(lesions),
    )
    both, expected = lesion_replicates(evaluation), lesion_replicates(alone)
    assert both.clusters["morozov.pooled.dice"] == 4
    assert both.clusters["healthy.marked"] == 4
    for path, values in expected.metrics.items():
        np.testing.assert_array_equal(both.metrics[path], values, err_msg=path)


def test_segmenters_see_the_normal_slices_of_the_classification_set(tmp_path: Path) -> None:
    requests: list[dict[str, object]] = []

    def build(name: str, **options: object) -> Path:
        requests.append(options)
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "dataset_info.json").touch()
        return tmp_path / name

    places = {"slices": tmp_path / "slices", "lesions": tmp_path / "lesions"}
    sets = RealSets(**places, build=build, folder=tmp_path, stand_in={})
    assert sets.lesion_set() == tmp_path / "covid_ct_lesions"
    assert requests[-1]["healthy"] == str(tmp_path / "slices")
    replace(sets, slices=None).lesion_set()
    assert "healthy" not in requests[-1]


def test_a_stopped_stage_ends_the_call(
    training: FakeTraining, order: RealOrder, phantom: Path
) -> None:
    training.stop_at = "unet from random weights"
    assert run_real(order, build=lambda *_, **__: phantom) is None
    assert not any("resnet18 from" in run.title for run in training.finished)
    assert not (order.workdir / "results.json").exists()


def test_failed_runs_are_left_out_and_reported(
    training: FakeTraining, order: RealOrder, phantom: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training.fail_at = "hmsanet on drawn slices"
    monkeypatch.setattr(stages, "segment", lambda *_, **__: SEGMENTED)
    experiment = run_real(replace(order, seeds=1), build=lambda *_, **__: phantom)
    assert experiment is not None
    assert len(experiment.failed) == 1
    results = json.loads((order.workdir / "results.json").read_text())
    names = {row["name"] for row in results["rows"] if row["table"].endswith("pooled")}
    assert names == {"HMSANet, random weights", "U-Net, random weights", "U-Net, drawn slices"}


def test_classifiers_are_not_trained_without_their_masks(
    training: FakeTraining, order: RealOrder, phantom: Path
) -> None:
    training.fail_at = "hmsanet from"
    results = run_real(replace(order, seeds=1), build=lambda *_, **__: phantom)
    assert results is not None
    assert not any("resnet18 from" in run.title for run in training.finished)
    notes = json.loads((order.workdir / "results.json").read_text())["notes"]
    assert (
        "Seed 0: no masks, since hmsanet did not finish all folds; its classifiers were not "
        in (" ".join(notes))
    )


def test_a_run_is_named_by_content_and_not_by_places(
    training: FakeTraining, order: RealOrder, phantom: Path, tmp_path: Path
) -> None:
    def build(*_: object, **__: object) -> Path:
        return phantom

    names = []
    for place in ("here", "there"):
        training.finished.clear()
        chain = stages.Chain(replace(order, seeds=1, runs=tmp_path / place), build=build)
        assert chain.pretrain()
        assert chain.segment()
        names.append([run.folder.name for run in training.finished])
    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0])


def test_the_source_alone_is_counted_among_others(phantom: Path) -> None:
    table = read_table(phantom)
    used = {"slices": table.labels < 2}
    folds = deal_folds({"slices": table}, used, folds=2, seed=0)
    alone = source_alone(table, folds)
    assert sorted(alone.file_names) == sorted(table.file_names[used["slices"]])
    fold = folds[0].splits["slices"]
    known = np.concatenate([fold.indices("train"), fold.indices("validation")])
    row = int(fold.indices("test")[0])
    labels_of_source = table.labels[known][table.sources[known] == table.sources[row]]
    share = (1 + (labels_of_source == 1).sum()) / (2 + len(labels_of_source))
    place = alone.file_names.tolist().index(table.file_names[row])
    assert alone.probabilities[place, 1] == pytest.approx(share)
    assert (alone.probabilities[:, 2] == 0).all(), "a class that is left out"


def test_an_unknown_segmenter_is_reported(order: RealOrder, phantom: Path) -> None:
    with pytest.raises(ConfigError, match="--segmenter unnet: did you mean 'unet'"):
        stages.Chain(replace(order, segmenter="unnet"), build=lambda *_, **__: phantom)


@pytest.mark.slow(finds="stages whose files do not fit together: weights, masks, splits, results")
def test_the_chain_runs_on_drawn_slices(order: RealOrder) -> None:
    import tfds_builders

    def build(name: str, *, data_dir: Path, **options: object) -> Path:
        return tfds_builders.build(name, data_dir=data_dir, **options).directory

    experiment = run_real(replace(order, seeds=1), build=build)
    assert experiment is not None
    assert not experiment.failed
    results = json.loads((order.workdir / "results.json").read_text())
    assert {run["status"] for run in results["runs"]} == {"finished"}
