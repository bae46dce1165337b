"""From prepared slices to a step's inputs: which rows, gathered where, placed how."""

import os
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jax
import numpy as np

from mgajax.data.dataset import Dataset
from mgajax.data.loader import Batch, Examples, host_slice, prefetch, take, training_rows
from mgajax.training.sharding import DevicePlacement, Layout

RESIDENT_SHARE = 0.25
"""A set that takes at most this share of a device's memory is kept there under `auto`."""


class Residence(StrEnum):
    """Where batches are gathered."""

    AUTO = "auto"
    DEVICE = "device"
    HOST = "host"


@dataclass(frozen=True)
class Feed:
    """How a step gets its batch.

    Attributes:
      examples: all rows; on every device if resident, else on the host.
      layout: the devices.
      resident: batches are gathered on the device; the host sends row numbers only.
    """

    examples: Examples
    layout: Layout
    resident: bool

    def compile_step(
        self,
        function: Callable[[Any, Batch], Any],
        *,
        outputs: DevicePlacement | tuple[DevicePlacement, ...],
        donate: bool = False,
        compiler_options: dict[str, str | bool] | None = None,
    ) -> Callable[..., Any]:
        """Compile `function(state, batch)` to be called as `f(state, *inputs(rows))`.

        `outputs`, `donate` and `compiler_options` are those of `Layout.wrap`.
        """
        if not self.resident:
            return self.layout.wrap(
                function,
                inputs=("replicated", "sharded"),
                outputs=outputs,
                donate=donate,
                compiler_options=compiler_options,
            )

        def gather_and_apply(state: Any, examples: Examples, rows: jax.Array) -> Any:
            return function(state, take(examples, rows))

        return self.layout.wrap(
            gather_and_apply,
            inputs=("replicated", "replicated", "sharded"),
            outputs=outputs,
            donate=donate,
            compiler_options=compiler_options,
        )

    def inputs(self, rows: np.ndarray) -> tuple[Any, ...]:
        """A step's arguments after the state, for the global batch `rows` int32 [batch]."""
        share = rows[host_slice(len(rows), jax.process_index(), jax.process_count())]
        if self.resident:
            return self.examples, self.layout.shard(share)
        return (self.layout.shard(take(self.examples, share)),)

    def training_batches(
        self, rows: np.ndarray, *, first: int, last: int, batch_size: int, seed: int
    ) -> Generator[tuple[int, tuple[Any, ...]]]:
        """`(step, inputs)` for steps `first` to `last - 1`, prepared ahead in the background."""

        def produce() -> Generator[tuple[int, tuple[Any, ...]]]:
            for step in range(first, last):
                batch = training_rows(rows, step=step, batch_size=batch_size, seed=seed)
                yield step, self.inputs(batch)

        yield from prefetch(produce())


def make_feed(data: Dataset, *, layout: Layout, residence: str) -> Feed:
    """A feed over all rows of `data`.

    Args:
      residence: `auto`, `device` or `host`.
    """
    examples = Examples(
        images=data.images,
        masks=data.masks,
        labels=data.table.labels,
        mask_weights=data.mask_weights,
        lungs=data.lungs,
    )
    fits = examples.nbytes <= RESIDENT_SHARE * _bytes_per_device(layout)
    resident = residence == Residence.DEVICE or (residence == Residence.AUTO and fits)
    if resident:
        examples = layout.replicate(examples)
    return Feed(examples=examples, layout=layout, resident=resident)


def _bytes_per_device(layout: Layout) -> float:
    """Memory of one device; CPU "devices" share the machine's."""
    device = layout.mesh.local_devices[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return limit or machine / layout.num_devices
