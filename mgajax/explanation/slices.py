"""The slices to explain: of a run's split, or from picture files."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from mgajax.data.loader import to_float
from mgajax.data.preparation import Preparation, prepare
from mgajax.errors import ConfigError, DataError
from mgajax.explanation import baselines
from mgajax.imaging.pictures import decode_picture
from mgajax.schema import CLASS_NAMES
from mgajax.training.run import Run

BASELINES = ("black", "blurred", "normal", "normals")
"""Of the command: a black picture; the slice blurred; the mean Normal training slice; several Normal
training slices (expected gradients)."""

SEVERAL = 8
"""Normal slices for each slice under "normals"."""

MEAN_OVER = 2000
"""Normal slices in a mean at most, evenly from all of them."""


@dataclasses.dataclass(frozen=True, eq=False)
class Slices:
    """Prepared slices, as a network sees them.

    Attributes:
      names: file names.
      pixels: grey values.
      masks: share of lesion times 255; 0 where unknown.
      has_mask: whose mask was annotated (or drawn): only these are scored.
      patients: None if nobody knows.
      labels: None if nobody knows.
      normals: Normal training slices for baselines; none for files.
    """

    names: Shaped[np.ndarray, "n"]
    pixels: UInt8[np.ndarray, "n s s"]
    masks: UInt8[np.ndarray, "n s s"]
    has_mask: Bool[np.ndarray, "n"]
    patients: Shaped[np.ndarray, "n"] | None
    labels: Int[np.ndarray, "n"] | None
    normals: UInt8[np.ndarray, "k s s"]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def images(self) -> Float[np.ndarray, "n s s 1"]:
        """The slices, normalised."""
        return np.asarray(to_float(self.pixels[..., None]))


def slices_of_split(run: Run, *, split: str, limit: int | None = None) -> Slices:
    """Slices of a split; with `limit` that many, evenly from all of them.

    A mask that a network predicted is no truth to score by.

    Raises:
      DataError: the split is empty.
      ConfigError: a limit below 1.
    """
    rows = run.data.rows(split)
    if len(rows) == 0:
        raise DataError(f"{run.workdir}: split {split!r} has no slices; choose another --split")
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit {limit}: expected at least 1")
    rows = np.sort(_evenly(rows, limit))
    table, data = run.data.table, run.data
    training = run.data.rows("train")
    normals = training[table.labels[training] == CLASS_NAMES.index("Normal")]
    return Slices(
        names=table.file_names[rows],
        pixels=np.asarray(data.images[rows][..., 0]),
        masks=np.asarray(data.masks[rows][..., 0]),
        has_mask=data.has_true_mask(rows),
        patients=table.patients[rows],
        labels=table.labels[rows].astype(np.int64),
        normals=np.asarray(data.images[np.sort(_evenly(normals, MEAN_OVER))][..., 0]),
    )


def slices_of_files(paths: Sequence[Path], *, settings: Preparation) -> Slices:
    """Pictures as `predict` reads them, prepared as the run's slices were.

    Raises:
      DataError: a file that is missing or no picture.
    """
    pixels = []
    for path in paths:
        try:
            picture = decode_picture(path, name=str(path)).pixels
        except DataError as error:
            raise DataError(f"--images {error}") from error
        pixels.append(prepare(picture, np.zeros_like(picture), settings=settings).image)
    stacked = np.stack(pixels)
    return Slices(
        names=np.array([path.name for path in paths]),
        pixels=stacked,
        masks=np.zeros_like(stacked),
        has_mask=np.zeros(len(stacked), bool),
        patients=None,
        labels=None,
        normals=stacked[:0],
    )


def baselines_for(
    slices: Slices, *, kind: str, seed: int
) -> Float[np.ndarray, "n s s 1"] | Float[np.ndarray, "m n s s 1"]:
    """Baselines of one of the `BASELINES`.

    Raises:
      ConfigError: an unknown kind, or Normal slices where there are none.
    """
    if kind not in BASELINES:
        raise ConfigError(f"--baseline {kind}: expected one of {', '.join(BASELINES)}")
    images = slices.images
    if kind == "black":
        return baselines.black(images)
    if kind == "blurred":
        return baselines.blurred(images)
    if len(slices.normals) == 0:
        raise ConfigError(
            f"--baseline {kind}: needs Normal training slices, which --images does not give; "
            "use black or blurred"
        )
    normals = np.asarray(to_float(slices.normals[..., None]))
    if kind == "normal":
        return baselines.mean_of(normals, images=images)
    count = min(SEVERAL, len(normals))
    return baselines.draw_from(normals, images=images, count=count, seed=seed)


def _evenly(rows: np.ndarray, limit: int | None) -> np.ndarray:
    if limit is None or limit >= len(rows):
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)]
