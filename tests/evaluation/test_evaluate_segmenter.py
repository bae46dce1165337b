"""Evaluating a segmentation run: at each slice's own pixels, each slice once."""

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from drawn_runs import Bright, checkpointed, without_figures
from PIL import Image
from pretended import Predict, segmenter_config, stream_of, untrained

from mgajax.data.table import iter_encoded
from mgajax.evaluation import segmentation_metrics
from mgajax.evaluation.evaluate import evaluate_run
from mgajax.evaluation.evaluate_segmenter import evaluate_segmenter, panel_slices
from mgajax.evaluation.evaluation_report import slices_of_split
from mgajax.training import run_setup
from mgajax.training.loop import validate
from mgajax.training.run import Run, reopen_run
from mgajax.training.tasks import CROSS_ENTROPY


@pytest.fixture(scope="module")
def run(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return untrained(phantom, tmp_path_factory.mktemp("runs") / "run")


def _evaluate(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, *, predict: Predict):
    monkeypatch.setattr(Run, "stream", stream_of({"unet": predict}))
    slices = slices_of_split(run, "test")
    return evaluate_segmenter(
        run,
        dataclasses.replace(slices, rows=slices.rows[::-1].copy()),  # in any order
        state=run.state_shapes(),
        step=7,
        out=folder / "numbers.json",
        folder=folder,
    )


@pytest.fixture(scope="module")
def perfect(run: Run, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("perfect")
    with pytest.MonkeyPatch.context() as monkeypatch:
        return folder, _evaluate(run, folder, monkeypatch, predict=lambda shares: shares)


def test_leaves_numbers_slices_and_figures(run: Run, perfect) -> None:
    folder, evaluation = perfect
    assert [path.name for path in evaluation.files] == [
        "numbers.json",
        "test_slices.csv",
        "test_panel.png",
        "test_dice.png",
        "training_curves.png",
    ]
    assert all(path.parent == folder and path.stat().st_size > 0 for path in evaluation.files)
    written = json.loads((folder / "numbers.json").read_text())
    assert written == evaluation.metrics
    assert written["task"] == "segmentation"
    assert written["model"] == "unet"
    assert (written["checkpoint_step"], written["threshold"]) == (7, 0.5)
    assert written["cross_entropy"] == pytest.approx(run.data.rows("test").mean())
    assert written["n"] == len(run.data.rows("test"))
    assert len(run.data.split.indices("test")) == (
        written["n"] + written["slices_without_mask"] + written["unreadable_slices"]
    )
    assert evaluation.table.startswith("unet, test split: ")


def test_prepared_masks_come_back_to_nearly_the_stored_ones(perfect) -> None:
    """What is lost is the resize from the slices' 96 pixels to 64 and back."""
    _, evaluation = perfect
    assert evaluation.metrics["pooled"]["dice"] > 0.9
    assert evaluation.metrics["per_image"]["hausdorff95"] < 4


def test_the_slice_table_sums_to_the_pooled_counts(run: Run, perfect) -> None:
    folder, evaluation = perfect
    with (folder / "test_slices.csv").open() as file:
        lines = list(csv.DictReader(file))
    rows = run.data.rows("test")
    assert [line["file_name"] for line in lines] == run.data.table.file_names[rows].tolist()
    assert [line["patient"] for line in lines] == run.data.table.patients[rows].tolist()
    for name in ("true_positive", "false_positive", "false_negative", "true_negative"):
        assert sum(int(line[name]) for line in lines) == evaluation.metrics["pooled"][name]
    dice = np.array([float(line["dice"]) for line in lines])
    assert dice.mean() == pytest.approx(evaluation.metrics["per_image"]["dice"])
    for line in lines:
        lesion = int(line["true_positive"]) + int(line["false_negative"])
        assert (line["recall"] == "") == (lesion == 0)


def test_masks_are_the_stored_ones_at_their_own_size(run: Run, tmp_path, monkeypatch) -> None:
    """Calling everything in each slice's box a lesion: recall 1, precision the lesion's share."""
    with without_figures():
        evaluation = _evaluate(run, tmp_path, monkeypatch, predict=np.ones_like)
    rows = run.data.rows("test").tolist()
    truths, boxes = [], []
    for row, _, mask in iter_encoded(run.data.table.directory, rows=rows):
        with Image.open(io.BytesIO(mask)) as picture:
            truths.append(np.asarray(picture) > 0)
        top, left, bottom, right = run.data.boxes[row]
        boxes.append(np.zeros(truths[-1].shape, bool))
        boxes[-1][top:bottom, left:right] = True
    table = run.data.table
    expected = segmentation_metrics(
        boxes, truths, table.patients[rows], sources=table.sources[rows]
    )
    assert expected["pooled"]["precision"] < 0.5 < expected["pooled"]["recall"]
    assert {key: evaluation.metrics[key] for key in expected} == expected


def test_a_segmenter_that_finds_nothing(run: Run, tmp_path, monkeypatch) -> None:
    metrics = _evaluate(run, tmp_path, monkeypatch, predict=np.zeros_like).metrics
    assert metrics["pooled"]["recall"] == 0
    assert metrics["pooled"]["precision"] is None
    assert (
        metrics["empty_masks"]["lesion_but_none_predicted"]
        == (metrics["empty_masks"]["with_lesion"])
    )


def test_the_panel_shows_the_median_and_the_worst_of_the_largest_sources() -> None:
    dice = np.array([0.9, 0.1, 0.5, 0.8, 0.2, 1.0, 0.7, 0.3, 0.6])
    sources = np.array(["a", "a", "a", "b", "b", "b", "b", "c", "d"])
    lesion = np.array([True] * 5 + [False] + [True] * 3)
    chosen = panel_slices(dice, sources=sources, has_lesion=lesion)
    assert chosen.tolist() == [2, 1, 6, 4, 7]
    alone = panel_slices(dice[:3], sources=sources[:3], has_lesion=np.zeros(3, bool))
    assert alone.tolist() == [2, 1]
    many = panel_slices(
        np.linspace(0, 1, 101), sources=np.full(101, "a"), has_lesion=np.ones(101, bool)
    )
    assert many.tolist() == [50, 40, 30, 20, 10, 0]


def test_a_run_with_a_checkpoint_is_evaluated_by_the_same_command(
    phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each slice of the split once, and with the loss that training would log."""
    monkeypatch.setattr(run_setup, "make_model", lambda config, axis_name: Bright())
    workdir = checkpointed(
        tmp_path / "run",
        segmenter_config(phantom, "--config.preparation.image_size=32"),
        {"level": np.float32(0.2)},
    )
    evaluation = evaluate_run(workdir, split="validation")
    assert {path.name for path in evaluation.files} >= {"validation.json", "validation_slices.csv"}
    run = reopen_run(workdir)
    rows = run.data.rows("validation")
    assert len(rows) % run.config.eval_batch_size, "the last batch is not full"
    assert evaluation.metrics["n"] == len(rows)
    with (workdir / "evaluation" / "validation_slices.csv").open() as file:
        names = [line["file_name"] for line in csv.DictReader(file)]
    assert names == run.data.table.file_names[np.sort(rows)].tolist()
    state, _ = run.restore_state()
    expected = validate(run, state)[CROSS_ENTROPY]
    assert evaluation.metrics["cross_entropy"] == pytest.approx(expected, rel=1e-6)
