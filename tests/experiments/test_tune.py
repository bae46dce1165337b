"""The search: better than the default, reproducible, resumable; failures are reported."""

import csv
import json
import math
import signal
import time
from pathlib import Path

import pytest
from pretended_trials import CONFIG, FakeProcess, Starter
from unrendered import leave_blank

from mgajax.errors import ConfigError
from mgajax.experiments.tune import SearchResults, tune


def bowl(keys: dict[str, float]) -> float:
    """Lowest, 0.1, at a rate of 1e-2 whatever the batch; 4.1 at the default rate of 1e-4."""
    return 0.1 + (math.log10(keys["optimiser.learning_rate"]) + 2) ** 2


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("search") / "config.py"
    file.write_text(CONFIG)
    return file


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory) -> SearchResults:
    """Ten trials in one go, one at a time."""
    return tune(config, workdir=tmp_path_factory.mktemp("whole"), trials=10, start=Starter(bowl))


@pytest.fixture(autouse=True)
def unrendered(whole, monkeypatch) -> None:
    """The figures of the other searches."""
    leave_blank(monkeypatch)


def points(workdir: Path) -> list[dict]:
    records = sorted((workdir / "trials").glob("*/trial.json"))
    return [json.loads(path.read_text())["point"] for path in records]


def test_finds_a_better_point_than_the_default_and_tells_how_to_train_it(config, whole) -> None:
    first = whole.trials[0]
    assert first.point == {"batch_size": 32, "optimiser.learning_rate": 1e-4}
    assert first.value == pytest.approx(4.1)
    assert whole.best is not None
    assert whole.best.value < 0.2
    assert whole.best.number >= 4, "the suggestions, not the spread, come closest"
    command = whole.search.command(whole.best, workdir="best")
    rate = whole.best.point["optimiser.learning_rate"]
    assert f"--config.optimiser.learning_rate={rate!r}" in command
    assert command.startswith(f"mgajax train --config {config} ")
    assert isinstance(whole.best.point["batch_size"], int)


def test_writes_each_trial_and_the_best_so_far(whole) -> None:
    workdir = whole.search.workdir
    names = {path.name for path in whole.files}
    assert names == {"tuning.json", "trials.csv", "trace.png", "trace.svg"}
    assert all((workdir / name).is_file() for name in names)
    with (workdir / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = [float(row["value"]) for row in rows]
    assert [float(row["best so far"]) for row in rows] == [min(values[: i + 1]) for i in range(10)]
    content = json.loads((workdir / "tuning.json").read_text())
    assert content["counts"] == {"finished": 10}
    assert content["default"] == values[0]
    assert content["best"]["value"] == min(values)


def test_the_same_seed_gives_the_same_search(config, whole, tmp_path) -> None:
    tune(config, workdir=tmp_path / "again", trials=7, start=Starter(bowl))
    again, before = points(tmp_path / "again"), points(whole.search.workdir)
    assert again == before[:7]
    assert len({str(point) for point in again}) == 7
    assert_another_seed_searches_elsewhere(config, again, workdir=tmp_path / "other")


def assert_another_seed_searches_elsewhere(config, trials, *, workdir: Path, **options) -> None:
    words = ["--config.search.seed=1"]
    tune(config, workdir=workdir, trials=5, words=words, start=Starter(bowl), **options)
    assert points(workdir)[1:] != trials[1:5]


@pytest.mark.parametrize("jobs", [2, 3])
def test_the_order_in_which_parallel_trials_end_changes_nothing(config, tmp_path, jobs) -> None:
    class Slow(Starter):
        """Every other process ends only when it is asked for the third time."""

        def __call__(self, words, output, slot):
            process = super().__call__(words, output, slot)
            late = FakeProcess(process.code)
            codes = iter([None, None] if len(self.started) % 2 else [])
            late.poll = lambda: next(codes, process.code)
            return late

    even, late = tmp_path / "even", tmp_path / "late"
    tune(config, workdir=even, trials=7, jobs=jobs, start=Starter(bowl))
    tune(config, workdir=late, trials=7, jobs=jobs, start=Slow(bowl))
    assert points(late) == points(even)
    assert len({str(point) for point in points(even)}) == 7
    other = tmp_path / "other"
    assert_another_seed_searches_elsewhere(config, points(even), workdir=other, jobs=jobs)


def test_a_resumed_search_repeats_nothing_and_suggests_the_same(config, whole, tmp_path) -> None:
    class FailingStarter(Starter):
        def __call__(self, words, output, slot):
            if len(self.started) == 5:
                raise RuntimeError("the power fails")
            return super().__call__(words, output, slot)

    workdir = tmp_path / "halves"
    with pytest.raises(RuntimeError, match="power"):
        tune(config, workdir=workdir, trials=7, start=FailingStarter(bowl))
    again = Starter(bowl)
    search = tune(config, workdir=workdir, trials=7, start=again)
    assert again.started == ["005", "006"], "the one begun goes on with its own point"
    assert points(workdir) == points(whole.search.workdir)[:7]
    assert search.finished
    nothing = Starter(bowl)
    assert tune(config, workdir=workdir, trials=7, start=nothing).best == search.best
    assert not nothing.started
    tune(config, workdir=workdir, trials=8, start=nothing)
    assert nothing.started == ["007"]
    assert points(workdir) == points(whole.search.workdir)[:8]


def test_failed_trials_are_counted_reported_and_avoided(config, tmp_path) -> None:
    def fragile(keys: dict[str, float]) -> float | None:
        return None if keys["optimiser.learning_rate"] > 1e-3 else bowl(keys)

    workdir = tmp_path / "w"
    search = tune(config, workdir=workdir, trials=7, start=Starter(fragile))
    failed = [trial for trial in search.trials if trial.status == "failed"]
    assert failed
    assert failed[0].reason == "ended with exit code 1: step 3: loss is nan; training stopped"
    assert json.loads((workdir / "tuning.json").read_text())["counts"]["failed"] == len(failed)
    again = Starter(fragile)
    tune(config, workdir=workdir, trials=7, start=again)
    assert not again.started, "a failed trial fails again; it is not repeated"


def test_a_search_can_maximise_another_metric(config, tmp_path) -> None:
    words = ["--config.search.metric=accuracy", "--config.search.goal=maximise"]
    search = tune(config, workdir=tmp_path / "w", trials=6, words=words, start=Starter(bowl))
    assert search.best is not None
    assert search.best.value == max(trial.value for trial in search.trials)
    assert search.best.value <= 0.99, "at the best checkpoint, not at the last"


def test_another_search_in_the_same_folder_is_refused(config, tmp_path) -> None:
    tune(config, workdir=tmp_path / "w", trials=1, start=Starter(bowl))
    with pytest.raises(ConfigError, match=r"epochs=100, asked for 5"):
        tune(config, workdir=tmp_path / "w", trials=1, words=["--config.epochs=5"])


def test_stopped_by_a_signal_the_trials_save_and_go_on_later(config, tmp_path, monkeypatch) -> None:
    class Endless(Starter):
        """The third trial runs until it is told to stop."""

        def __call__(self, words, output, slot):
            if len(self.started) < 2:
                return super().__call__(words, output, slot)
            self.started.append("third")
            return FakeProcess(None)

    class Clock:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def sleep(seconds: float) -> None:
            if (tmp_path / "w" / "trials" / "002").exists():
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("mgajax.distributed.supervision.time", Clock)
    search = tune(config, workdir=tmp_path / "w", trials=5, start=Endless(bowl))
    assert not search.finished
    assert [trial.number for trial in search.trials] == [0, 1]
    monkeypatch.undo()
    again = Starter(bowl)
    assert tune(config, workdir=tmp_path / "w", trials=5, start=again).finished
    assert again.started == ["002", "003", "004"]
