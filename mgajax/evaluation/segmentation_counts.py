"""What is kept of a segmented slice: pixel counts and boundary scores, without its pixels."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from mgajax.errors import ConfigError, DataError
from mgajax.evaluation.bootstrap import ratio
from mgajax.evaluation.boundaries import PixelSpacing, boundary_scores

TOLERANCE = 2.0
"""Default tolerance of the surface Dice. The paper has no such metric; this choice is ours."""

PIXELS = ("true_positive", "false_positive", "false_negative", "true_negative")
BOUNDARY = ("hausdorff95", "surface_dice")
DEFINED_ON_EMPTY = ("iou", "dice", "surface_dice")
"""Scores that are 1 where there is no lesion and none is predicted."""


@dataclass(frozen=True)
class SliceCounts:
    """Pixel counts and boundary scores of one slice.

    Attributes:
      true_positive: lesion pixels that were predicted.
      false_positive: predicted pixels that are no lesion.
      false_negative: lesion pixels that were missed.
      true_negative: all others.
      hausdorff95: see `boundaries.BoundaryScores`; NaN where a mask is empty.
      surface_dice: likewise; NaN where both are.
      tolerance: of the surface Dice, in `unit`.
      unit: of distances, "px" or "mm".
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    hausdorff95: float
    surface_dice: float
    tolerance: float
    unit: str


@dataclass(frozen=True)
class SegmentationCounts:
    """Columns over n slices; the meaning is that of `SliceCounts`.

    Attributes:
      tolerance: of the surface Dice, in `unit`.
      unit: of distances, "px" or "mm".
    """

    true_positive: Int64[np.ndarray, "n"]
    false_positive: Int64[np.ndarray, "n"]
    false_negative: Int64[np.ndarray, "n"]
    true_negative: Int64[np.ndarray, "n"]
    hausdorff95: Float64[np.ndarray, "n"]
    surface_dice: Float64[np.ndarray, "n"]
    tolerance: float
    unit: str

    def __len__(self) -> int:
        return len(self.true_positive)

    def select(self, rows: np.ndarray) -> "SegmentationCounts":
        """The slices at `rows` (a mask or indices)."""
        return replace(self, **{name: column[rows] for name, column in self.columns().items()})

    def columns(self) -> dict[str, np.ndarray]:
        """The columns by name."""
        return {name: getattr(self, name) for name in (*PIXELS, *BOUNDARY)}

    @property
    def has_lesion(self) -> Bool[np.ndarray, "n"]:
        """Whether the annotation has a lesion."""
        return self.true_positive + self.false_negative > 0

    @property
    def has_prediction(self) -> Bool[np.ndarray, "n"]:
        """Whether any lesion was predicted."""
        return self.true_positive + self.false_positive > 0

    def scores(self) -> dict[str, Float64[np.ndarray, "n"]]:
        """Per-slice scores: `iou`, `dice`, `precision`, `recall`, `hausdorff95`, `surface_dice`.

        Note: a slice without lesion in which none is predicted is right, so IoU, Dice and surface
        Dice are 1 there, as the BraTS challenges score it; where only one of the two masks is empty
        they are 0. What has no denominator is NaN: the precision of a slice in which nothing is
        predicted, the recall of one without lesion, HD95 in either case.
        """
        scores = {
            **overlap_scores(self.true_positive, self.false_positive, self.false_negative),
            "hausdorff95": self.hausdorff95,
            "surface_dice": self.surface_dice,
        }
        both_empty = ~(self.has_lesion | self.has_prediction)
        return scores | {name: np.where(both_empty, 1.0, scores[name]) for name in DEFINED_ON_EMPTY}


def overlap_scores(
    true_positive: np.ndarray, false_positive: np.ndarray, false_negative: np.ndarray
) -> dict[str, Float64[np.ndarray, "..."]]:
    """IoU, Dice, precision and recall of each element; NaN for 0/0.

    Precision is the share of the *predicted* pixels that are lesion, recall the share of the
    *lesion's* pixels that are predicted. Note: the code that the paper's segmenter comes from
    (NVIDIA/semantic-segmentation, issue 117) takes the false positives along the wrong axis of its
    histogram and so exchanges the two; the Precision and Recall columns of
    Table 3 are probably exchanged. IoU and Dice do not change with that.
    """
    predicted, lesion = true_positive + false_positive, true_positive + false_negative
    return {
        "iou": ratio(true_positive, predicted + false_negative),
        "dice": ratio(2 * true_positive, predicted + lesion),
        "precision": ratio(true_positive, predicted),
        "recall": ratio(true_positive, lesion),
    }


def count_slice(
    predicted: Bool[np.ndarray, "h w"],
    truth: Bool[np.ndarray, "rows columns"],
    *,
    tolerance: float = TOLERANCE,
    spacing: PixelSpacing | None = None,
) -> SliceCounts:
    """Count one slice.

    Args:
      predicted: the predicted lesion.
      truth: the annotated lesion.
      tolerance: largest distance that the surface Dice forgives, in mm where `spacing` is given,
        else in pixels (a PNG slice has no size in millimetres).
      spacing: height and width of a pixel in mm.

    Raises:
      DataError: the two differ in size or have no pixels.
      ConfigError: a negative tolerance, or a spacing that is not positive.
    """
    if predicted.shape != truth.shape or predicted.size == 0:
        raise DataError(
            f"predicted mask {predicted.shape} and true mask {truth.shape}: expected one size, "
            "not empty; restore the prediction to the slice's own pixels first"
        )
    _check_boundary(tolerance, spacing)
    overlap = int((predicted & truth).sum())
    predicted_pixels, lesion_pixels = int(predicted.sum()), int(truth.sum())
    boundary = boundary_scores(predicted, truth, tolerance=tolerance, spacing=spacing or (1.0, 1.0))
    return SliceCounts(
        true_positive=overlap,
        false_positive=predicted_pixels - overlap,
        false_negative=lesion_pixels - overlap,
        true_negative=predicted.size - predicted_pixels - lesion_pixels + overlap,
        hausdorff95=boundary.hausdorff95,
        surface_dice=boundary.surface_dice,
        tolerance=float(tolerance),
        unit="px" if spacing is None else "mm",
    )


def collect_counts(slices: Iterable[SliceCounts]) -> SegmentationCounts:
    """Counted slices as columns; a generator is counted one slice at a time.

    Raises:
      DataError: no slices, or slices counted with different tolerances or units.
    """
    rows = list(slices)
    if not rows:
        raise DataError("segmentation: no slices; expected at least one to evaluate")
    settings = sorted({(row.tolerance, row.unit) for row in rows})
    if len(settings) > 1:
        shown = ", ".join(f"{tolerance:g} {unit}" for tolerance, unit in settings)
        raise DataError(f"segmentation: tolerances {shown} in one set of slices, expected one")
    columns = {
        name: np.array([getattr(row, name) for row in rows], dtype)
        for dtype, names in ((np.int64, PIXELS), (np.float64, BOUNDARY))
        for name in names
    }
    return SegmentationCounts(**columns, tolerance=settings[0][0], unit=settings[0][1])


def _check_boundary(tolerance: float, spacing: PixelSpacing | None) -> None:
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ConfigError(f"tolerance={tolerance}, expected a distance of 0 or more")
    if spacing is not None and not all(np.isfinite(side) and side > 0 for side in spacing):
        raise ConfigError(f"spacing={spacing}, expected the height and width of a pixel in mm")
