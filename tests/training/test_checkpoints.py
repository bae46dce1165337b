"""Checkpoints: best and newest stay, whatever happens to a save."""

import contextlib
import gc
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgajax.errors import CheckpointError
from mgajax.training import checkpoints as training_checkpoints
from mgajax.training.checkpoints import Checkpoints
from mgajax.training.early_stopping import EarlyStopping
from mgajax.training.sharding import make_layout
from mgajax.training.state import TrainState, create_state, make_optimiser

leaves_coroutines = pytest.mark.filterwarnings("ignore")
"""Orbax abandons coroutines when reading or writing fails; they complain when they are collected."""

STOPPING = EarlyStopping(patience=3).update(0.25, step=4)


@pytest.fixture(autouse=True, scope="module")
def few_objects() -> Iterator[None]:
    """Collecting does not look through what was there before: a second each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Garbage of a test is collected within it, and not in the middle of a later one."""
    yield
    gc.collect()


def draw_state(*, step: int, seed: int = 0, width: int = 64) -> TrainState:
    rng = np.random.default_rng(seed)
    optimiser = make_optimiser(optax.constant_schedule(1e-3), log_variance_rate=10.0)
    kernel = jnp.asarray(rng.standard_normal((width, width)), jnp.float32)
    variables = {
        "params": {"layer": {"kernel": kernel}},
        "batch_stats": {"layer": {"mean": jnp.zeros(width, jnp.float32)}},
    }
    state = create_state(variables, terms=("cross_entropy",), optimiser=optimiser)
    return state.replace(step=jnp.int32(step))


def save_all(folder: Path, losses: dict[int, float | None], *, width: int = 64) -> None:
    with Checkpoints(folder) as checkpoints:
        for step, loss in losses.items():
            checkpoints.save(
                draw_state(step=step, seed=step, width=width),
                early_stopping=STOPPING,
                loss=loss,
            )


def test_best_and_newest_are_kept_also_by_a_later_process(tmp_path: Path) -> None:
    save_all(tmp_path, {1: 3.0, 2: 1.0, 3: 2.0, 4: None})
    with Checkpoints(tmp_path) as checkpoints:
        assert (checkpoints.best, checkpoints.newest) == (2, 4)
    save_all(tmp_path, {5: 1.5, 6: 1.0})
    with Checkpoints(tmp_path) as checkpoints:
        assert (checkpoints.best, checkpoints.newest) == (2, 6)  # the earlier of equals
        assert sorted(checkpoints.manager.all_steps()) == [2, 6]


def test_checkpoints_of_november_2026_are_still_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_checkpoints, "METRIC", training_checkpoints.OLDER_METRIC)
    save_all(tmp_path, {1: 1.0, 2: 2.0})
    monkeypatch.undo()
    save_all(tmp_path, {3: 3.0})
    with Checkpoints(tmp_path) as checkpoints:
        assert (checkpoints.best, checkpoints.newest) == (1, 3)


def test_another_runs_checkpoint_is_refused_before_its_arrays_are_read(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, run="a" * 64) as checkpoints:
        checkpoints.save(draw_state(step=1), early_stopping=STOPPING)
    like = draw_state(step=0, width=32)
    replicated = make_layout(parallel="jit", devices=1).replicated
    with (
        Checkpoints(tmp_path, access="read", run="b" * 64) as checkpoints,
        pytest.raises(CheckpointError, match="saved by a run with other settings"),
    ):
        checkpoints.restore(like, step=1, sharding=replicated)


def test_a_missing_client_of_buckets_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("No module named 'gcsfs'")

    monkeypatch.setattr(training_checkpoints.ocp, "CheckpointManager", missing)
    with pytest.raises(CheckpointError, match=r"gcsfs.*pip install 'mgajax\[gcs\]'"):
        Checkpoints(tmp_path)


def test_a_reader_leaves_a_running_save_alone(tmp_path: Path) -> None:
    save_all(tmp_path, {1: 1.0})
    running = tmp_path / "2.orbax-checkpoint-tmp"
    shutil.copytree(tmp_path / "1", running, ignore=shutil.ignore_patterns("meta"))
    with Checkpoints(tmp_path, access="read") as checkpoints:
        assert (checkpoints.best, checkpoints.newest) == (1, 1)
    assert running.is_dir()
    with Checkpoints(tmp_path) as checkpoints:
        assert (checkpoints.best, checkpoints.newest) == (1, 1)
        # A save waits for the clearing away, which runs beside.
        checkpoints.save(draw_state(step=3), early_stopping=STOPPING, loss=0.5)
    assert not running.exists()


def test_a_reader_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder; train first"):
        Checkpoints(tmp_path / "none", access="read")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("devices", [1, 4])
def test_restores_every_bit_onto_any_number_of_devices(tmp_path: Path, devices: int) -> None:
    save_all(tmp_path, {7: 0.5})
    layout = make_layout(parallel="pmap", devices=devices)
    like = jax.eval_shape(lambda: draw_state(step=0))
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore(like, step=7, sharding=layout.replicated)
    assert restored.early_stopping == STOPPING
    expected = draw_state(step=7, seed=7)
    assert jax.tree.structure(restored.state) == jax.tree.structure(expected)
    for leaf, other in zip(jax.tree.leaves(restored.state), jax.tree.leaves(expected), strict=True):
        assert len(leaf.sharding.device_set) == devices
        np.testing.assert_array_equal(leaf, other)


@leaves_coroutines
def test_another_model_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    save_all(tmp_path, {7: 0.5})
    layout = make_layout(parallel="jit", devices=1)
    like = jax.eval_shape(lambda: draw_state(step=0, width=32))
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(CheckpointError, match="could not restore step 7"):
            checkpoints.restore(like, step=7, sharding=layout.replicated)
        assert checkpoints.newest == 7


@contextlib.contextmanager
def full_disk() -> Iterator[Callable[[], None]]:
    """A limit on the size of files stands in for a full disk: writes fail half-way.

    Yields what makes room.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def make_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        yield make_room
    finally:
        make_room()
        signal.signal(signal.SIGXFSZ, handler)


@leaves_coroutines
def test_a_save_that_fails_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the end of a run, and where the next save finds that the one before has failed."""
    with full_disk() as make_room:
        monkeypatch.setattr("time.sleep", lambda seconds: make_room() if seconds >= 1 else None)
        save_all(tmp_path, {1: 2.0}, width=512)
    assert "trying again" in capsys.readouterr().err
    with full_disk() as make_room:
        monkeypatch.setattr("time.sleep", lambda seconds: make_room() if seconds >= 1 else None)
        save_all(tmp_path, {2: 1.0, 3: 3.0}, width=512)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.newest == 3


def test_a_save_is_tried_three_times_after_longer_and_longer_pauses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)

    def save() -> None:
        raise CheckpointError("full")

    with pytest.raises(CheckpointError, match="full"):
        training_checkpoints._attempt(save)
    assert pauses == [2.0, 4.0]
    errors = capsys.readouterr().err
    assert all(f"trying again ({number} of 3)" in errors for number in (2, 3))


def test_a_folder_becomes_absolute_and_a_buckets_address_stays() -> None:
    assert training_checkpoints._absolute("runs/a") == Path("runs/a").resolve()
    assert str(training_checkpoints._absolute("gs://bucket/a")) == "gs://bucket/a"


@leaves_coroutines
def test_a_full_disk_is_reported_and_older_checkpoints_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_checkpoints, "FIRST_PAUSE_S", 0.01)
    save_all(tmp_path, {1: 2.0, 2: 1.0})
    message = r"File too large.*complete steps there: 2;.*same command"
    with full_disk(), pytest.raises(CheckpointError, match=message):
        save_all(tmp_path, {3: 0.5}, width=512)
    with Checkpoints(tmp_path) as checkpoints:
        assert (checkpoints.best, checkpoints.newest) == (2, 2)
        like = jax.eval_shape(lambda: draw_state(step=0))
        layout = make_layout(parallel="jit", devices=1)
        restored = checkpoints.restore(like, step=2, sharding=layout.replicated)
    kernel = restored.state.params["model"]["layer"]["kernel"]
    np.testing.assert_array_equal(
        kernel, draw_state(step=2, seed=2).params["model"]["layer"]["kernel"]
    )
