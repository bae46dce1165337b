"""Lesion masks that a segmenter predicted: a folder of them, verified and read.

`mgajax segment` writes one PNG a slice, at the slice's own size, called by the stem of the slice's
file name: 0 and 255, or the probability of lesion times 255. They lie in `masks/` of its output
folder, beside a `manifest.json` that says what made them; either folder may be given.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from jaxtyping import UInt8

from mgajax.curation.report import Finding, Findings
from mgajax.errors import ConfigError, DataError, nearest
from mgajax.imaging.pictures import decode_mask
from mgajax.progress import map_ordered, track

MASK_WORDS: tuple[str, ...] = ("use", "ignore")
"""What an option `masks` may say of the masks beside real slices, instead of naming a folder of
predicted ones for the slices without."""

Shape = tuple[int, int]
"""Height and width in pixels."""


def predicted_folder(masks: str, *, words: Sequence[str] = MASK_WORDS) -> Path | None:
    """The folder of PNGs that a `masks` option names, or None where it is one of `words`.

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


def masks_digest(folder: Path) -> str:
    """A hash of names and contents of the PNGs in `folder`; 64 hexadecimal digits."""
    paths = _pngs(folder)
    digests = map_ordered(lambda path: hashlib.sha256(path.read_bytes()).hexdigest(), paths)
    contents = track(digests, description="reading predicted masks", total=len(paths))
    lines = [f"{path.name}:{content}\n" for path, content in zip(paths, contents, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def masks_name(masks: str) -> str:
    """A `masks` option as part of a file name: a word as it is, a folder by its content's hash."""
    folder = predicted_folder(masks, words=("", *MASK_WORDS))
    return masks if folder is None else masks_digest(folder)[:12]


def masks_made_by(folder: Path) -> dict[str, Any]:
    """What `manifest.json` beside the masks says of their making; {} where it says nothing."""
    try:
        made_by = json.loads((folder.parent / "manifest.json").read_text(encoding="utf-8"))[
            "made_by"
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return made_by if isinstance(made_by, dict) else {}


def verified_masks(
    shapes: Mapping[str, Shape], *, folder: Path, findings: Findings
) -> dict[str, Path]:
    """File name of a slice -> its predicted mask, where that decodes and has the slice's size.

    Slices whose mask fails, and those without one, are noted in `findings`.

    Args:
      shapes: the slices that need a mask: file name -> size.
      folder: see `predicted_folder`.

    Raises:
      DataError: `folder` has a mask for none of them.
    """
    by_name = {path.name: path for path in _pngs(folder)}
    found = {name: by_name[png] for name in shapes if (png := _png_of(name)) in by_name}
    if shapes and not found:
        example = _png_of(next(iter(shapes)))
        raise DataError(
            f"{folder}: none of its {len(by_name)} PNGs is a mask of this data set's {len(shapes)} "
            f"slices without an annotated one (e.g. {example}); give the output of mgajax segment "
            "on the same data set"
        )
    for name in shapes:
        if name not in found:
            findings.note(Finding.NO_MASK, name)
    opened = track(
        map_ordered(_shape, found.values()),
        description="verifying predicted masks",
        total=len(found),
    )
    usable = {}
    for (name, path), shape in zip(found.items(), opened, strict=True):
        if shape is None:
            findings.note(Finding.MASK_UNDECODABLE, name)
        elif shape != shapes[name]:
            findings.note(Finding.MASK_SIZE, name)
        else:
            usable[name] = path
    return usable


def read_values(path: Path, *, shape: Shape) -> UInt8[np.ndarray, "h w"]:
    """The values of a mask that was verified before, as they are: uint8 of the slice's size.

    Raises:
      DataError: it can no longer be decoded, or changed its size.
    """
    values = decode_mask(path.read_bytes(), name=str(path))
    if values.shape != shape:
        raise DataError(f"{path}: changed while the data set was being built; build again")
    return values


def _pngs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.png") if not path.name.startswith("."))


def _png_of(file_name: str) -> str:
    return f"{PurePath(file_name).stem}.png"


def _shape(path: Path) -> Shape | None:
    try:
        height, width = decode_mask(path.read_bytes(), name=str(path)).shape
    except DataError:
        return None
    return height, width
