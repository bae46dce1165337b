"""A folder of predicted masks: a PNG for each slice, and a manifest of what made them.

    OUT/masks/NAME.png      NAME is the slice's file name without its suffix
    OUT/manifest.json       network, checkpoint, settings, data set, versions, counts, damage

A mask appears whole, by one rename: a killed process leaves finished masks only. Masks of two
checkpoints, settings or data sets never mix in one folder.
"""

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8

from mgajax.errors import ConfigError, DataError, quantity
from mgajax.files import PARTIAL, replacing, write_text
from mgajax.imaging.pictures import encode_png
from mgajax.locks import locked

MANIFEST = "manifest.json"
MASKS = "masks"
LOCK = ".segmenting"

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\x00IEND\xaeB`\x82"


@dataclass(frozen=True)
class MaskFolder:
    """A folder of masks that this process alone writes to; made by `claim_masks`."""

    root: Path

    def path(self, name: str) -> Path:
        """The file of the mask of that name (see `mask_names`)."""
        return self.root / MASKS / f"{name}.png"

    def holds(self, name: str) -> bool:
        """Whether the mask exists and is whole; a power failure can cut even a renamed file."""
        try:
            with self.path(name).open("rb") as file:
                start = file.read(len(PNG_START))
                file.seek(-len(PNG_END), io.SEEK_END)
                return start == PNG_START and file.read() == PNG_END
        except OSError:
            return False

    def write(self, name: str, pixels: UInt8[np.ndarray, "h w"]) -> None:
        """Write a mask in one step."""
        with replacing(self.path(name), survives="kill") as partial:
            partial.write_bytes(encode_png(pixels))

    def describe(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest in one step; without it no later call may continue the folder."""
        write_text(json.dumps(manifest, indent=2), self.root / MANIFEST)


def mask_names(file_names: Sequence[str]) -> list[str]:
    """The names of the slices' masks: the file names without their suffixes.

    Raises:
      DataError: two slices would share a mask (upper and lower case count as the same, as on many
        file systems), or a name is empty.
    """
    names = [PurePosixPath(file_name).stem for file_name in file_names]
    owners: dict[str, str] = {}
    for file_name, name in zip(file_names, names, strict=True):
        if not name:
            raise DataError(f"slice {file_name!r}: no name for its mask; give every slice a name")
        if name.casefold() in owners:
            raise DataError(
                f"slices {owners[name.casefold()]!r} and {file_name!r} would share the mask "
                f"{name}.png; build the data set with different names"
            )
        owners[name.casefold()] = file_name
    return names


@contextlib.contextmanager
def claim_masks(
    root: Path, *, made_by: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> Iterator[MaskFolder]:
    """Make or continue a folder of masks, and lock it for this process.

    Args:
      made_by: what decides the masks' content, as read back from JSON.
      defaults: what a folder was made with that lacks a key, since it is older than the key.

    Raises:
      ConfigError: another process writes there, its masks were made by something else, or it
        holds masks and no manifest (they may be annotated ones).
    """
    (root / MASKS).mkdir(parents=True, exist_ok=True)
    busy = f"{root}: another process is writing masks there; wait for it, or use another --out"
    with locked(root / LOCK, guards=str(root), refusal=busy):
        _check_origin(root, made_by=made_by, defaults=defaults or {})
        for leftover in (root / MASKS).glob(f"{PARTIAL}*"):
            leftover.unlink()
        yield MaskFolder(root)


def _check_origin(root: Path, *, made_by: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse a folder whose masks something else made."""
    path = root / MANIFEST
    masks = [p.name for p in (root / MASKS).iterdir() if not p.name.startswith(".")]
    if not masks:
        return
    if not path.exists():
        raise ConfigError(
            f"{root / MASKS} holds {quantity(len(masks), 'file')} (such as {masks[0]}) and {root} no {MANIFEST} "
            "that says what made them; give an empty --out"
        )
    try:
        origin = json.loads(path.read_text())["made_by"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: damaged ({error}); give another --out, or remove {root} to start anew"
        ) from error
    for key in sorted(origin.keys() | made_by.keys()):
        present = origin.get(key, defaults.get(key, "(absent)"))
        requested = made_by.get(key, "(absent)")
        if present != requested:
            raise ConfigError(
                f"{root} holds masks made with {key}={present!r}, asked for {requested!r}; give another "
                "--out, or the old value to go on"
            )
