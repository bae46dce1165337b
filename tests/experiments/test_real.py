"""Experiment real: its stages in order, its tables, and resuming."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pretended_chain import SEGMENTED, PretendedTraining
from pretended_runs import predicted

from mgajax.data.table import read_table
from mgajax.errors import ConfigError
from mgajax.evaluation.other_set import JudgingData
from mgajax.evaluation.segmentation_counts import SegmentationCounts
from mgajax.evaluation.segmenter_comparison import StoredEvaluation
from mgajax.experiments.real import chain as stages
from mgajax.experiments.real.arms import Arm, Start
from mgajax.experiments.real.classifiers import ALONE, GAIN, source_alone, within_sources
from mgajax.experiments.real.experiment import run_real
from mgajax.experiments.real.folds import deal_folds
from mgajax.experiments.real.model_card import card_page
from mgajax.experiments.real.order import RealOrder
from mgajax.experiments.real.segmenters import lesion_replicates
from mgajax.experiments.real.sets import RealSets


def test_both_steps_are_evaluated_on_test_patients(
    training: PretendedTraining,
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
    gains = "COVID-19: drawn slices minus random weights", "ResNet18 + CBAM + MGA"
    assert rows[*gains, "ROC AUC outside"]["value"] == 0, "as all predict alike there"
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


def test_the_gain_within_a_source_is_over_its_people_alone() -> None:
    """Drawn slices help in the one source, and other sources have no say."""
    starts = {start: Arm("resnet18", start, "ResNet18") for start in Start}
    judged = {
        arm.name: {
            seed: predicted(skill=2.0 if start is Start.DRAWN else 0.0, seed=seed)
            for seed in (0, 1)
        }
        for start, arm in starts.items()
    }
    rows = within_sources(judged, arms=[*starts.values()])
    (gain,) = (row for row in rows if row.table == GAIN)
    assert (gain.name, gain.metric) == ("ResNet18", "ROC AUC within zhao")
    drawn, random = (
        next(row.value for row in rows if row.name == starts[start].name)
        for start in (Start.DRAWN, Start.RANDOM)
    )
    assert gain.value == pytest.approx(drawn - random)
    assert gain.low > 0


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
    training: PretendedTraining, order: RealOrder, phantom: Path
) -> None:
    training.stop_at = "unet from random weights"
    assert run_real(order, build=lambda *_, **__: phantom) is None
    assert not any("resnet18 from" in run.title for run in training.finished)
    assert not (order.workdir / "results.json").exists()


def test_failed_runs_are_left_out_and_reported(
    training: PretendedTraining, order: RealOrder, phantom: Path, monkeypatch: pytest.MonkeyPatch
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
    training: PretendedTraining, order: RealOrder, phantom: Path
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
    training: PretendedTraining, order: RealOrder, phantom: Path, tmp_path: Path
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
def test_the_chain_runs_on_drawn_slices(order: RealOrder, tmp_path: Path) -> None:
    """One segmenter and one classifier: the others would train no other kind of stage."""
    import tfds_builders

    assert order.plan is not None
    plan = tmp_path / "pair.py"
    others = "    del plan.unet, plan.resnet18_cbam\n    return plan\n"
    plan.write_text(order.plan.read_text().replace("    return plan\n", others))

    def build(name: str, *, data_dir: Path, **options: object) -> Path:
        return tfds_builders.build(name, data_dir=data_dir, **options).directory

    experiment = run_real(replace(order, seeds=1, plan=plan), build=build)
    assert experiment is not None
    assert not experiment.failed
    results = json.loads((order.workdir / "results.json").read_text())
    assert {run["status"] for run in results["runs"]} == {"finished"}
