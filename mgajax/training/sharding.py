"""The one file that names pmap, shard_map and meshes.

A step is written once, over one device's share of the batch, with an `axis_name` for sums over
devices. `Layout.wrap` distributes it in one of three ways, which give the same numbers:

- `pmap`: one program a device, batches carry a leading device axis outside the step;
- `shard_map`: the same step under `jax.shard_map` inside `jax.jit`;
- `jit`: no axis name; the compiler splits the batch and sums by itself.

The state is replicated without a leading axis in all of them, so one checkpoint serves all.
`check_vma` is off under shard_map, as pmap always has it: gradients of replicated parameters then
arrive unsummed, and the step sums them. Every replicated output must be reduced by the step.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mgajax.errors import ConfigError

AXIS = "data"

DevicePlacement = Literal["replicated", "sharded"]


class Parallel(StrEnum):
    """How a step is spread over devices."""

    PMAP = "pmap"
    SHARD_MAP = "shard_map"
    JIT = "jit"


@dataclass(frozen=True)
class Layout:
    """Which devices take part, and how a step is spread over them."""

    parallel: Parallel
    mesh: Mesh

    @property
    def axis_name(self) -> str | None:
        """The name over which a step must reduce; None where the compiler does."""
        return None if self.parallel is Parallel.JIT else AXIS

    @property
    def num_devices(self) -> int:
        """Devices over all hosts."""
        return self.mesh.devices.size

    @property
    def platform(self) -> str:
        """JAX's name for the kind of its devices: "cpu", "gpu" or "tpu"."""
        return self.mesh.devices.flat[0].platform

    @property
    def replicated(self) -> NamedSharding:
        """The same whole array on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def sees_own_devices(self) -> bool:
        """Whether a step's replicated results are arrays of this process's devices alone."""
        return self.parallel is Parallel.PMAP and jax.process_count() > 1

    def wrap(
        self,
        function: Callable[..., Any],
        *,
        inputs: Sequence[DevicePlacement],
        outputs: DevicePlacement | tuple[DevicePlacement, ...],
        donate: bool = False,
        compiler_options: dict[str, str | bool] | None = None,
    ) -> Callable[..., Any]:
        """Compile `function` over the devices.

        Args:
          function: positional arrays in, arrays out, over one device's share of what is sharded.
          inputs: for each argument, whether it is replicated or split along its first axis.
          outputs: likewise for the result, or for each member of a tuple of results.
          donate: the first argument's memory may be reused for the result.
          compiler_options: see `mgajax.training.compilation.compiler_options`; ignored by pmap over
            several processes.
        """
        donate_argnums = (0,) if donate else ()
        if self.parallel is Parallel.PMAP:
            mapped = jax.pmap(
                function,
                axis_name=AXIS,
                in_axes=tuple(_pmap_axis(placement) for placement in inputs),
                out_axes=_map_placements(_pmap_axis, outputs),
                devices=list(self.mesh.devices.flat),
                donate_argnums=donate_argnums,
            )
            # pmap has no options of its own, and joins the processes' arrays outside of a trace only.
            if compiler_options is None or self.sees_own_devices:
                return mapped
            # A partial: jit takes over a function's attributes, and pmap's `lower` drops the options.
            return jax.jit(
                functools.partial(mapped),
                donate_argnums=donate_argnums,
                compiler_options=compiler_options,
            )
        if self.parallel is Parallel.SHARD_MAP:
            function = jax.shard_map(
                function,
                mesh=self.mesh,
                in_specs=tuple(_spec(placement) for placement in inputs),
                out_specs=_map_placements(_spec, outputs),
                check_vma=False,
            )
        return jax.jit(
            function,
            in_shardings=tuple(self._sharding(placement) for placement in inputs),
            out_shardings=_map_placements(self._sharding, outputs),
            donate_argnums=donate_argnums,
            compiler_options=compiler_options,
        )

    def replicate(self, tree: Any) -> Any:
        """Put the same arrays on every device."""
        return jax.tree.map(self._replicate_leaf, tree)

    def to_global(self, tree: Any) -> Any:
        """A replicated state as arrays over the devices of all processes, as checkpoints need it."""
        if not self.sees_own_devices:
            return tree
        return multihost_utils.host_local_array_to_global_array(tree, self.mesh, PartitionSpec())

    def from_global(self, tree: Any) -> Any:
        """The inverse of `to_global`: a state as a step returns it."""
        if not self.sees_own_devices:
            return tree
        return multihost_utils.global_array_to_host_local_array(tree, self.mesh, PartitionSpec())

    def shard(self, tree: Any) -> Any:
        """Split arrays of this host's share of a batch over its devices, along the first axis."""
        return jax.tree.map(self._shard_leaf, tree)

    def gather(self, tree: Any) -> Any:
        """Sharded results as numpy arrays with one batch axis, in the batch's order, the whole batch
        on every process."""
        if jax.process_count() > 1:
            tree = multihost_utils.process_allgather(tree, tiled=True)
        arrays = jax.device_get(tree)
        if self.parallel is not Parallel.PMAP:
            return arrays
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), arrays)

    def _replicate_leaf(self, leaf: Any) -> jax.Array:
        if self.sees_own_devices:
            local = NamedSharding(self.mesh.local_mesh, PartitionSpec())
            return jax.device_put(leaf, local)
        if jax.process_count() > 1:  # device_put would compare the processes' arrays, one by one
            return jax.make_array_from_process_local_data(self.replicated, np.asarray(leaf))
        return jax.device_put(leaf, self.replicated)

    def _shard_leaf(self, leaf: np.ndarray) -> jax.Array:
        if self.parallel is Parallel.PMAP:
            devices = jax.local_device_count() if jax.process_count() > 1 else self.num_devices
            leaf = leaf.reshape(devices, -1, *leaf.shape[1:])
        return jax.make_array_from_process_local_data(self._sharding("sharded"), leaf)

    def _sharding(self, placement: DevicePlacement) -> NamedSharding:
        return NamedSharding(self.mesh, _spec(placement))


def make_layout(*, parallel: str, devices: int = 0) -> Layout:
    """The layout over `devices` local devices (0: every device of every host).

    Raises:
      ConfigError: an unknown `parallel`, more devices than there are, or a part of them where
        several processes take part.
    """
    available = jax.devices()
    if devices and jax.process_count() > 1:
        raise ConfigError(f"devices={devices}: several processes use all of theirs; leave it 0")
    if devices < 0 or devices > len(available):
        raise ConfigError(f"devices={devices}: this process sees {len(available)}; use 0 for all")
    return layout_over(available[: devices or None], parallel=parallel)


def layout_over(devices: Sequence[jax.Device], *, parallel: str) -> Layout:
    """The layout over these devices; descriptions of absent devices will do, to compile for them.

    Raises:
      ConfigError: an unknown `parallel`.
    """
    if parallel not in list(Parallel):
        raise ConfigError(f"parallel={parallel!r}: expected one of {', '.join(Parallel)}")
    return Layout(parallel=Parallel(parallel), mesh=Mesh(np.asarray(devices), (AXIS,)))


def first_device() -> Layout:
    """The first device alone, without a device axis: for predictions that several threads share."""
    return layout_over(jax.devices()[:1], parallel=Parallel.JIT)


def check_batch_size(batch_size: int, *, layout: Layout) -> None:
    """Refuse a batch that does not divide over the devices.

    Raises:
      ConfigError: names the nearest sizes that do.
    """
    devices = layout.num_devices
    if batch_size >= 1 and batch_size % devices == 0:
        return
    below = batch_size // devices * devices
    nearest = " or ".join(str(size) for size in (below, below + devices) if size > 0)
    raise ConfigError(
        f"batch_size={batch_size} does not divide by {devices} devices; use {nearest}"
    )


def round_up(batch_size: int, *, layout: Layout) -> int:
    """The smallest multiple of the device count that is at least `batch_size`."""
    return -(-batch_size // layout.num_devices) * layout.num_devices


def _pmap_axis(placement: DevicePlacement) -> int | None:
    return 0 if placement == "sharded" else None


def _spec(placement: DevicePlacement) -> PartitionSpec:
    return PartitionSpec(AXIS) if placement == "sharded" else PartitionSpec()


def _map_placements(
    convert: Callable[[DevicePlacement], Any],
    placements: DevicePlacement | tuple[DevicePlacement, ...],
) -> Any:
    if isinstance(placements, tuple):
        return tuple(convert(placement) for placement in placements)
    return convert(placements)
