"""A training run from start to end: its files, resuming, and errors."""

import functools
import json
import math
import os
import shutil
import signal
import types
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from mgajax import config as configs
from mgajax.errors import ConfigError, DataError, TrainingError
from mgajax.training import loop
from mgajax.training.checkpoints import Checkpoints, Snapshot
from mgajax.training.loop import train
from mgajax.training.metrics_log import MetricsLog, read_rows
from mgajax.training.run import Run, open_run, reopen_run
from mgajax.training.run_folder import claim_folder


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, free to change."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_a_run_leaves_the_files_that_the_readme_names(trained: Path) -> None:
    content = json.loads((trained / "config.json").read_text())
    assert content["config"]["model"]["name"] == "mga_resnet18"
    assert {"git_commit", "jax", "flax"} <= content["provenance"].keys()
    assert content["data_fingerprint"]
    header = (trained / "split.csv").read_text().splitlines()[0]
    assert header == "file_name,label,patient,source,split"
    assert "head" in (trained / "parameters.txt").read_text()
    assert list((trained / "tensorboard").iterdir())
    summary = json.loads((trained / "summary.json").read_text())
    assert (summary["reason"], summary["steps"], summary["finished"]) == ("max_steps", 6, True)
    rows = read_rows(trained / "metrics.jsonl")
    last = {name for row in rows for name in row}
    assert {"train/loss", "train/attention", "train/weight/attention", "step"} <= last
    assert {"train/log_variance/cross_entropy", "train/images_per_s_per_device"} <= last
    assert {"validation/cross_entropy", "validation/attention", "validation/accuracy"} <= last
    validated = {
        row["step"]: row["validation/cross_entropy"]
        for row in rows
        if "validation/cross_entropy" in row
    }
    best = min(validated, key=validated.__getitem__)
    assert summary["best_step"] == best
    assert summary["best"] == f"validation cross-entropy {validated[best]:.4f}"


def test_lungs_are_found_for_the_model_that_needs_them(small_config, tmp_path: Path) -> None:
    shipped = configs.load("configs/classification/mga_lungs_resnet18.py")
    config = ConfigDict(small_config()).unlock()
    config.model = shipped.model
    run = open_run(config.lock(), workdir=tmp_path / "runs" / "lungs")
    assert run.settings.task.learned == ("cross_entropy", "attention", "lungs")
    lungs = np.asarray(run.feed.examples.lungs)
    assert lungs.shape == run.data.masks.shape
    assert (lungs.reshape(len(lungs), -1).max(axis=1) > 0).mean() > 0.9
    (tmp_path / "other").mkdir()  # a folder that is there already will do
    other = open_run(small_config(), workdir=tmp_path / "other")
    assert other.feed.examples.lungs is None
    assert other.settings.task.learned == ("cross_entropy", "attention")


def test_a_split_that_leaks_says_so(
    small_config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_run(small_config("--config.split.kind=leaking_slices"), workdir=tmp_path / "run")
    assert "split: LEAKS" in capsys.readouterr().err


def test_an_epoch_ends_with_the_step_that_completes_it() -> None:
    run: Any = types.SimpleNamespace(
        config=types.SimpleNamespace(batch_size=8), num_training=20, total_steps=9
    )
    run.epochs_done = functools.partial(Run.epochs_done, run)
    assert [run.epochs_done(step) for step in range(10)] == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
    ends = [step for step in range(1, 10) if Run.epoch_ends(run, step)]
    assert ends == [3, 5, 8, 9]  # the last step of a run ends its epoch, too


def test_a_finished_run_is_left_as_it_is(copied: Path, small_config) -> None:
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    summary = train(small_config(), workdir=copied)
    assert (summary.steps, summary.reason) == (6, "max_steps")
    for path, content in before.items():
        if path.suffix in (".csv", ".jsonl") or path.name == "config.json":
            assert path.read_bytes() == content, path
    with Checkpoints(copied / "checkpoints") as checkpoints:
        assert checkpoints.newest == 6


def test_a_stopped_run_resumes_to_the_same_result(
    trained: Path, small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit; `test_resume.py` does it with processes, and kills one."""
    log = MetricsLog.add_training_step

    def third_is_the_last(self, step: int, metrics) -> None:
        log(self, step, metrics)
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    workdir = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(MetricsLog, "add_training_step", third_is_the_last)
        summary = train(small_config(), workdir=workdir)
    assert (summary.reason, summary.steps, summary.finished) == ("SIGTERM", 3, False)
    summary = train(small_config(), workdir=workdir)
    assert (summary.reason, summary.steps, summary.finished) == ("max_steps", 6, True)
    actual, expected = last_state(workdir), last_state(trained)
    assert actual.early_stopping == expected.early_stopping
    jax.tree.map(np.testing.assert_array_equal, actual.state, expected.state)
    assert numbers(workdir) == numbers(trained)


def last_state(workdir: Path) -> Snapshot:
    run = reopen_run(workdir)
    with Checkpoints(workdir / "checkpoints", access="read") as checkpoints:
        like, step = run.state_shapes(), checkpoints.newest
        return checkpoints.restore(like, step=step, sharding=run.layout.replicated)


def numbers(workdir: Path) -> list[dict[str, float]]:
    """The log but for the rates of what was written in both runs."""
    rows = read_rows(workdir / "metrics.jsonl")
    return [{k: v for k, v in row.items() if "images_per_s" not in k} for row in rows]


def test_another_model_on_an_old_workdir_is_refused(copied: Path, small_config) -> None:
    with pytest.raises(ConfigError, match="holds a run with model.name='mga_resnet18'"):
        train(small_config(model="resnet18"), workdir=copied)
    with pytest.raises(ConfigError, match="optimiser.learning_rate"):
        train(small_config("--config.optimiser.learning_rate=1e-3"), workdir=copied)
    with Checkpoints(copied / "checkpoints") as checkpoints:
        assert checkpoints.newest == 6


def test_other_data_on_an_old_workdir_are_refused(copied: Path, small_config) -> None:
    content = json.loads((copied / "config.json").read_text())
    content["data_fingerprint"] = "0" * 64
    (copied / "config.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="not the data set that"):
        train(small_config(), workdir=copied)


def test_a_split_changed_by_hand_to_leak_is_refused(copied: Path, small_config) -> None:
    lines = (copied / "split.csv").read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.endswith(",train"))
    lines[place] = lines[place].removesuffix("train") + "test"
    (copied / "split.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="patient"):
        train(small_config(), workdir=copied)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    small_config, tmp_path: Path
) -> None:
    config = small_config("--config.optimiser.learning_rate=1e15", "--config.checkpoint_every=1")
    with pytest.raises(TrainingError, match=r"step \d+: .* last good checkpoint is kept"):
        train(config, workdir=tmp_path / "run")
    actual = last_state(tmp_path / "run")
    assert int(actual.state.step) == actual.step
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert not np.isfinite(list(rows[-1].values())).all()
    assert rows[-1]["step"] > actual.step


def test_a_validation_loss_that_is_not_finite_stops_before_it_is_saved(
    small_config, tmp_path: Path, monkeypatch
) -> None:
    """The last update of an epoch can diverge while every training loss was finite."""
    good, epochs = loop.validate, []

    def diverged_after_the_first(run, state):
        epochs.append(int(state.step))
        values = good(run, state)
        return values if len(epochs) == 1 else values | {"cross_entropy": math.nan}

    monkeypatch.setattr(loop, "validate", diverged_after_the_first)
    monkeypatch.setattr(Run, "epoch_ends", lambda run, step: step % 3 == 0)
    with pytest.raises(TrainingError, match=r"step \d+: validation cross-entropy is nan"):
        train(small_config(), workdir=tmp_path / "run")
    actual = last_state(tmp_path / "run")
    with Checkpoints(tmp_path / "run" / "checkpoints", access="read") as checkpoints:
        assert checkpoints.best == checkpoints.newest == 3
    assert epochs == [3, 6]
    assert np.isfinite(actual.early_stopping.best)
    run = reopen_run(tmp_path / "run")
    assert np.isfinite(run.predict(actual.state, run.data.rows("test"))["logits"]).all()


def test_two_processes_cannot_train_in_one_workdir(copied: Path, small_config) -> None:
    with (
        claim_folder(copied),
        pytest.raises(ConfigError, match="another process is training there"),
    ):
        train(small_config(), workdir=copied)
    train(small_config(), workdir=copied)


def test_a_configuration_that_lacks_a_key_is_refused(small_config, tmp_path: Path) -> None:
    config = ConfigDict(small_config()).unlock()
    del config.data["normal_mask"]
    with pytest.raises(ConfigError, match=r"data\.normal_mask is missing.*mgajax.config"):
        train(config, workdir=tmp_path / "run")


def test_bfloat16_trains_with_a_float32_state(small_config, tmp_path: Path) -> None:
    """As far as types go; `test_steps.py` computes with it."""
    run = open_run(small_config("--config.model.dtype=bfloat16"), workdir=tmp_path / "run")
    assert run.settings.model.layers.dtype == "bfloat16"
    state = run.state_shapes()
    after, _ = jax.eval_shape(run.train_step, state, *run.feed.inputs(run.data.rows("train")[:8]))
    for train_state in (state, after):
        leaves = jax.tree.leaves((train_state.params, train_state.batch_stats))
        assert {str(leaf.dtype) for leaf in leaves} == {"float32"}


def test_a_batch_that_does_not_divide_is_refused_before_anything_is_written(
    small_config, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="batch_size=7 does not divide by 2 devices; use 6 or 8"):
        train(small_config("--config.batch_size=7"), workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.model.name=unet", "model.name='unet': valid: resnet18"),
        ("--config.loss.weighting=equal", "loss.weighting='equal'"),
        ("--config.optimiser.schedule=linear", "optimiser.schedule='linear'"),
        ("--config.data.residence=disk", "data.residence='disk'"),
        ("--config.data.normal_mask=full", "data.normal_mask='full'"),
        ("--config.model.options.mga_stage=4", "mga_stage=4"),
        ("--config.split.kind=random", "random"),
        ("--config.augmentation.flip=2.0", "augmentation.flip=2.0"),
        ("--config.loss.attention_kind=l3", "l3"),
        ("--config.loss.attention_resize=cubic", "cubic"),
        ("--config.batch_size=0", "batch_size=0"),
        ("--config.epochs=0", "epochs=0"),
        ("--config.data.dir=", "data.dir is empty"),
    ],
)
def test_unusable_settings_are_refused_before_anything_is_written(
    small_config, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_run(small_config(override), workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["stratified", "fraction", "kfold"])
def test_other_splits_are_made_by_index(small_config, tmp_path: Path, kind: str) -> None:
    run = open_run(small_config(f"--config.split.kind={kind}"), workdir=tmp_path / kind)
    again = reopen_run(tmp_path / kind)
    for split in ("train", "validation", "test"):
        assert len(run.data.rows(split)) > 0
        np.testing.assert_array_equal(again.data.rows(split), run.data.rows(split))
