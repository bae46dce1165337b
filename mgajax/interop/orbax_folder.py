"""An Orbax folder with the variables alone: no optimiser, no training position."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from mgajax.interop.network import Network, OutputFunction


def write(network: Network, path: Path) -> None:
    """Write `{"params", "batch_stats"}`; metadata are the folder's custom metadata."""
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(
            path.resolve(), network.variables, custom_metadata={"mgajax": network.metadata}
        )


def load(network: Network, path: Path) -> OutputFunction:
    """The network's answer with the folder's weights."""
    return network.answer(read(path))


def read(path: Path, *, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """The arrays of a folder, on the host, whatever devices they were written from.

    Args:
      path: a folder that Orbax wrote.
      only: entries of the top level to read; all by default.
    """
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        tree = checkpointer.metadata(path.resolve()).item_metadata.tree
        entries = {key: tree[key] for key in only or tree}
        on_host = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), entries)
        arguments = ocp.args.PyTreeRestore(
            item=entries, restore_args=on_host, partial_restore=bool(only)
        )
        arrays: dict[str, Any] = checkpointer.restore(path.resolve(), args=arguments)
    return arrays
