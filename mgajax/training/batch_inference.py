"""Any number of examples through a compiled function: each exactly once, in order.

Evaluation, `segment`, `predict` and `explain` differ by what they feed. How a batch is filled up, how
the next one computes while one is read back, and how the filling is cut off stands here.
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

Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class BatchInference:
    """A function of batches of a few fixed sizes, for any number of examples; threads may share it.

    A batch is filled up to the next size, and what belongs to the filling is cut off. The function
    must treat each example by itself, as networks do in evaluation mode. It is compiled once a size,
    by whichever thread needs that size first.

    Attributes:
      function: `(batch [size, ...], *further) -> tree of arrays [size, ...]` over the devices.
      layout: the devices.
      sizes: of batches, ascending, each a multiple of the device count.
      filling: the value that fills a batch up.
    """

    function: Callable[..., Any]
    layout: Layout
    sizes: tuple[int, ...]
    filling: int = 0
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
        """What `stream` takes: the examples cut into batches of the largest size, their own keys."""
        size = self.sizes[-1]
        parts = [examples[start : start + size] for start in range(0, len(examples), size)]
        return [(part, part) for part in parts]

    def stream(
        self,
        batches: Iterable[tuple[Key, Shaped[np.ndarray, "_ ..."]]],
        *further: Any,
        stop: Callable[[], object] = lambda: False,
    ) -> Iterator[tuple[Key, Any]]:
        """Each batch's key and results, in order; the next batch computes while one is read back.

        Args:
          batches: keys, which come back as they are, and batches of at most the largest size.
          further: the function's other arguments.
          stop: asked before each batch; once it holds, what was begun is the last.
        """
        begun: tuple[Key, int, Any] | None = None
        for key, batch in batches:
            if stop():
                break
            following = key, len(batch), self._begin(batch, further)
            if begun is not None:
                yield self._read_back(*begun)
            begun = following
        if begun is not None:
            yield self._read_back(*begun)

    def _begin(self, batch: np.ndarray, further: Sequence[Any]) -> Any:
        size = min(size for size in self.sizes if size >= len(batch))
        filling = np.full((size - len(batch), *batch.shape[1:]), self.filling, batch.dtype)
        filled = np.concatenate([batch, filling])
        if size in self._compiled:
            return self.function(filled, *further)
        with self._lock:
            outputs = self.function(filled, *further)
            self._compiled.add(size)
        return outputs

    def _read_back(self, key: Key, count: int, outputs: Any) -> tuple[Key, Any]:
        return key, jax.tree.map(lambda array: array[:count], self.layout.gather(outputs))


def make_batch_inference(
    function: Callable[..., Any],
    *,
    layout: Layout,
    sizes: Sequence[int],
    filling: int = 0,
) -> BatchInference:
    """A `BatchInference` whose sizes divide over the devices.

    Args:
      function: see `BatchInference`.
      layout: the devices.
      sizes: of batches; each is rounded up to a multiple of the device count.
      filling: the value that fills a batch up.

    Raises:
      ConfigError: no sizes, or one below 1.
    """
    if not sizes or min(sizes) < 1:
        raise ConfigError(f"batch sizes {tuple(sizes)}: expected one or more, from 1 on")
    rounded = {round_up(size, layout=layout) for size in sizes}
    return BatchInference(function, layout, tuple(sorted(rounded)), filling)
