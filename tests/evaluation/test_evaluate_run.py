"""Evaluating a run: every slice once, the same numbers on any devices at any batch size."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_runs import without_figures

from mgajax.errors import CheckpointError, ConfigError, DataError
from mgajax.evaluation.evaluate import evaluate_run
from mgajax.evaluation.predictions import read_csv
from mgajax.training.checkpoints import CHECKPOINT_FOLDER, CheckpointName, Checkpoints
from mgajax.training.run import reopen_run


@pytest.fixture(scope="module")
def copied(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(trained, tmp_path_factory.mktemp("runs") / "evaluated"))


@pytest.fixture(scope="module")
def evaluated(copied: Path):
    return evaluate_run(copied)


def test_leaves_numbers_predictions_and_figures(copied: Path, evaluated) -> None:
    names = {path.name for path in evaluated.files}
    assert names == {
        "test.json",
        "test_predictions.csv",
        "test_roc.png",
        "test_confusion.png",
        "test_calibration.png",
        "test_attention.png",
        "training_curves.png",
    }
    assert all(path.stat().st_size > 0 for path in evaluated.files)
    written = json.loads((copied / "evaluation" / "test.json").read_text())
    assert written == json.loads(json.dumps(evaluated.metrics))
    assert {"three_class", "covid_vs_rest", "calibration", "per_source", "per_patient"} <= set(
        written
    )
    assert written["attention_overlap"]["slices"] == written["n"]
    assert "COVID-19 vs rest" in evaluated.table


def test_the_newest_checkpoint_has_results_of_its_own(copied: Path, evaluated) -> None:
    with Checkpoints(copied / CHECKPOINT_FOLDER, access="read") as checkpoints:
        newest = checkpoints.newest
    with without_figures():
        evaluation = evaluate_run(copied, checkpoint=CheckpointName.NEWEST)
    assert evaluation.metrics["checkpoint_step"] == newest
    assert {path.parent for path in evaluation.files} == {copied / "evaluation" / "newest"}
    written = json.loads((copied / "evaluation" / "test.json").read_text())
    assert written == json.loads(json.dumps(evaluated.metrics)), "of the best one, as before"


def test_counts_every_slice_of_the_split_once(copied: Path, evaluated) -> None:
    run = reopen_run(copied)
    expected = run.data.table.file_names[run.data.rows("test")]
    predictions = read_csv(copied / "evaluation" / "test_predictions.csv")
    assert sorted(predictions.file_names) == sorted(expected)
    assert evaluated.metrics["n"] == len(expected)
    confusion = np.array(evaluated.metrics["three_class"]["confusion_matrix"])
    assert confusion.sum() == len(expected)


def test_same_metrics_on_other_devices_at_another_batch_size(
    copied: Path, evaluated, tmp_path: Path
) -> None:
    """`test_evaluate_by_hand` has the other layouts, with a network that compiles at once."""
    layout = ("devices=8", "eval_batch_size=7", "parallel=jit")
    with without_figures():
        other = evaluate_run(
            Path(shutil.copytree(copied, tmp_path / "run")),
            out=tmp_path / "other.json",
            overrides=[f"--config.{word}" for word in layout],
        )
    for block in ("three_class", "covid_vs_rest", "calibration", "attention_overlap"):
        assert_close(other.metrics[block], evaluated.metrics[block], where=block)
    assert other.metrics["cross_entropy"] == pytest.approx(
        evaluated.metrics["cross_entropy"], abs=1e-6
    )


def assert_close(actual, expected, *, where: str) -> None:
    if isinstance(expected, dict):
        assert actual.keys() == expected.keys(), where
        for key in expected:
            assert_close(actual[key], expected[key], where=f"{where}.{key}")
    elif isinstance(expected, list):
        for index, pair in enumerate(zip(actual, expected, strict=True)):
            assert_close(*pair, where=f"{where}[{index}]")
    elif isinstance(expected, float):
        assert actual == pytest.approx(expected, abs=1e-6), where
    else:
        assert actual == expected, where


def test_a_folder_without_a_run_and_a_run_without_checkpoints(
    trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="must name a folder that `mgajax train` made"):
        evaluate_run(tmp_path)
    bare = tmp_path / "bare"
    shutil.copytree(trained, bare, ignore=shutil.ignore_patterns("checkpoints"))
    with pytest.raises(CheckpointError, match="train first"):
        evaluate_run(bare)


def test_an_empty_split_is_refused(trained: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(trained, tmp_path / "run"))
    lines = (other / "split.csv").read_text().replace(",test\n", ",unused\n")
    (other / "split.csv").write_text(lines)
    with pytest.raises(DataError, match="split 'test' has no slices"):
        evaluate_run(other)


def test_keys_that_change_numbers_cannot_be_set(copied: Path) -> None:
    with pytest.raises(ConfigError, match="seed cannot change here"):
        evaluate_run(copied, overrides=["--config.seed=1"])
