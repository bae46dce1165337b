"""Real trials of a narrow network: whole processes, and no look at the test slices."""

import contextlib
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mgajax.cli import main
from mgajax.data import dataset
from mgajax.data.table import read_table
from mgajax.experiments.tune import tune
from mgajax.schema import SPLITS
from mgajax.training.feed import Feed

SMALL = (
    "--config.preparation.image_size=32",
    "--config.batch_size=8",
    "--config.max_steps=2",
    "--config.devices=1",
    "--config.parallel=jit",
)


class InlineTraining:
    """Trains in this process, so that what it reads can be watched."""

    def __call__(self, words, output: Path, slot: int):
        with output.open("a") as file, contextlib.redirect_stdout(file):
            self.code = main(words)
        return self

    def poll(self) -> int:
        return self.code

    def send_signal(self, number: int) -> None:
        raise AssertionError("nobody asked to stop")

    kill = send_signal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A search over a narrow network's learning rate."""
    path = tmp_path / "config.py"
    path.write_text(
        "from mgajax.config import add_search, classification\n\n\n"
        "def get_config():\n"
        '    config = classification("resnet18")\n'
        "    config.model.options.width, config.model.options.depths = 16, (1, 1, 1, 1)\n"
        '    space = {"optimiser": {"learning_rate": (1e-4, 1e-2, "log")}}\n'
        "    return add_search(config, space)\n"
    )
    return path


def values(workdir: Path) -> list[float]:
    content = json.loads((workdir / "tuning.json").read_text())
    return [trial["value"] for trial in content["trials"]]


def test_no_test_slice_is_trained_on_predicted_or_measured(
    file, phantom, tmp_path, monkeypatch
) -> None:
    fed: list[np.ndarray] = []
    inputs, open_prepared_set = Feed.inputs, dataset.open_prepared_set
    monkeypatch.setattr(Feed, "inputs", lambda self, rows: fed.append(rows) or inputs(self, rows))
    words = [*SMALL, f"--config.data.dir={phantom}"]
    tune(file, workdir=tmp_path / "plain", trials=1, words=words, start=InlineTraining())
    test = np.flatnonzero(read_table(phantom).built_split == SPLITS.index("test"))
    assert len(test)
    assert fed
    assert not np.isin(np.concatenate(fed), test).any()
    assert not list((tmp_path / "plain").rglob("evaluation"))

    def spoilt(*args, **options):
        """The same data with noise for test slices, all of one class."""
        data = open_prepared_set(*args, **options)
        images, labels = data.images.copy(), data.table.labels.copy()
        images[test] = np.random.default_rng(0).integers(0, 255, images[test].shape, np.uint8)
        labels[test] = 0
        table = dataclasses.replace(data.table, labels=labels)
        return dataclasses.replace(data, images=images, table=table)

    monkeypatch.setattr(dataset, "open_prepared_set", spoilt)
    tune(file, workdir=tmp_path / "spoilt", trials=1, words=words, start=InlineTraining())
    assert values(tmp_path / "spoilt") == values(tmp_path / "plain"), "bit for bit"


@pytest.mark.slow(finds="trials that the command does not start, or starts again, as processes")
def test_the_command_tunes_in_processes_and_resumes(file, phantom, tmp_path, capsys) -> None:
    workdir = tmp_path / "w"
    words = ["tune", "--config", str(file), "--workdir", str(workdir), "--jobs", "2"]
    words += [*SMALL, f"--config.data.dir={phantom}"]
    assert main([*words, "--trials", "2"]) == 0
    first = values(workdir)
    assert main([*words, "--trials", "3"]) == 0
    assert values(workdir)[:2] == first
    out = capsys.readouterr().out
    assert "3 of 3 trials are over, 0 failed" in out
    assert "mgajax train --config" in out
