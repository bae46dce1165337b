"""The log writes what is due, checks every step, and forgets what will be done again."""

import json
from pathlib import Path

import jax.numpy as jnp
import pytest

from mgajax.errors import TrainingError
from mgajax.training.metrics_log import METRICS_FILE, MetricsLog, read_rows


def open_log(folder: Path, *, first: int = 0, every: int = 3) -> MetricsLog:
    return MetricsLog(folder, first=first, every=every, batch_size=32, devices=2)


def test_writes_the_first_and_every_third_step(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        for step in range(1, 8):
            log.add_training_step(step, {"loss": jnp.float32(step)})
        log.flush()
        log.write(7, {"accuracy": 0.5}, split="validation")
    rows = read_rows(tmp_path / METRICS_FILE)
    assert [(row["step"], row.get("train/loss")) for row in rows] == [
        (1, 1.0),
        (3, 3.0),
        (6, 6.0),
        (7, None),
    ]
    assert rows[1]["train/images_per_s_per_device"] > 0
    assert list((tmp_path / "tensorboard").iterdir())


def test_a_term_that_nothing_counts_in_is_a_gap(tmp_path: Path) -> None:
    with open_log(tmp_path, every=1) as log:
        for step, present in ((1, 1.0), (2, 0.0)):
            log.add_training_step(
                step, {"attention": 0.25 * present, "attention/weight": present, "loss": 1.0}
            )
    rows = read_rows(tmp_path / METRICS_FILE)
    assert [row.get("train/attention") for row in rows] == [0.25, None]
    assert not any("train/attention/weight" in row for row in rows)


def test_a_step_that_is_not_due_is_checked_too(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.add_training_step(1, {"loss": jnp.float32(1)})
        log.add_training_step(2, {"loss": jnp.float32(1), "gradient_norm": jnp.float32(jnp.nan)})
        with pytest.raises(TrainingError, match="step 2: gradient_norm is nan"):
            log.add_training_step(
                3, {"loss": jnp.float32(jnp.nan), "gradient_norm": jnp.float32(1)}
            )


def test_a_full_disk_is_reported_with_the_file(tmp_path: Path) -> None:
    message = r"metrics\.jsonl: cannot be written at step 1 \(No space left on device\); make room"
    with pytest.raises(TrainingError, match=message):
        write_to_a_full_disk(tmp_path)


def write_to_a_full_disk(folder: Path) -> None:
    with open_log(folder) as log:
        log.writer.file.close()
        log.writer.file = Path("/dev/full").open("w")  # noqa: SIM115 (closed with the log)
        log.write(1, {"loss": 1.0}, split="train")


def test_a_resumed_log_forgets_later_steps_and_half_lines(tmp_path: Path) -> None:
    lines = [json.dumps({"step": step, "train/loss": 1.0}) for step in (1, 3, 6)]
    (tmp_path / METRICS_FILE).write_text("\n".join(lines) + '\n{"step": 9, "tra')
    with open_log(tmp_path, first=4):
        pass
    assert [row["step"] for row in read_rows(tmp_path / METRICS_FILE)] == [1, 3]
