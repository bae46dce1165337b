"""Does the attention lie on the lesions? Per-slice scores of an attention map against a mask.

Each score is the pixel-level score of the attention map enlarged cell by cell to the mask's size:
a cell of which a lesion covers 30 % counts as 0.3 lesion and 0.7 background. The mask is resized to
the map by area averaging, which loses no lesion, however small, and needs no threshold. Cells of equal
attention are treated alike, so that a flat map scores what chance would.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from mgajax.errors import DataError
from mgajax.evaluation import ranking
from mgajax.evaluation.bootstrap import (
    IntervalSettings,
    cluster_sums,
    make_clusters,
    prepend_original,
    ratio,
    resample,
)
from mgajax.evaluation.intervals import ValueScale, student_interval

OVERLAP_COLUMNS = ("lesion_area", "attention_in_lesion", "cell_hit", "rank_auc", "top_area_iou")


def lesion_overlap(
    attention: Float[np.ndarray, "n h w"],
    masks: Num[np.ndarray, "n H W"] | Bool[np.ndarray, "n H W"],
) -> dict[str, Float[np.ndarray, "n"]]:
    """Compare attention maps with lesion masks.

    Args:
      attention: ≥ 0, any size (for example a spatial attention map of CBAM, Paper Eq. 2).
      masks: uint8 0 … 255, bool, or float 0 … 1, any size.

    Returns:
      float64 columns; NaN in all but the first for a slice without lesion:
      `lesion_area`: share of the slice that is lesion (the next column, if attention were random);
      `attention_in_lesion`: share of the attention's sum that lies on lesion;
      `cell_hit`: 1 if the cell of highest attention touches a lesion, else 0 (of several
      highest cells, the share that do);
      `rank_auc`: chance that a lesion pixel gets more attention than another pixel;
      `top_area_iou`: intersection over union of the lesion and the equally large area of highest
      attention.

    Raises:
      DataError: another number of maps than masks; attention negative or not finite; a mask
        outside its range.
    """
    if attention.shape[0] != masks.shape[0]:
        raise DataError(f"lesion_overlap: {len(attention)} attention maps, but {len(masks)} masks")
    _check_values(attention, "attention", np.inf)
    if masks.dtype not in (np.uint8, np.bool_):
        _check_values(masks, "masks", 1.0)
    full = 255 if masks.dtype == np.uint8 else 1
    size = (attention.shape[1], attention.shape[2])
    rows = [
        _slice_scores(map_, area_average(mask, size=size) / full)
        for map_, mask in zip(attention, masks, strict=True)
    ]
    table = np.array(rows, np.float64).reshape(-1, len(OVERLAP_COLUMNS))
    return dict(zip(OVERLAP_COLUMNS, table.T, strict=True))


def area_average(
    mask: Num[np.ndarray, "H W"] | Bool[np.ndarray, "H W"], *, size: tuple[int, int]
) -> Float[np.ndarray, "h w"]:
    """Resize by the mean over each cell, pixels that straddle two cells being split by area."""
    rows, columns = _area_matrix(mask.shape[0], size[0]), _area_matrix(mask.shape[1], size[1])
    # Rounding must not leave the range of the mask: 1 - share is used as a weight.
    return np.clip(rows @ mask.astype(np.float64) @ columns.T, mask.min(), mask.max())


def overlap_summary(
    columns: Mapping[str, Float[np.ndarray, "n"]],
    patients: Sequence[str] | np.ndarray | None = None,
    *,
    bootstrap: int = 1000,
) -> dict[str, Any]:
    """Mean of each column over the slices with a lesion, with 95 % patient-bootstrap intervals.

    Args:
      columns: from `lesion_overlap`, and any others, NaN where undefined; a slice whose mask is
        unknown has NaN in `lesion_area`, too, and is left out.
      patients: n names; without them each slice is resampled on its own.
      bootstrap: number of replicates; 0 leaves the intervals empty.

    Returns:
      `slices`, `slices_with_lesion`, `slices_without_lesion`, `patients_with_lesion` (None if
      unknown) and for each column `mean` (None if nothing to average), `n`, and a `Span` of
      `intervals.py`.
    """
    known, lesion = np.isfinite(columns["lesion_area"]), columns["lesion_area"] > 0
    table = np.stack([column[lesion] for column in columns.values()], axis=1)
    names = None if patients is None else np.asarray(patients).astype(str)[lesion]
    summaries = column_means(table, names, bootstrap=bootstrap)
    return {
        "slices": int(known.sum()),
        "slices_with_lesion": int(lesion.sum()),
        "slices_without_lesion": int((known & ~lesion).sum()),
        "patients_with_lesion": None if names is None else len(np.unique(names)),
        **dict(zip(columns, summaries, strict=True)),
    }


def column_means(
    table: Float[np.ndarray, "n s"],
    patients: Sequence[str] | np.ndarray | None,
    *,
    bootstrap: int = 1000,
) -> list[dict[str, Any]]:
    """Mean of each column over its defined values (not NaN), with 95 % patient-bootstrap intervals.

    Returns:
      For each column `mean` (None if nothing to average), `n`, and a `Span` of `intervals.py`: on
      the logit scale where all values are in [0, 1].
    """
    names = None if patients is None else np.asarray(patients).astype(str)
    order = np.lexsort([*table.T[::-1], *([] if names is None else [names])])
    table, names = table[order], None if names is None else names[order]
    settings = IntervalSettings(bootstrap, seed=0, confidence=0.95)
    clusters = make_clusters(names, np.zeros(len(table), int), class_names=("all",))
    counts = prepend_original(resample(clusters, settings=settings))
    means = _means(table, clusters.member, counts)
    return [
        {
            "mean": float(mean[0]) if np.isfinite(mean[0]) else None,
            "n": int(np.isfinite(column).sum()),
            **student_interval(
                mean[0],
                mean[1:],
                clusters=len(np.unique(clusters.member[np.isfinite(column)])),
                confidence=settings.confidence,
                scale=_scale(column),
                unit=clusters.unit,
            ),
        }
        for mean, column in zip(means.T, table.T, strict=True)
    ]


def _scale(column: Float[np.ndarray, "n"]) -> ValueScale:
    defined = column[np.isfinite(column)]
    is_share = ((defined >= 0) & (defined <= 1)).all()
    return ValueScale.SHARE if is_share else ValueScale.DIFFERENCE


def _means(
    table: Float[np.ndarray, "n s"], member: Int[np.ndarray, "n"], counts: Int[np.ndarray, "r c"]
) -> Float[np.ndarray, "r s"]:
    """The mean of the defined values of each column in each replicate; NaN if there are none."""
    sums = counts @ cluster_sums(np.nan_to_num(table), member)
    sizes = counts @ cluster_sums(np.isfinite(table).astype(np.float64), member)
    return ratio(sums, sizes)


def _check_values(values: np.ndarray, name: str, largest: float) -> None:
    wrong = ~(np.isfinite(values) & (values >= 0) & (values <= largest))
    if wrong.any():
        n, row, column = np.argwhere(wrong)[0]
        limit = "≥ 0 and finite" if np.isinf(largest) else "in [0, 1], or uint8"
        raise DataError(
            f"{name}[{n}, {row}, {column}] is {values[n, row, column]}, expected {limit}; "
            f"{wrong.sum()} such values"
        )


@functools.cache
def _area_matrix(old: int, new: int) -> np.ndarray:
    """[new, old]: the share of each new cell that each old pixel covers; rows sum to one."""
    start = np.arange(new)[:, None] * (old / new)
    pixel = np.arange(old)[None, :]
    covered = np.minimum(start + old / new, pixel + 1) - np.maximum(start, pixel)
    return np.clip(covered, 0.0, None) * (new / old)


def _slice_scores(attention: np.ndarray, lesion: np.ndarray) -> tuple[float, ...]:
    """The columns of one slice: attention of each cell, and the share of it that is lesion."""
    values, shares = attention.ravel().astype(np.float64), lesion.ravel()
    if not shares.any():
        return (0.0, np.nan, np.nan, np.nan, np.nan)
    total = values.sum()
    in_lesion = (values @ shares) / total if total > 0 else np.nan
    hit = (shares[values == values.max()] > 0).mean()
    # Each cell is a positive example of weight `share` and a negative one of the remaining weight.
    positive = np.repeat([True, False], len(values))
    auc = ranking.roc_auc(np.tile(values, 2), positive, np.r_[shares, 1 - shares][None, :])[0]
    return (shares.mean(), in_lesion, hit, auc, _top_area_iou(values, shares))


def _top_area_iou(values: np.ndarray, shares: np.ndarray) -> float:
    """Levels of equal attention are taken from the highest down, the last one in part."""
    levels, level = np.unique(-values, return_inverse=True)
    cells = np.bincount(level, minlength=len(levels)).astype(np.float64)
    lesion = np.bincount(level, shares, minlength=len(levels))
    above = np.cumsum(cells) - cells
    part = np.clip(shares.sum() - above, 0.0, cells) / cells
    intersection = float(part @ lesion)
    return intersection / (2 * shares.sum() - intersection)
