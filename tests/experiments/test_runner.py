"""What is finished is not repeated, and what fails does not stop the rest."""

import json
from pathlib import Path

import jax
import pytest
from ml_collections import ConfigDict

from mgajax.experiments.execution import DONE_FILE, FAILURE_FILE, RunStatus, is_finished
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.runner import run_all


def run(folder: Path, name: str = "a", *, mark: str = "f") -> PlannedRun:
    return PlannedRun(name, 0, ConfigDict(), folder / name, mark)


class Pretender:
    """Leaves what a finished run leaves, and counts."""

    def __init__(self, *, failing: str = "", stopping: str = "") -> None:
        self.done: list[str] = []
        self.failing, self.stopping = failing, stopping

    def __call__(self, planned: PlannedRun) -> RunStatus:
        self.done.append(planned.arm)
        if planned.arm == self.failing:
            raise MemoryError("RESOURCE_EXHAUSTED: out of\nmemory")
        if planned.arm == self.stopping:
            return RunStatus.STOPPED
        (planned.folder / "evaluation").mkdir(parents=True)
        (planned.folder / "evaluation" / "test.json").write_text("{}")
        (planned.folder / "summary.json").write_text(json.dumps({"finished": True}))
        (planned.folder / DONE_FILE).write_text(json.dumps({"fingerprint": planned.fingerprint}))
        return RunStatus.FINISHED


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    runs, pretend = [run(tmp_path, name) for name in "ab"], Pretender()
    assert [outcome.status for outcome in run_all(runs, execute=pretend)] == [
        RunStatus.FINISHED
    ] * 2
    again = run_all(runs, execute=pretend)
    assert pretend.done == ["a", "b"]
    assert [outcome.status for outcome in again] == [RunStatus.FINISHED] * 2


def test_each_run_is_announced_with_the_time_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_all([run(tmp_path, name) for name in "ab"], execute=Pretender())
    first, second = capsys.readouterr().err.splitlines()
    assert first == "run 1 of 2: a, seed 0"
    assert second.startswith("run 2 of 2: b, seed 0, about ")


def test_equal_runs_of_two_arms_are_done_once(tmp_path: Path) -> None:
    first = run(tmp_path)
    second = PlannedRun("b", 0, first.config, first.folder, first.fingerprint)
    pretend = Pretender()
    outcomes = run_all([first, second], execute=pretend)
    assert pretend.done == ["a"]
    assert [(outcome.run.arm, outcome.status) for outcome in outcomes] == [
        ("a", RunStatus.FINISHED),
        ("b", RunStatus.FINISHED),
    ]


def test_another_fingerprint_or_a_missing_mark_is_not_finished(tmp_path: Path) -> None:
    planned = run(tmp_path)
    run_all([planned], execute=Pretender())
    assert is_finished(planned)
    assert not is_finished(run(tmp_path, mark="other"))
    (planned.folder / "summary.json").write_text('{"finished": tr')  # cut off by a kill
    assert not is_finished(planned)


def test_a_failure_is_reported_and_the_others_are_done(tmp_path: Path, capsys) -> None:
    runs = [run(tmp_path, name) for name in "abc"]
    outcomes = run_all(runs, execute=Pretender(failing="b"))
    assert [outcome.status for outcome in outcomes] == [
        RunStatus.FINISHED,
        RunStatus.FAILED,
        RunStatus.FINISHED,
    ]
    assert outcomes[1].reason == "MemoryError: RESOURCE_EXHAUSTED: out of memory"
    assert "Traceback" in (runs[1].folder / FAILURE_FILE).read_text()
    assert "b, seed 0 failed" in capsys.readouterr().err
    mended = Pretender()
    assert run_all(runs, execute=mended)[1].status == RunStatus.FINISHED
    assert mended.done == ["b"]
    assert not (runs[1].folder / FAILURE_FILE).exists()


def test_a_signal_ends_all(tmp_path: Path) -> None:
    pretend = Pretender(stopping="b")
    outcomes = run_all([run(tmp_path, name) for name in "abc"], execute=pretend)
    assert pretend.done == ["a", "b"]
    assert [outcome.status for outcome in outcomes] == [
        RunStatus.FINISHED,
        RunStatus.STOPPED,
        RunStatus.STOPPED,
    ]


def test_compiled_programs_do_not_pile_up(tmp_path: Path) -> None:
    cache_sizes: list[int] = []
    program = jax.jit(lambda x: x + 1)
    pretend = Pretender()

    def compute(planned: PlannedRun) -> RunStatus:
        program(1.0)
        cache_sizes.append(program._cache_size())
        return pretend(planned)

    run_all([run(tmp_path, name) for name in "ab"], execute=compute)
    assert cache_sizes == [1, 1]
    assert program._cache_size() == 0
