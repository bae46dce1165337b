"""Lesion masks that a segmenter predicted: a folder of them, verified and read.

`mgajax segment` writes a PNG for each slice, of the slice's own size and with the stem of its file
name: 0 and 255, or the probability of lesion times 255. They lie in `masks/` of its output folder,
beside a `manifest.json` of what made them; either folder may be given.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from jaxtyping import UInt8

from mgajax.curation.findings import Finding, Findings
from mgajax.errors import ConfigError, DataError, nearest, quantity
from mgajax.imaging.pictures import decode_mask
from mgajax.progress import map_ordered, track

MASK_WORDS: tuple[str, ...] = ("use", "ignore")
"""Values of an option `masks` for the masks beside real slices; it may also name a folder of predicted
ones, for the slices without."""

SliceSize = tuple[int, int]
"""Height and width in pixels."""


def predicted_folder(masks: str, *, words: Sequence[str] = MASK_WORDS) -> Path | None:
    """The folder of PNGs that a `masks` option names; None where it is one of `words`.

    Raises:
      ConfigError: it is neither.
    """
    if masks in words:
        return None
    folder = Path(str(masks)).expanduser().resolve()
    if not folder.is_dir():
        hint = nearest(str(masks), [*filter(None, words), "a folder that mgajax segment wrote"])
        raise ConfigError(f"masks={str(masks)!r}: no such folder of predicted masks; {hint}")
    return folder / "masks" if (folder / "masks").is_dir() else folder


def digest_masks(folder: Path) -> str:
    """A hash of names and contents of the PNGs in `folder`; 64 hexadecimal digits."""
    paths = _list_pngs(folder)
    digests = map_ordered(lambda path: hashlib.sha256(path.read_bytes()).hexdigest(), paths)
    contents = track(digests, description="reading predicted masks", total=len(paths))
    lines = [f"{path.name}:{content}\n" for path, content in zip(paths, contents, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def masks_name(masks: str) -> str:
    """A `masks` option as part of a file name: the word, or for a folder the hash of its content."""
    folder = predicted_folder(masks, words=("", *MASK_WORDS))
    return masks if folder is None else digest_masks(folder)[:12]


def read_origin(folder: Path) -> dict[str, Any]:
    """What made the masks, by the `manifest.json` beside them; {} where it does not say."""
    try:
        made_by = json.loads((folder.parent / "manifest.json").read_text(encoding="utf-8"))[
            "made_by"
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return made_by if isinstance(made_by, dict) else {}


def verify_masks(
    shapes: Mapping[str, SliceSize], *, folder: Path, findings: Findings
) -> dict[str, Path]:
    """File name of a slice -> its predicted mask, where that decodes and has the slice's size.

    Notes slices whose mask fails, and those without one, in `findings`.

    Args:
      shapes: the slices that need a mask: file name -> size.
      folder: see `predicted_folder`.

    Raises:
      DataError: `folder` has a mask for none of them.
    """
    by_name = {path.name: path for path in _list_pngs(folder)}
    paths = {name: by_name[png] for name in shapes if (png := _mask_file_name(name)) in by_name}
    if shapes and not paths:
        example = _mask_file_name(next(iter(shapes)))
        raise DataError(
            f"{folder}: {quantity(len(by_name), 'PNG')}, none of them a mask of "
            f"{quantity(len(shapes), 'slice')} without an annotated one (e.g. {example}); give the "
            "output of mgajax segment on the same data set"
        )
    for name in shapes:
        if name not in paths:
            findings.note(Finding.NO_MASK, name)
    shapes_found = track(
        map_ordered(_read_size, paths.values()),
        description="verifying predicted masks",
        total=len(paths),
    )
    verified = {}
    for (name, path), shape in zip(paths.items(), shapes_found, strict=True):
        if shape is None:
            findings.note(Finding.MASK_UNDECODABLE, name)
        elif shape != shapes[name]:
            findings.note(Finding.MASK_SIZE, name)
        else:
            verified[name] = path
    return verified


def read_values(path: Path, *, shape: SliceSize) -> UInt8[np.ndarray, "h w"]:
    """The stored values of a mask that was verified before: uint8 of the slice's size.

    Raises:
      DataError: it can no longer be decoded, or changed its size.
    """
    values = decode_mask(path.read_bytes(), name=str(path))
    if values.shape != shape:
        raise DataError(f"{path}: changed while the data set was being built; build again")
    return values


def _list_pngs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.png") if not path.name.startswith("."))


def _mask_file_name(file_name: str) -> str:
    return f"{PurePath(file_name).stem}.png"


def _read_size(path: Path) -> SliceSize | None:
    try:
        height, width = decode_mask(path.read_bytes(), name=str(path)).shape
    except DataError:
        return None
    return height, width
