"""Batch order, gathering, padding and prefetch."""

import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax.data.loader import (
    IMAGE_MEAN,
    IMAGE_STD,
    Examples,
    host_slice,
    mask_to_float,
    prefetch,
    take,
    to_float,
    training_rows,
)
from mgajax.errors import ConfigError, DataError


def examples(count: int = 10) -> Examples:
    rng = np.random.default_rng(0)
    return Examples(
        images=rng.integers(1, 256, (count, 4, 4, 1), dtype=np.uint8),
        masks=rng.integers(1, 256, (count, 4, 4, 1), dtype=np.uint8),
        labels=rng.integers(1, 3, count, dtype=np.int32),
        mask_weights=(np.arange(count) % 2).astype(np.float32),
    )


def stream(rows: np.ndarray, *, steps: int, batch_size: int, seed: int = 0) -> np.ndarray:
    batches = [
        training_rows(rows, step=step, batch_size=batch_size, seed=seed) for step in range(steps)
    ]
    return np.concatenate(batches)


def test_hosts_share_a_batch() -> None:
    shares = [np.arange(12)[host_slice(12, index, 3)] for index in range(3)]
    assert [len(share) for share in shares] == [4, 4, 4]
    np.testing.assert_array_equal(np.concatenate(shares), np.arange(12))


def test_indivisible_batch_names_better_ones() -> None:
    with pytest.raises(ConfigError, match=r"batch_size=30 .* 4 processes; use 28 or 32"):
        host_slice(30, 0, 4)


def test_take_on_the_host() -> None:
    source = examples()
    rows = np.array([3, 0, 9, 3], np.int32)
    batch = take(source, rows)
    assert isinstance(batch.images, np.ndarray)
    np.testing.assert_array_equal(batch.images, source.images[rows])
    np.testing.assert_array_equal(batch.masks, source.masks[rows])
    np.testing.assert_array_equal(batch.labels, source.labels[rows])
    np.testing.assert_array_equal(batch.mask_weights, [1, 0, 1, 1])
    np.testing.assert_array_equal(batch.weights, np.ones(4))


def test_padding_is_all_zero() -> None:
    batch = take(examples(), np.array([2, -1], np.int32))
    padding = jax.tree.map(lambda array: array[1], batch)
    assert padding.rows == -1
    assert all(np.all(value == 0) for value in jax.tree.leaves(padding.replace(rows=0)))
    assert batch.weights[0] == 1


def test_take_on_the_device_equals_the_host() -> None:
    source = examples()
    rows = np.array([5, -1, 1], np.int32)
    on_host = take(source, rows)
    on_device = jax.jit(take)(jax.device_put(source), rows)
    for ours, theirs in zip(jax.tree.leaves(on_host), jax.tree.leaves(on_device), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_take_reads_memory_maps(tmp_path) -> None:
    source = examples()
    np.save(tmp_path / "images.npy", source.images)
    mapped = source.replace(images=np.load(tmp_path / "images.npy", mmap_mode="r"))
    rows = np.array([1, 8], np.int32)
    np.testing.assert_array_equal(take(mapped, rows).images, source.images[rows])


def test_to_float() -> None:
    levels = np.array([0, 128, 255], np.uint8).reshape(1, 1, 3, 1)
    expected = (levels / 255 - IMAGE_MEAN) / IMAGE_STD
    np.testing.assert_allclose(to_float(levels), expected, atol=1e-6)
    np.testing.assert_allclose(mask_to_float(levels), levels / 255, atol=1e-7)
    assert to_float(levels).dtype == mask_to_float(levels).dtype == jnp.float32


def prefetch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "mgajax-prefetch"]


def test_prefetch_keeps_the_items_and_their_order() -> None:
    assert list(prefetch(iter(range(20)), depth=3)) == list(range(20))
    assert list(prefetch([])) == []
    assert not prefetch_threads()


def test_prefetch_works_ahead_but_only_so_far() -> None:
    made: list[int] = []

    def produce():
        for number in range(100):
            made.append(number)
            yield number

    items = prefetch(produce(), depth=2)
    assert next(items) == 0
    deadline = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    assert len(made) == 4  # one taken, two ready, one waiting for room
    items.close()


def test_prefetch_raises_what_the_iterator_raised() -> None:
    def produce():
        yield 1
        yield 2
        raise DataError("slice 3 is damaged")

    items = prefetch(produce())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(DataError, match="slice 3 is damaged"):
        next(items)
    assert not prefetch_threads()


@pytest.mark.parametrize("how", ["close", "drop"])
def test_prefetch_stops_when_its_reader_does(how: str) -> None:
    closed = threading.Event()

    def produce():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    items = prefetch(produce(), depth=1)
    next(items)
    if how == "close":
        items.close()
    del items
    assert closed.wait(5)
    assert not prefetch_threads()


def test_prefetch_overlaps_with_its_reader() -> None:
    def slow():
        for number in range(8):
            time.sleep(0.05)
            yield number

    start = time.monotonic()
    for _ in prefetch(slow()):
        time.sleep(0.05)
    assert time.monotonic() - start < 0.7  # 0.8 s one after the other


def test_prefetch_of_nothing_ahead() -> None:
    with pytest.raises(ConfigError, match="depth=0"):
        prefetch(iter([]), depth=0)
