"""Any number of examples: each exactly once, in order, whatever the batches and devices are."""

import threading
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgajax.errors import ConfigError
from mgajax.training.batch_inference import BatchInference, make_batch_inference
from mgajax.training.sharding import first_device, make_layout

Function = Callable[..., jax.Array]


def doubling(
    *, devices: int = 1, sizes: tuple[int, ...] = (4,), parallel: str = "pmap", padding: int = 0
) -> tuple[BatchInference, list[int]]:
    """Twice each example plus `further`, and what sizes were traced (over all devices)."""
    layout, traced = make_layout(parallel=parallel, devices=devices), []

    def double(rows: jax.Array, more: jax.Array) -> dict[str, jax.Array]:
        traced.append(rows.shape[0] * (devices if parallel != "jit" else 1))
        return {"rows": rows, "twice": rows * 2 + more}

    program = layout.wrap(double, inputs=("sharded", "replicated"), outputs="sharded")
    return (
        make_batch_inference(
            lambda rows, more: program(layout.shard(rows), more),
            layout=layout,
            sizes=sizes,
            padding=padding,
        ),
        traced,
    )


@pytest.mark.parametrize("count", [1, 3, 4, 5, 16, 21])
@pytest.mark.parametrize(
    ("devices", "parallel"), [(1, "pmap"), (2, "shard_map"), (8, "pmap"), (8, "jit")]
)
@pytest.mark.parametrize("sizes", [(4,), (1, 2, 4), (7,)])
def test_each_example_comes_back_once(
    count: int, devices: int, parallel: str, sizes: tuple[int, ...]
) -> None:
    infer, _ = doubling(devices=devices, parallel=parallel, sizes=sizes, padding=-1)
    examples = np.arange(100, 100 + count, dtype=np.int32)[::-1]
    results = infer(examples, np.int32(1))
    np.testing.assert_array_equal(results["rows"], examples)
    np.testing.assert_array_equal(results["twice"], 2 * examples + 1)


def test_a_batch_is_filled_up_to_the_next_size() -> None:
    batches = []
    infer = BatchInference(
        lambda rows: batches.append(rows) or jnp.asarray(rows), first_device(), (2, 4), padding=-1
    )
    np.testing.assert_array_equal(infer(np.arange(9)), np.arange(9))
    assert [rows.tolist() for rows in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, -1]]


def test_the_next_batch_starts_before_one_is_read_back() -> None:
    order: list[str] = []
    infer = BatchInference(
        lambda rows: order.append(f"begin {rows[0]}") or jnp.asarray(rows), first_device(), (1,)
    )
    for key, outputs in infer.stream(infer.batches(np.arange(3))):
        np.testing.assert_array_equal(key, outputs)
        order.append(f"read {key[0]}")
    assert order == ["begin 0", "begin 1", "read 0", "begin 2", "read 1", "read 2"]


def test_stop_finishes_started_batches() -> None:
    infer, _ = doubling(sizes=(2,))
    keys = []
    batches = ((number, np.full(2, number, np.int32)) for number in range(9))
    for key, _ in infer.stream(batches, np.int32(0), stop=lambda: keys):
        keys.append(key)
    assert keys == [0, 1]
    assert next(batches)[0] == 3, "read no further"


def test_nothing_in_nothing_out() -> None:
    infer, traced = doubling()
    assert list(infer.stream([], np.int32(0))) == []
    assert traced == []


def test_threads_compile_each_size_once() -> None:
    infer, traced = doubling(sizes=(2, 8), parallel="jit")
    results: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        examples = np.arange(1 + number, dtype=np.int32)
        results[number] = infer(examples, np.int32(number))["twice"]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(traced) == [2, 8]
    assert infer.compiled == (2, 8)
    for number in range(12):
        np.testing.assert_array_equal(results[number], 2 * np.arange(1 + number) + number)


def test_sizes_divide_over_the_devices() -> None:
    infer, _ = doubling(devices=8, sizes=(1, 3, 12))
    assert infer.sizes == (8, 16)
    for sizes in ((), (0, 2)):
        with pytest.raises(ConfigError, match="batch sizes"):
            doubling(sizes=sizes)
