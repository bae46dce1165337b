"""The result of an attribution method, and whether it adds up."""

import dataclasses
import warnings

import numpy as np
from jaxtyping import Bool, Float

ROUNDING = 64.0
"""Roundings of the sum of absolute attributions that a gap may be made of without a warning."""


class CompletenessWarning(UserWarning):
    """Attributions do not sum to the difference of the logits that they are to explain."""


@dataclasses.dataclass(frozen=True, eq=False)
class Attribution:
    """How much each input value contributed to the logit of the target.

    Attributes:
      method: which method made it.
      attributions: `[b, h, w, c]`, the shape and type of the images (float32 as a rule); in logits.
      difference: float64 `[b]`, f(x) − f(baseline) of the target's logit; with several baselines
        the mean of it.
      completeness_gap: float64 `[b]`, Σ attributions − difference: 0 if the map adds up.
      adds_up: bool `[b]`, whether the gap is within the tolerance; never where it is no number.
    """

    method: str
    attributions: Float[np.ndarray, "b *size"]
    difference: Float[np.ndarray, "b"]
    completeness_gap: Float[np.ndarray, "b"]
    adds_up: Bool[np.ndarray, "b"]


def make_attribution(
    method: str,
    attributions: Float[np.ndarray, "b *size"],
    *,
    difference: Float[np.ndarray, "b"],
    tolerance: float,
) -> Attribution:
    """Measure the completeness gap, and warn where it is too large.

    Args:
      tolerance: largest gap as a share of |difference|. What rounding alone explains is allowed
        beside it, so that a difference of nearly 0 does not warn.

    Warns:
      CompletenessWarning: with the worst image and its numbers.
    """
    flat = attributions.reshape(len(attributions), -1).astype(np.float64)
    gap = flat.sum(axis=1) - difference
    rounding = ROUNDING * np.finfo(attributions.dtype).eps * np.abs(flat).sum(axis=1)
    excess = np.abs(gap) - tolerance * np.abs(difference) - rounding
    adds_up = excess <= 0
    if not adds_up.all():
        image = int(np.nanargmax(np.where(np.isnan(excess), np.inf, excess)))
        warnings.warn(
            f"{method}: attributions of image {image} sum to {flat[image].sum():.6g}, the logit "
            f"differs by {difference[image]:.6g} (gap {gap[image]:.3g}, tolerance {tolerance:g} of "
            f"it); {int((~adds_up).sum())} of {len(gap)} images are beyond it",
            CompletenessWarning,
            stacklevel=3,
        )
    return Attribution(method, attributions, difference, gap, adds_up)
