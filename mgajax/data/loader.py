"""Batches: which rows a step reads, how they are gathered, and prefetching.

The order is a pure function of (seed, step): a resumed run continues exactly where it stopped, without
saved iterator state. Pixels stay uint8 until they are on the device.
"""

import functools
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Int32, Integer, UInt8

from mgajax.errors import ConfigError, DataError

AnyArray = jax.Array | np.ndarray
Prefetched = TypeVar("Prefetched")

IMAGE_MEAN: float = 0.45271412
IMAGE_STD: float = 0.33165374
"""Grey-level constants of the curated set's authors (their public training code, pixels in [0, 1]);
the paper gives none. Fixed, so that a checkpoint means the same on every data set."""

NO_ROW: int = -1
"""The row number of padding in a batch."""

PREFETCH_JOIN_S: float = 5.0
"""How long closing a prefetch waits for the item that is being made; the thread is a daemon."""


@flax.struct.dataclass
class Batch:
    """The examples of one step.

    Attributes:
      images: uint8 [b, s, s, 1].
      masks: uint8 [b, s, s, m], share of lesion in each pixel times 255; then that of lung, if
        lungs are needed.
      labels: int32 [b].
      weights: float32 [b], 1, or 0 for padding.
      mask_weights: float32 [b], 1, or 0 where no lesion mask is known (and for padding).
      rows: int32 [b], row of the table, -1 for padding.
    """

    images: Any
    masks: Any
    labels: Any
    weights: Any
    mask_weights: Any
    rows: Any


@flax.struct.dataclass
class Examples:
    """All n rows that batches are gathered from: host arrays (memory maps too) or device arrays.

    Attributes:
      images: uint8 [n, s, s, 1].
      masks: uint8 [n, s, s, 1].
      labels: int32 [n].
      mask_weights: float32 [n].
      lungs: uint8 [n, s, s, 1], or None; all zero for a slice whose lungs are not known.
    """

    images: Any
    masks: Any
    labels: Any
    mask_weights: Any
    lungs: Any = None

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take on the host or on one device."""
        return sum(int(array.nbytes) for array in jax.tree.leaves(self))


def take(examples: Examples, rows: Int32[AnyArray, "b"]) -> Batch:
    """Gather `rows` into a batch; a row of -1 becomes an all-zero example of weight 0.

    Numpy in, numpy out when both are on the host; otherwise traceable under jit, where `examples`
    should be an argument (not a constant) of the jitted function.
    """
    on_host = isinstance(rows, np.ndarray) and isinstance(examples.images, np.ndarray)
    xp = np if on_host else jnp
    valid = rows >= 0
    index = xp.where(valid, rows, xp.int32(0))

    def gather(column: Any) -> Any:
        values = column[index]
        shape = (-1,) + (1,) * (values.ndim - 1)
        return xp.where(valid.reshape(shape), values, xp.zeros((), values.dtype))

    masks = gather(examples.masks)
    if examples.lungs is not None:
        masks = xp.concatenate([masks, gather(examples.lungs)], axis=-1)
    return Batch(
        images=gather(examples.images),
        masks=masks,
        labels=gather(examples.labels),
        weights=valid.astype(xp.float32),
        mask_weights=gather(examples.mask_weights),
        rows=rows,
    )


def training_rows(
    rows: Integer[np.ndarray, "n"], *, step: int, batch_size: int, seed: int
) -> Int32[np.ndarray, "batch"]:
    """The rows of training step `step` (from 0).

    One permutation of `rows` for each epoch, end to end, is cut into batches. So every row comes
    exactly once an epoch and nothing is dropped: a batch may belong to two epochs, and `rows` may be
    fewer than `batch_size`.

    Raises:
      DataError: `rows` is empty.
      ConfigError: a negative step or a batch size below 1.
    """
    count = len(rows)
    if count == 0:
        raise DataError("training split: 0 rows, expected at least 1; check the split and sources")
    if batch_size < 1 or step < 0:
        raise ConfigError(
            f"batch_size={batch_size}, step={step}: expected batch_size >= 1, step >= 0"
        )
    position = step * batch_size + np.arange(batch_size)
    epochs, ranks = np.divmod(position, count)
    batch = np.empty(batch_size, np.int32)
    for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
        in_epoch = epochs == epoch
        order = _permutation(count=count, epoch=epoch, seed=seed)
        batch[in_epoch] = rows[order[ranks[in_epoch]]]
    return batch


@functools.lru_cache(maxsize=4)
def _permutation(*, count: int, epoch: int, seed: int) -> Int[np.ndarray, "n"]:
    """Order of epoch `epoch`: ranks of raw Philox words, which are the same in every numpy version."""
    words = np.random.Philox(seed=np.random.SeedSequence((seed, epoch))).random_raw(count)
    order = np.argsort(words, kind="stable")
    order.setflags(write=False)
    return order


def host_slice(batch_size: int, process_index: int, process_count: int) -> slice:
    """The share of a global batch that process `process_index` gathers.

    Raises:
      ConfigError: `batch_size` does not divide by `process_count`.
    """
    if batch_size % process_count:
        lower = batch_size // process_count * process_count
        choices = " or ".join(str(c) for c in (lower, lower + process_count) if c)
        raise ConfigError(
            f"batch_size={batch_size} does not divide by {process_count} processes; use {choices}"
        )
    share = batch_size // process_count
    return slice(process_index * share, (process_index + 1) * share)


def to_float(images: UInt8[AnyArray, "b h w c"]) -> Float[jax.Array, "b h w c"]:
    """Standardised float32 pixels: (x / 255 - IMAGE_MEAN) / IMAGE_STD."""
    scale, shift = 1.0 / (255.0 * IMAGE_STD), IMAGE_MEAN / IMAGE_STD
    return jnp.asarray(images).astype(jnp.float32) * jnp.float32(scale) - jnp.float32(shift)


def mask_to_float(masks: UInt8[AnyArray, "b h w c"]) -> Float[jax.Array, "b h w c"]:
    """Share of lesion (or lung) in each pixel, float32 in [0, 1]."""
    return jnp.asarray(masks).astype(jnp.float32) * jnp.float32(1.0 / 255.0)


def prefetch(items: Iterable[Prefetched], *, depth: int = 2) -> Iterator[Prefetched]:
    """Yield `items` unchanged while a background thread keeps up to `depth` of them ready.

    The thread starts with the first `next`. An exception in `items` is raised here, after the
    items before it. Closing or dropping the iterator ends the thread and closes `items`.
    """
    if depth < 1:
        raise ConfigError(f"depth={depth}: expected at least 1 item of prefetch")
    return _consume(items, depth)


def _consume(items: Iterable[Prefetched], depth: int) -> Iterator[Prefetched]:
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    worker = threading.Thread(
        target=_produce, args=(items, ready, stop), name="mgajax-prefetch", daemon=True
    )
    worker.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, _EndOfItems):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stop.set()
        worker.join(timeout=PREFETCH_JOIN_S)


class _EndOfItems(Exception):
    """Marks the end of the items in the queue."""


def _produce(
    items: Iterable[Any],
    ready: "queue.Queue[tuple[Any, BaseException | None]]",
    stop: threading.Event,
) -> None:
    def put(item: Any, error: BaseException | None = None) -> None:
        while not stop.is_set():
            try:
                return ready.put((item, error), timeout=0.05)
            except queue.Full:
                continue

    end: BaseException = _EndOfItems()
    try:
        for item in items:
            put(item)
            if stop.is_set():
                break
    except BaseException as error:
        end = error
    finally:
        if close := getattr(items, "close", None):
            close()
        put(None, end)
