"""One compiled program a batch size, few batch sizes, safe to call from several threads."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from mgajax.errors import ConfigError
from mgajax.training.compilation import compiler_options

BUCKETS: tuple[int, ...] = (1, 2, 4, 8, 16)
"""Batch sizes by default: at most half of a batch is filling."""


class Bucketed:
    """A function of images, applied to any number of them in batches of a few fixed sizes.

    A batch is filled up with black to the next bucket, and what belongs to the filling is cut off;
    the function must treat each image by itself, as networks do in evaluation mode. Each bucket is
    compiled once, by whichever thread needs it first.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *fixed: Any,
        side: int,
        buckets: Sequence[int] = BUCKETS,
        model_name: str = "",
    ) -> None:
        """
        Args:
          function: `(*fixed, images uint8 [b, s, s, 1], *further) -> tree of arrays [b, ...]`.
          fixed: its first arguments, trees of arrays; they are put on the first device once.
          side: s.
          buckets: the batch sizes.
          model_name: whose network it applies, for the compiler's options; "" for none.

        Raises:
          ConfigError: no batch sizes, or one below 1.
        """
        if not buckets or min(buckets) < 1:
            raise ConfigError(f"buckets={tuple(buckets)}: expected batch sizes from 1 on")
        self.buckets = tuple(sorted(set(buckets)))
        self._function = function
        device = jax.devices()[0]
        self._fixed = jax.device_put(fixed, device)
        self._options = compiler_options(model_name, platform=device.platform)
        self._side = side
        self._programs: dict[int, Any] = {}
        self._lock = threading.Lock()

    @property
    def compiled(self) -> tuple[int, ...]:
        """The batch sizes compiled so far."""
        return tuple(sorted(self._programs))

    def __call__(self, images: UInt8[np.ndarray, "n s s"], *further: Any) -> Any:
        """The function's results for all n images (at least one), as numpy arrays.

        Args:
          images: grey levels.
          further: the function's last arguments, numpy arrays that are the same for all images.
        """
        begun = [
            self._program(len(batch), further)(*self._fixed, batch, *further)
            for batch in self._batches(images)
        ]
        found = jax.tree.map(lambda *parts: np.concatenate(parts), *jax.device_get(begun))
        return jax.tree.map(lambda values: values[: len(images)], found)

    def _batches(self, images: UInt8[np.ndarray, "n s s"]) -> Iterator[np.ndarray]:
        """Batches of the buckets' sizes, the last one filled up."""
        for start in range(0, len(images), self.buckets[-1]):
            rows = images[start : start + self.buckets[-1], ..., None]
            size = min(size for size in self.buckets if size >= len(rows))
            yield np.concatenate([rows, np.zeros((size - len(rows), *rows.shape[1:]), np.uint8)])

    def _program(self, size: int, further: Sequence[Any]) -> Any:
        with self._lock:
            if size not in self._programs:
                images = jax.ShapeDtypeStruct((size, self._side, self._side, 1), jnp.uint8)
                lowered = jax.jit(self._function).lower(*self._fixed, images, *further)
                self._programs[size] = lowered.compile(self._options)
            return self._programs[size]
