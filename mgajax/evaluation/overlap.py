"""Does the attention look at the lesions? Per-slice scores of an attention map against a mask.

Each score is the pixel-level score of the attention map enlarged cell by cell to the mask's size:
a cell that a lesion covers to 30 % counts as 0.3 lesion and 0.7 rest. The mask is brought to the
map by area averaging, which loses no lesion however small and leaves no threshold to choose.
Cells of equal attention share alike, so that a flat map scores what chance would.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from mgajax.errors import DataError
from mgajax.evaluation import bootstrap as resampling
from mgajax.evaluation import ranking
from mgajax.evaluation.intervals import Scale, studentised

COLUMNS = ("lesion_area", "attention_in_lesion", "cell_hit", "rank_auc", "top_area_iou")


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
      `lesion_area`: share of the slice that is lesion (what chance gives for the next column);
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
    return dict(zip(COLUMNS, np.array(rows, np.float64).reshape(-1, len(COLUMNS)).T, strict=True))


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
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Mean of each column over the slices with a lesion, with patient-bootstrap intervals.

    Args:
      columns: from `lesion_overlap`, and any others, NaN where undefined; a slice whose mask nobody
        knows has NaN in `lesion_area`, too, and is left out.
      patients: n names; without them each slice is resampled on its own.
      bootstrap: number of replicates; 0 leaves the intervals empty.
      seed: of the bootstrap.
      confidence: coverage of the intervals.

    Returns:
      `slices`, `slices_with_lesion`, `slices_without_lesion`, `patients_with_lesion` (None if
      unknown) and for each column `mean` (None if nothing to average), `n`, and a `Span` of
      `intervals.py`.
    """
    known, lesion = np.isfinite(columns["lesion_area"]), columns["lesion_area"] > 0
    table = np.stack([column[lesion] for column in columns.values()], axis=1)
    names = None if patients is None else np.asarray(patients).astype(str)[lesion]
    summaries = column_means(table, names, bootstrap=bootstrap, seed=seed, confidence=confidence)
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
    seed: int = 0,
    confidence: float = 0.95,
) -> list[dict[str, Any]]:
    """Mean of each column over its defined values (not NaN), with patient-bootstrap intervals.

    Returns:
      For each column `mean` (None if nothing to average), `n`, and a `Span` of `intervals.py`: on
      the logit scale where all values are in [0, 1].
    """
    names = None if patients is None else np.asarray(patients).astype(str)
    order = np.lexsort([*table.T[::-1], *([] if names is None else [names])])
    table, names = table[order], None if names is None else names[order]
    clusters = resampling.make_clusters(names, np.zeros(len(table), int), class_names=("all",))
    drawn = resampling.multiplicities(clusters.stratum, replicates=bootstrap, seed=seed)
    means = _means(table, clusters.member, drawn)
    once = _means(table, clusters.member, np.ones((1, len(clusters.stratum)), np.int64))[0]
    return [
        {
            "mean": float(once[i]) if np.isfinite(once[i]) else None,
            "n": int(np.isfinite(table[:, i]).sum()),
            **studentised(
                once[i],
                means[:, i],
                clusters=len(np.unique(clusters.member[np.isfinite(column)])),
                confidence=confidence,
                scale=_scale(column),
                unit=clusters.unit,
            ),
        }
        for i, column in enumerate(table.T)
    ]


def _scale(column: Float[np.ndarray, "n"]) -> Scale:
    defined = column[np.isfinite(column)]
    inside = ((defined >= 0) & (defined <= 1)).all()
    return Scale.SHARE if inside else Scale.DIFFERENCE


def _means(
    table: Float[np.ndarray, "n s"], member: Int[np.ndarray, "n"], drawn: Int[np.ndarray, "r c"]
) -> Float[np.ndarray, "r s"]:
    """The mean of the defined values of each column in each replicate; NaN if there are none."""
    sums = drawn @ resampling.cluster_sums(np.nan_to_num(table), member)
    counts = drawn @ resampling.cluster_sums(np.isfinite(table).astype(np.float64), member)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


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
    a, m = attention.ravel().astype(np.float64), lesion.ravel()
    if not m.any():
        return (0.0, np.nan, np.nan, np.nan, np.nan)
    energy = a.sum()
    inside = (a @ m) / energy if energy > 0 else np.nan
    hit = (m[a == a.max()] > 0).mean()
    both, truth = np.r_[a, a], np.r_[np.ones(len(a), bool), np.zeros(len(a), bool)]
    auc = ranking.roc_auc(both, truth, np.r_[m, 1 - m][None, :])[0]
    return (m.mean(), inside, hit, auc, _top_area_iou(a, m))


def _top_area_iou(a: np.ndarray, m: np.ndarray) -> float:
    values, group = np.unique(-a, return_inverse=True)
    cells = np.bincount(group, minlength=len(values)).astype(np.float64)
    lesion = np.bincount(group, m, minlength=len(values))
    before = np.cumsum(cells) - cells
    taken = np.clip(m.sum() - before, 0.0, cells) / cells
    shared = float(taken @ lesion)
    return shared / (2 * m.sum() - shared)
