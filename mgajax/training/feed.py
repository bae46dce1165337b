"""From prepared slices to a step's inputs: which rows, gathered where, placed how."""

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jax
import numpy as np

from mgajax.data.cache import PreparedSet
from mgajax.data.loader import Batch, Examples, host_slice, prefetch, take, training_rows
from mgajax.schema import CLASS_NAMES, MASK_ORIGINS
from mgajax.training.sharding import Layout, Spread

RESIDENT_SHARE = 0.25
"""A set that takes at most this share of a device's memory is kept there under `auto`."""

NORMAL_MASKS = ("empty", "unknown")


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
      resident: batches are gathered on the device, so that a step reads a few row numbers only.
    """

    examples: Examples
    layout: Layout
    resident: bool

    def step(
        self,
        function: Callable[[Any, Batch], Any],
        *,
        outputs: Spread | tuple[Spread, ...],
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

        def gathering(state: Any, examples: Examples, rows: jax.Array) -> Any:
            return function(state, take(examples, rows))

        return self.layout.wrap(
            gathering,
            inputs=("replicated", "replicated", "sharded"),
            outputs=outputs,
            donate=donate,
            compiler_options=compiler_options,
        )

    def inputs(self, rows: np.ndarray) -> tuple[Any, ...]:
        """What a step takes beside the state, for the global batch `rows` int32 [batch]."""
        share = rows[host_slice(len(rows), jax.process_index(), jax.process_count())]
        if self.resident:
            return self.examples, self.layout.shard(share)
        return (self.layout.shard(take(self.examples, share)),)

    def training(
        self, rows: np.ndarray, *, first: int, last: int, batch_size: int, seed: int
    ) -> Generator[tuple[int, tuple[Any, ...]]]:
        """`(step, inputs)` for steps `first` to `last - 1`, prepared ahead in the background."""

        def produce() -> Generator[tuple[int, tuple[Any, ...]]]:
            for step in range(first, last):
                chosen = training_rows(rows, step=step, batch_size=batch_size, seed=seed)
                yield step, self.inputs(chosen)

        yield from prefetch(produce())


def make_feed(
    data: PreparedSet, *, layout: Layout, residence: str, mask_weights: np.ndarray
) -> Feed:
    """A feed over all rows of `data`.

    Args:
      residence: `auto`, `device` or `host`.
      mask_weights: float32 [n], see `known_masks`.
    """
    examples = Examples(
        images=data.images,
        masks=data.masks,
        labels=data.table.labels,
        mask_weights=mask_weights,
        lungs=data.lungs,
    )
    fits = examples.nbytes <= RESIDENT_SHARE * _bytes_per_device(layout)
    resident = residence == Residence.DEVICE or (residence == Residence.AUTO and fits)
    if resident:
        examples = layout.replicate(examples)
    return Feed(examples=examples, layout=layout, resident=resident)


def known_masks(
    data: PreparedSet, *, normal_mask: str, mask_origins: Sequence[str] = MASK_ORIGINS[1:]
) -> np.ndarray:
    """float32 [n]: 1 where a slice's lesion mask is known.

    The paper supervises attention with a mask on every slice of every class (§5.1, end). Where
    masks have not been predicted yet, a Normal slice counts as known to be empty unless
    `normal_mask` is `unknown`: a slice without disease has no lesion.

    Args:
      normal_mask: what a Normal slice without a mask says: `empty` or `unknown`.
      mask_origins: whose masks count.
    """
    known = np.isin(data.table.mask_origins, mask_origins)
    if normal_mask == "empty":
        nobody = data.table.mask_origins == MASK_ORIGINS[0]
        known = known | (nobody & (data.table.labels == CLASS_NAMES.index("Normal")))
    return known.astype(np.float32)


def _bytes_per_device(layout: Layout) -> float:
    """Memory of one device; CPU "devices" share the machine's."""
    device = layout.mesh.local_devices[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return limit or machine / layout.num_devices
