"""Any number of examples through a compiled function: each exactly once, in order.

Evaluation, `segment`, `predict` and `explain` share it: batches are padded to fixed sizes, the next one
computes while one is read back, and the padding is cut off.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Shaped

from mgajax.errors import ConfigError
from mgajax.training.sharding import Layout, round_up

BatchKey = TypeVar("BatchKey")


@dataclass(frozen=True, eq=False)
class BatchInference:
    """A function of batches of a few fixed sizes, for any number of examples; threads may share it.

    A batch is padded to the next size, and the results of the padding are cut off. The function must
    treat each example by itself, as networks do in evaluation mode. It is compiled once a size, by the
    first thread that needs that size.

    Attributes:
      function: `(batch [size, ...], *further) -> tree of arrays [size, ...]` over the devices.
      layout: the devices.
      sizes: of batches, ascending, each a multiple of the device count.
      padding: the value of the rows that are added.
    """

    function: Callable[..., Any]
    layout: Layout
    sizes: tuple[int, ...]
    padding: int = 0
    _compiled: set[int] = field(default_factory=set, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def compiled(self) -> tuple[int, ...]:
        """The sizes that have been used so far."""
        return tuple(sorted(self._compiled))

    def __call__(self, examples: Shaped[np.ndarray, "n ..."], *further: Any) -> Any:
        """The function's results for all n examples (at least one), as numpy arrays.

        Args:
          examples: one a row.
          further: the function's other arguments, the same for all examples.
        """
        parts = [outputs for _, outputs in self.stream(self.batches(examples), *further)]
        return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)

    def batches(
        self, examples: Shaped[np.ndarray, "n ..."]
    ) -> list[tuple[Shaped[np.ndarray, "_ ..."], Shaped[np.ndarray, "_ ..."]]]:
        """The examples in batches of the largest size, for `stream`; each batch is its own key."""
        size = self.sizes[-1]
        batches = [examples[start : start + size] for start in range(0, len(examples), size)]
        return [(batch, batch) for batch in batches]

    def stream(
        self,
        batches: Iterable[tuple[BatchKey, Shaped[np.ndarray, "_ ..."]]],
        *further: Any,
        stop: Callable[[], object] = lambda: False,
    ) -> Iterator[tuple[BatchKey, Any]]:
        """Each batch's key and results, in order; the next batch computes while one is read back.

        Args:
          batches: keys, which are returned as they are, and batches of at most the largest size.
          further: the function's other arguments.
          stop: called before each batch; once it is true, the batch under way is the last.
        """
        running: tuple[BatchKey, int, Any] | None = None
        for key, batch in batches:
            if stop():
                break
            following = key, len(batch), self._start(batch, further)
            if running is not None:
                yield self._read_back(*running)
            running = following
        if running is not None:
            yield self._read_back(*running)

    def _start(self, batch: np.ndarray, further: Sequence[Any]) -> Any:
        size = min(size for size in self.sizes if size >= len(batch))
        padding = np.full((size - len(batch), *batch.shape[1:]), self.padding, batch.dtype)
        padded = np.concatenate([batch, padding])
        if size in self._compiled:
            return self.function(padded, *further)
        with self._lock:
            outputs = self.function(padded, *further)
            self._compiled.add(size)
        return outputs

    def _read_back(self, key: BatchKey, count: int, outputs: Any) -> tuple[BatchKey, Any]:
        return key, jax.tree.map(lambda array: array[:count], self.layout.gather(outputs))


def make_batch_inference(
    function: Callable[..., Any],
    *,
    layout: Layout,
    sizes: Sequence[int],
    padding: int = 0,
) -> BatchInference:
    """A `BatchInference` whose sizes divide over the devices.

    Args:
      function: see `BatchInference`.
      layout: the devices.
      sizes: of batches; each is rounded up to a multiple of the device count.
      padding: the value of the rows that are added.

    Raises:
      ConfigError: no sizes, or one below 1.
    """
    if not sizes or min(sizes) < 1:
        raise ConfigError(f"batch sizes {tuple(sizes)}: expected one or more, each at least 1")
    rounded = {round_up(size, layout=layout) for size in sizes}
    return BatchInference(function, layout, tuple(sorted(rounded)), padding)
