"""Do attributions find the lesions? One row of scores a slice.

An attribution is read in two ways: "positive" counts only evidence for the class, "absolute" counts
evidence for and against it. Scores that compare with the lesion's own area are those of
`mgajax.evaluation.overlap`, so that attention maps and attributions are measured alike; its
`overlap_summary` gives the means with patient-bootstrap intervals.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Num

from mgajax.errors import ConfigError, DataError
from mgajax.evaluation.overlap import lesion_overlap

Reading = Literal["positive", "absolute"]
READINGS: tuple[Reading, ...] = ("positive", "absolute")
TOP_SHARES = (0.05, 0.1, 0.2)
"""Shares of the slice whose pixels of highest attribution are compared with the lesion."""


def relevance(
    values: Float[np.ndarray, "b h w"], *, reading: Reading | str
) -> Float[np.ndarray, "b h w"]:
    """One number ≥ 0 a pixel: the positive part of an attribution, or its size.

    Args:
      values: attributions, summed over channels.
      reading: "positive" or "absolute".

    Raises:
      ConfigError: an unknown reading.
    """
    if reading not in READINGS:
        raise ConfigError(f"reading={reading!r}: expected one of {', '.join(READINGS)}")
    return np.maximum(values, 0.0) if reading == "positive" else np.abs(values)


def lesion_scores(
    maps: Float[np.ndarray, "n h w"],
    masks: Num[np.ndarray, "_n _h _w"],
    *,
    top_shares: Sequence[float] = TOP_SHARES,
) -> dict[str, Float[np.ndarray, "n"]]:
    """Compare maps with lesion masks of their own size.

    Args:
      maps: ≥ 0, for example from `relevance`, Grad-CAM or an attention map.
      masks: uint8 0 … 255, or float 0 … 1.
      top_shares: see Returns.

    Returns:
      The columns of `evaluation.overlap.lesion_overlap` (`lesion_area`; `energy_in_lesion`, there
      `attention_in_lesion`; the pointing game as `pointing_hit`, there `cell_hit`: a cell is a pixel
      here; `rank_auc`; `top_area_iou`), and
      `top_5%_iou`, …: intersection over union of the lesion (mask at least one half) with that
      share of the pixels of highest value. Equal pixels share a place, so that a flat map scores
      what chance would. NaN in all but the first for a slice without lesion.

    Raises:
      DataError: maps that are negative, not finite or of another number or size than the masks.
      ConfigError: a share outside (0, 1].
    """
    if maps.shape != masks.shape:
        raise DataError(f"maps {maps.shape} with masks {masks.shape}: expected the same shape")
    if outside := [share for share in top_shares if not 0 < share <= 1]:
        raise ConfigError(f"top_shares: {outside[0]}, expected shares in (0, 1]")
    columns = lesion_overlap(maps, masks)
    columns["energy_in_lesion"] = columns.pop("attention_in_lesion")
    columns["pointing_hit"] = columns.pop("cell_hit")
    full = 255 if masks.dtype == np.uint8 else 1
    lesions = masks >= full / 2
    for share in top_shares:
        columns[f"top_{100 * share:g}%_iou"] = np.array(
            [
                _top_iou(heat, lesion, share=share)
                for heat, lesion in zip(maps, lesions, strict=True)
            ],
            np.float64,
        )
    return columns


def _top_iou(values: np.ndarray, lesion: np.ndarray, *, share: float) -> float:
    if not lesion.any():
        return float("nan")
    flat, truth = values.ravel(), lesion.ravel()
    count = max(1, round(share * flat.size))
    threshold = np.partition(flat, -count)[-count]
    is_above, is_level = flat > threshold, flat == threshold
    # Of the pixels at the threshold as many as there is room for, whichever: their mean.
    room = (count - is_above.sum()) / is_level.sum()
    shared = (is_above & truth).sum() + room * (is_level & truth).sum()
    return float(shared / (count + truth.sum() - shared))
