"""Lung masks of prepared slices, found by rule, which guide the second attention map.

The paper's outlook (§7) guides attention by lungs as well as by lesions. Five of the seven sources
have no lung masks, and no curated slice has one, so lungs are found in the picture: aerated lung is
the large dark regions inside the body. Consolidated lung is as grey as the chest wall; it counts as
lung where a lesion mask covers it.
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
"""Of the rule; stored masks of another version are replaced."""


def stored_lung_masks(
    folder: Path,
    *,
    images: UInt8[np.ndarray, "n s s 1"],
    lesions: UInt8[np.ndarray, "n s s 1"],
    fingerprint: str,
) -> UInt8[np.ndarray, "n s s 1"]:
    """`find_lung_masks`, stored at the first call and read as a memory map after.

    Args:
      folder: of the masks; of several processes that need them, one makes them, the others wait.
      images: prepared slices.
      lesions: see `find_lung_masks`.
      fingerprint: of the prepared slices; masks of others are replaced.

    Raises:
      OSError: the folder cannot be written.
    """
    expected = {"rule": VERSION, "fingerprint": fingerprint}
    if array_store.find_problem(folder, expected=expected) is not None:
        with locked(folder.with_name(folder.name + ".lock"), guards=f"lung masks {folder}"):
            problem = array_store.find_problem(folder, expected=expected)
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
        array_store.replace_folder(folder, described_by=described_by) as fresh,
        array_store.RowWriter(fresh / "lungs.npy", shape=images.shape) as rows,
    ):
        for mask in find_lung_masks(images, lesions):
            rows.write(mask)


def find_lung_masks(
    images: UInt8[np.ndarray, "n s s 1"], lesions: UInt8[np.ndarray, "n s s 1"]
) -> Iterator[UInt8[np.ndarray, "s s 1"]]:
    """Lungs of prepared slices, 255 or, at the rim of a lesion outside the aerated lung, its share.

    Args:
      images: prepared slices.
      lesions: share of lesion in each pixel times 255; 0 where none is known.

    Yields:
      Slice by slice; all zero where no lung was found: the lungs of that slice are unknown.
    """
    fields = map_ordered(lambda image: lung_field(image[..., 0]), images)
    tracked = track(fields, description="finding lungs", total=len(images))
    for field, lesion in zip(tracked, lesions, strict=True):
        aerated = field[..., None].view(np.uint8) * np.uint8(255)
        yield np.maximum(aerated, lesion) if field.any() else aerated
