"""Every number of a segmenter's evaluation, from masks, ready for JSON.

Two readings of the same counts. *Pooled*: all pixels of all slices in one confusion, as in the
paper's Table 3 (its Dice and IoU fit one confusion in each row): large lesions weigh most.
*Per image*: the mean over slices of each slice's own score. The paper's Precision and Recall
columns are probably exchanged: see `segmentation_counts.overlap_scores`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from mgajax.errors import DataError
from mgajax.evaluation.bootstrap import (
    Clusters,
    IntervalSettings,
    cluster_sums,
    make_clusters,
    ratio,
    resample,
)
from mgajax.evaluation.intervals import interval_tree
from mgajax.evaluation.metric_values import Reasons
from mgajax.evaluation.scored_examples import check_names
from mgajax.evaluation.segmentation_counts import (
    PIXELS,
    TOLERANCE,
    SegmentationCounts,
    collect_counts,
    count_slice,
    overlap_scores,
)

THRESHOLD = 0.5
"""A pixel is lesion from this probability on."""

POOLED = ("iou", "dice", "precision", "recall")
PER_IMAGE = (*POOLED, "hausdorff95", "surface_dice")
BLOCKS = ("per_image", "per_image_with_lesion")
READING = (
    "no lesion and none predicted: IoU, Dice and surface Dice 1; only one of the two: 0; "
    "undefined and left out of the mean: precision where nothing is predicted, recall where there "
    "is no lesion, HD95 in both cases"
)
UNDEFINED = {
    "iou": "no lesion, and none predicted",
    "dice": "no lesion, and none predicted",
    "precision": "no lesion is predicted",
    "recall": "no lesion in the masks",
    "hausdorff95": "no slice has both a lesion and a predicted one",
    "surface_dice": "no slices",
}

MaskStack = Sequence[Any] | np.ndarray | jax.Array


def segmentation_metrics(
    predictions: MaskStack,
    masks: MaskStack,
    patients: Sequence[str] | np.ndarray | None = None,
    *,
    sources: Sequence[str] | np.ndarray | None = None,
    tolerance: float = TOLERANCE,
    spacing: Sequence[Any] | np.ndarray | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Evaluate predicted lesion masks, each slice counting exactly once.

    Args:
      predictions: n slices [h, w] of any sizes, or an array [n, h, w]: bool, probabilities in
        [0, 1] (lesion from 0.5 on), or integers 0/1 or 0/255.
      masks: the annotated ones, of the same sizes, in any of these forms.
      patients: n names; intervals then resample whole patients.
      sources: n names; enables `per_source`.
      tolerance: of the surface Dice, in pixels, or in mm where `spacing` is given.
      spacing: height and width of a pixel in mm: one pair, or n.
      bootstrap: replicates for the intervals; 0 leaves them out.
      seed: of the bootstrap.
      confidence: coverage of the intervals, in (0, 1).

    Returns:
      See `metrics_from_counts`.

    Raises:
      DataError: another number of predictions than masks or names; two sizes for one slice; values
        that are no mask.
      ConfigError: an unusable argument.
    """
    if len(predictions) != len(masks):
        raise DataError(f"segmentation: {len(predictions)} predictions, but {len(masks)} masks")
    spacings = _spacings(spacing, len(masks))
    counts = collect_counts(
        count_slice(predicted, truth, tolerance=tolerance, spacing=slice_spacing)
        for predicted, truth, slice_spacing in zip(
            _binarise(predictions, "predictions"), _binarise(masks, "masks"), spacings, strict=True
        )
    )
    return metrics_from_counts(
        counts, patients, sources=sources, bootstrap=bootstrap, seed=seed, confidence=confidence
    )


def metrics_from_counts(
    counts: SegmentationCounts,
    patients: Sequence[str] | np.ndarray | None = None,
    *,
    sources: Sequence[str] | np.ndarray | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Evaluate slices that were counted one by one (`count_slice`, `collect_counts`).

    Equal inputs in any order give equal bits.

    Args:
      counts: one row a slice; the other arguments as for `segmentation_metrics`.

    Returns:
      `boundary` (`tolerance` and `unit` of the distances, "px" or "mm"), and a block over all
      slices: `n`, `patients`, `pooled` (IoU, Dice, precision and recall of the lesion class over
      all pixels, and the four counts), `per_image` (means over slices of the same, of `hausdorff95`
      and of `surface_dice`), `per_image_with_lesion` (means over the slices with a lesion alone),
      `defined_in` (how many slices each mean is over), `empty_masks` (how many there are, and how
      they are read), `intervals` (None without bootstrap; same nesting as the values, each leaf
      a `Span` of `intervals.py`), `undefined`. Then `per_source`, a block for each name. A value
      that the data leave undefined is None and `undefined` says why; nothing is NaN.

    Raises:
      DataError: another number of names than slices, or an empty name.
      ConfigError: an unusable argument.
    """
    settings = IntervalSettings(bootstrap, seed, confidence)
    names = check_names(patients, n=len(counts), argument="patients")
    origins = check_names(sources, n=len(counts), argument="sources")
    keys = [
        *counts.columns().values(),
        *(column for column in (origins, names) if column is not None),
    ]
    order = np.lexsort(keys)
    counts = counts.select(order)
    names, origins = (None if column is None else column[order] for column in (names, origins))
    by_source = {
        str(source): origins == source for source in np.unique([] if origins is None else origins)
    }
    return {
        "boundary": {"tolerance": counts.tolerance, "unit": counts.unit},
        **_block(counts, names, settings),
        "per_source": {
            source: _block(counts.select(rows), None if names is None else names[rows], settings)
            for source, rows in by_source.items()
        },
    }


def _block(
    counts: SegmentationCounts, patients: np.ndarray | None, settings: IntervalSettings
) -> dict[str, Any]:
    original = np.ones((1, len(counts)), np.int64)
    values = replicate_scores(counts, np.arange(len(counts)), original)
    reasons = Reasons()
    report: dict[str, dict[str, Any]] = {
        block: {
            name: reasons.value(float(value[0]), f"{block}.{name}", UNDEFINED[name])
            for name, value in scores.items()
        }
        for block, scores in values.items()
    }
    report["pooled"] |= {name: int(getattr(counts, name).sum()) for name in PIXELS}
    lesion, predicted, scores = counts.has_lesion, counts.has_prediction, counts.scores()
    return {
        "n": len(counts),
        "patients": None if patients is None else len(np.unique(patients)),
        **report,
        "defined_in": {
            block: {name: int(np.isfinite(scores[name][rows]).sum()) for name in PER_IMAGE}
            for block, rows in zip(BLOCKS, (np.ones_like(lesion), lesion), strict=True)
        },
        "empty_masks": {
            "with_lesion": int(lesion.sum()),
            "no_lesion_none_predicted": int((~lesion & ~predicted).sum()),
            "no_lesion_but_predicted": int((~lesion & predicted).sum()),
            "lesion_but_none_predicted": int((lesion & ~predicted).sum()),
            "reading": READING,
        },
        "intervals": _intervals(counts, report, patients, settings)
        if settings.replicates
        else None,
        "undefined": reasons.lines,
    }


def _intervals(
    counts: SegmentationCounts,
    values: dict[str, dict[str, Any]],
    patients: np.ndarray | None,
    settings: IntervalSettings,
) -> dict[str, Any]:
    clusters = make_clusters(patients, np.zeros(len(counts), np.int64), class_names=("all",))
    draws = resample(clusters, settings=settings)
    replicates = replicate_scores(counts, clusters.member, draws)
    return {
        "settings": {
            "method": "Student's t with the standard error of a bootstrap over clusters, on the "
            "logit or logarithmic scale",
            "unit": clusters.unit,
            "clusters": len(clusters.stratum),
            "replicates": settings.replicates,
            "seed": settings.seed,
            "confidence": settings.confidence,
        },
        **interval_tree(
            values,
            replicates,
            _clusters_behind(counts, clusters),
            confidence=settings.confidence,
            unit=clusters.unit,
        ),
    }


def _clusters_behind(counts: SegmentationCounts, clusters: Clusters) -> dict[str, dict[str, int]]:
    """How many clusters have slices in which each metric is defined; of pooled ones, a lesion."""
    scores, lesion = counts.scores(), counts.has_lesion
    behind = {
        block: {
            name: len(np.unique(clusters.member[np.isfinite(scores[name]) & rows]))
            for name in PER_IMAGE
        }
        for block, rows in zip(BLOCKS, (np.ones_like(lesion), lesion), strict=True)
    }
    return behind | {"pooled": dict.fromkeys(POOLED, len(np.unique(clusters.member[lesion])))}


def replicate_scores(
    counts: SegmentationCounts, member: np.ndarray, draws: np.ndarray
) -> dict[str, dict[str, Float[np.ndarray, "r"]]]:
    """All metrics of each replicate, in the nesting of the report; NaN where undefined.

    Each is a ratio of sums over slices, so a replicate is one row of a matrix product.
    """
    pixels = np.stack([getattr(counts, name) for name in PIXELS[:3]], axis=1)
    totals = draws @ cluster_sums(pixels, member)
    metrics = {"pooled": overlap_scores(*totals.T)}
    scores = np.stack([counts.scores()[name] for name in PER_IMAGE], axis=1)
    for block, rows in zip(BLOCKS, (True, counts.has_lesion[:, None]), strict=True):
        defined = np.isfinite(scores) & rows
        sums = draws @ cluster_sums(np.where(defined, scores, 0.0), member)
        sizes = draws @ cluster_sums(defined.astype(np.float64), member)
        metrics[block] = dict(zip(PER_IMAGE, ratio(sums, sizes).T, strict=True))
    return metrics


def _spacings(
    spacing: Sequence[Any] | np.ndarray | None, n: int
) -> list[tuple[float, float] | None]:
    if spacing is None:
        return [None] * n
    pairs = np.asarray(spacing, np.float64)
    if pairs.shape not in ((2,), (n, 2)):
        raise DataError(f"spacing: shape {pairs.shape}, expected one pair (2,) or ({n}, 2)")
    return [(float(height), float(width)) for height, width in np.broadcast_to(pairs, (n, 2))]


def _binarise(masks: MaskStack, argument: str) -> Iterator[Bool[np.ndarray, "_ _"]]:
    """The masks one by one as bool."""
    for row, mask in enumerate(masks):
        values = np.asarray(mask)
        if values.ndim != 2:
            raise DataError(f"{argument}[{row}]: shape {values.shape}, expected [h, w]")
        if values.dtype == np.bool_:
            yield values
        elif np.issubdtype(values.dtype, np.integer):
            if not (np.isin(values, (0, 1)).all() or np.isin(values, (0, 255)).all()):
                raise DataError(
                    f"{argument}[{row}]: integers {values.min()} … {values.max()}, expected 0 and 1, "
                    "or 0 and 255; pass a soft mask as probabilities in [0, 1]"
                )
            yield values > 0
        else:
            probabilities = values.astype(np.float64)
            if not ((probabilities >= 0) & (probabilities <= 1)).all():  # a NaN fails, too
                raise DataError(
                    f"{argument}[{row}]: values {probabilities.min()} … {probabilities.max()}, "
                    "expected bool or probabilities in [0, 1]; pass the softmax of the logits"
                )
            yield probabilities >= THRESHOLD
