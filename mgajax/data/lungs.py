"""Where the lungs are in a grey picture, by rule: what the second map of attention is guided by.

The paper's outlook (§7) guides attention by lungs as well as by lesions. Five of the seven sources
have no outlines of lungs and no curated slice comes with one, so they are found in the picture:
open lung is the large dark regions inside the body. Consolidated lung is as grey as the chest wall
and cannot be found so; where a lesion mask tells of it, it counts as lung.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from mgajax.data import array_store
from mgajax.imaging.lungs import lung_field
from mgajax.locks import locked
from mgajax.progress import map_ordered, say, track

VERSION = 1
"""Of the rule; a change makes stored masks stale."""


def stored_lung_masks(
    folder: Path,
    *,
    images: UInt8[np.ndarray, "n s s 1"],
    lesions: UInt8[np.ndarray, "n s s 1"],
    fingerprint: str,
) -> UInt8[np.ndarray, "n s s 1"]:
    """`lung_masks`, found once and read as a memory map after.

    Args:
      folder: gets them; of several processes that need them, one finds them, the others wait.
      images: prepared slices.
      lesions: see `lung_masks`.
      fingerprint: of the prepared slices; masks of others are replaced.

    Raises:
      OSError: the folder cannot be written.
    """
    expected = {"rule": VERSION, "fingerprint": fingerprint}
    if array_store.problem(folder, expected=expected) is not None:
        with locked(folder.with_name(folder.name + ".lock"), guards=f"lung masks {folder}"):
            problem = array_store.problem(folder, expected=expected)
            if problem not in (None, array_store.ABSENT):
                say(f"lung masks {folder}: {problem}; finding them again")
            if problem is not None:
                _store(folder, images=images, lesions=lesions, described_by=expected)
    stored: np.ndarray = np.load(folder / "lungs.npy", mmap_mode="r")
    return stored


def _store(
    folder: Path, *, images: np.ndarray, lesions: np.ndarray, described_by: dict[str, Any]
) -> None:
    with (
        array_store.replacing(folder, described_by=described_by) as fresh,
        array_store.RowWriter(fresh / "lungs.npy", shape=images.shape) as rows,
    ):
        for mask in lung_masks(images, lesions):
            rows.write(mask)


def lung_masks(
    images: UInt8[np.ndarray, "n s s 1"], lesions: UInt8[np.ndarray, "n s s 1"]
) -> Iterator[UInt8[np.ndarray, "s s 1"]]:
    """Lungs of prepared slices, 255 or, at the rim of a lesion outside the open lung, its share.

    Args:
      images: prepared slices.
      lesions: share of lesion in each pixel times 255; 0 where none is known.

    Yields:
      Slice by slice; all zero where no lung was found: the lungs of that slice are not known.
    """
    fields = map_ordered(lambda image: lung_field(image[..., 0]), images)
    shown = track(fields, description="finding lungs", total=len(images))
    for field, lesion in zip(shown, lesions, strict=True):
        open_lung = field[..., None].view(np.uint8) * np.uint8(255)
        yield np.maximum(open_lung, lesion) if field.any() else open_lung
