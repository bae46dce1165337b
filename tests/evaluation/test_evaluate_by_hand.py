"""Evaluating a network whose every answer is known: all slices, all layouts, the right columns."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from drawn_runs import Brightness, checkpointed, without_figures
from scipy.special import softmax

from mgajax.data.loader import IMAGE_MEAN, IMAGE_STD
from mgajax.evaluation.evaluate import evaluate_run
from mgajax.training import run_setup
from mgajax.training.run import Run, reopen_run

NAMES = ("Normal", "COVID-19", "CAP")
"""Of the classes 0, 1 and 2."""

LEVEL = -0.35
"""Some slices are brighter, some are not."""

LAYOUTS = [
    (1, 1, "pmap"),
    (1, 32, "shard_map"),
    (2, 1, "pmap"),
    (2, 7, "shard_map"),
    (4, 7, "pmap"),
    (4, 32, "shard_map"),
    (8, 1, "shard_map"),
    (8, 7, "jit"),
    (8, 32, "pmap"),
]
"""Devices, batch size, and how they share the work."""


@pytest.fixture(scope="module")
def workdir(small_config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a run whose network is `Brightness`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_setup, "make_model", lambda config, axis_name: Brightness())
        folder = tmp_path_factory.mktemp("runs") / "brightness"
        yield checkpointed(folder, small_config(), {"level": np.float32(LEVEL)})


@pytest.fixture(scope="module")
def evaluated(workdir: Path):
    with without_figures():
        return evaluate_run(workdir)


@pytest.fixture(scope="module")
def lines(workdir: Path, evaluated) -> list[dict[str, str]]:
    """The rows of the predictions' file, as a spreadsheet reads them."""
    with (workdir / "evaluation" / "test_predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def logits_of(run: Run, rows: np.ndarray) -> np.ndarray:
    """What `Brightness` says of these rows of the table, in float64."""
    grey = run.data.images[rows].astype(np.float64).mean(axis=(1, 2, 3))
    score = (grey / 255 - IMAGE_MEAN) / IMAGE_STD - LEVEL
    return np.stack([np.zeros_like(score), score, -score], axis=1)


def with_layout(devices: int, batch_size: int, parallel: str) -> list[str]:
    return [
        f"--config.devices={devices}",
        f"--config.eval_batch_size={batch_size}",
        f"--config.parallel={parallel}",
    ]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_every_row_comes_back_once_with_its_own_answer(workdir: Path, layout: tuple) -> None:
    """Also those of a last batch that is not full, and in any order."""
    run = reopen_run(workdir, overrides=with_layout(*layout))
    state, _ = run.restore_state()
    rows = run.data.rows("train")[:0:-1]
    assert len(rows) == 47, "a multiple of no batch size"
    batches = list(run.stream(state, rows))
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in batches]), rows)
    logits = np.concatenate([outputs["logits"] for _, outputs in batches])
    np.testing.assert_allclose(logits, logits_of(run, rows), atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_same_metrics_on_any_devices_at_any_batch_size(
    workdir: Path, evaluated, tmp_path: Path, layout: tuple
) -> None:
    copy, out = tmp_path / "run", tmp_path / "other.json"
    shutil.copytree(workdir, copy)
    with without_figures():
        other = evaluate_run(copy, out=out, overrides=with_layout(*layout))
    assert json.loads(out.read_text()) == json.loads(json.dumps(other.metrics))
    for block in ("three_class", "covid_vs_rest", "calibration", "attention_overlap"):
        actual, expected = (
            jax.tree.flatten_with_path(evaluation.metrics[block])
            for evaluation in (other, evaluated)
        )
        assert actual[1] == expected[1]
        for (path, value), (_, expected_value) in zip(actual[0], expected[0], strict=True):
            assert value == pytest.approx(expected_value, abs=1e-6), (block, path)
    assert other.metrics["cross_entropy"] == pytest.approx(
        evaluated.metrics["cross_entropy"], abs=1e-6
    )


def test_each_class_has_its_own_probability_in_the_file(workdir: Path, lines) -> None:
    """By the names of the columns: reading the file back would hide two that are exchanged."""
    run = reopen_run(workdir)
    rows, table = run.data.rows("test"), run.data.table
    chances = softmax(logits_of(run, rows), axis=-1)
    assert np.abs(np.diff(chances, axis=1, append=chances[:, :1])).min() > 1e-4, "all alike"
    with (workdir / "split.csv").open(newline="") as file:
        names = {row["file_name"] for row in csv.DictReader(file) if row["split"] == "test"}
    assert {line["file_name"] for line in lines} == names
    assert [line["file_name"] for line in lines] == table.file_names[rows].tolist()
    assert [line["label"] for line in lines] == [NAMES[code] for code in table.labels[rows]]
    assert [line["predicted"] for line in lines] == [NAMES[code] for code in chances.argmax(1)]
    assert len({line["predicted"] for line in lines}) > 1
    for code, name in enumerate(NAMES):
        column = [float(line[f"p_{name}"]) for line in lines]
        np.testing.assert_allclose(column, chances[:, code], atol=1e-6, err_msg=name)


def test_the_numbers_are_those_of_the_file(evaluated, lines) -> None:
    """Counted by hand, by the columns' names."""
    labels, predicted = (np.array([line[key] for line in lines]) for key in ("label", "predicted"))
    confusion = [[int(((labels == a) & (predicted == b)).sum()) for b in NAMES] for a in NAMES]
    three, two = evaluated.metrics["three_class"], evaluated.metrics["covid_vs_rest"]
    assert three["confusion_matrix"] == confusion
    assert three["accuracy"] == pytest.approx(np.trace(confusion) / len(lines), abs=1e-12)
    assert (two["tp"], two["fn"]) == (confusion[1][1], confusion[1][0] + confusion[1][2])
    chances = {name: np.array([float(line[f"p_{name}"]) for line in lines]) for name in NAMES}
    areas = {name: area_under_curve(chances[name], labels == name) for name in NAMES}
    assert two["roc_auc"] == pytest.approx(areas["COVID-19"], abs=1e-12)
    assert three["roc_auc"] == pytest.approx(
        areas | {"macro": np.mean(list(areas.values()))}, abs=1e-12
    )
    loss = -np.mean([np.log(chances[label][row]) for row, label in enumerate(labels)])
    assert three["log_loss"] == pytest.approx(loss, abs=1e-9)
    assert evaluated.metrics["cross_entropy"] == pytest.approx(loss, abs=1e-6)


def area_under_curve(scores: np.ndarray, truth: np.ndarray) -> float:
    """Of pairs of one inside and one outside, those in the right order; ties are half right."""
    higher = np.sign(scores[truth][:, None] - scores[~truth])
    return float((higher + 1).mean() / 2)
