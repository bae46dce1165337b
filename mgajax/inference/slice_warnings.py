"""Signs that a slice is not what the networks were trained on: four plain rules, no network.

Each looks at the eight-bit picture after any turn. They catch gross mistakes (an abdomen, a
photograph, a mediastinal window, a picture that is upside down) and nothing finer: a slice without a
warning may still be far from the training set.

"Upside down" was measured on pictures of the published set and its sources. Of 1,522 upright slices
24 (1.6 %) are called so and 193 do not tell; mirrored top to bottom, 1,167 (77 %) are called so and 80
are not. By the majority of a person's slices that tell, 1 of the 123 upright people (96 tell) is
called so, and mirrored 95 of the 97 that tell; the others have a picture or two from a journal. Of 174
slices that the sources hold upside down 132 are seen and 26 do not tell; four of their five people are.
"""

from enum import StrEnum

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from mgajax.imaging.body import otsu

LUNG_SHARES = (0.08, 0.8)
"""Of the body's cross section; lungs cover 0.26 to 0.56 where they are widest."""

LESSER_SIDE = 0.1
"""Of the dark pixels inside the body, at least this share lies on either side of its middle."""

MOST_SATURATED = 0.25
"""Share of the body's pixels at 0 or 255: a mediastinal window blackens the lungs."""

LEAST_CONTRAST = 25.0
"""Grey levels between the means of lung and tissue."""

BONE_QUANTILE = 0.97
"""Grey levels above it, in the middle of the body, are bone: the spine more than the breastbone."""

MOST_WHITE = 0.06
"""Share of the middle at 255, twice what is taken for bone, from which on soft tissue is white too."""

BONE_ABOVE, BONE_BELOW = 0.45, 0.5
"""Where bone lies on the average, as a share of the body's height from its top: above the first a
slice is upside down, below the second it is not; between them it does not tell."""


class Oddity(StrEnum):
    """A warning, as tables name it."""

    NOT_CHEST = "not a chest slice"
    WINDOW = "window odd"
    UPSIDE_DOWN = "upside down"
    COLOURED = "coloured"

    @property
    def meaning(self) -> str:
        """What was seen, and what to do."""
        return _MEANINGS[self]


_MEANINGS = {
    Oddity.NOT_CHEST: "no body with open lung on both sides was found: another part of the body, "
    "another kind of picture, or a cut-out of the lungs",
    Oddity.WINDOW: "much of the body is black or white, or lung and tissue look alike; render the "
    "slices as the training set was (--window)",
    Oddity.UPSIDE_DOWN: "in most slices of the scan the spine lies above the middle of the body; try "
    "--turn flip (or rotate)",
    Oddity.COLOURED: "the picture has colours; CT slices have none",
}


def oddities(
    picture: UInt8[np.ndarray, "h w"],
    *,
    body: Bool[np.ndarray, "h w"] | None,
    air: Bool[np.ndarray, "h w"] | None = None,
) -> tuple[Oddity, ...]:
    """The rules that a slice breaks, but for its turn.

    Args:
      picture: grey levels.
      body: from `imaging.body.foreground`.
      air: what is air by Hounsfield units, where these are known; a picture's own dark level may
        be the fat of a belly.
    """
    if body is None:
        return (Oddity.NOT_CHEST,)
    dark = body & (picture <= otsu(picture[body], zeros="counted"))
    found = []
    if not _is_chest(dark if air is None else body & air, body=body):
        found.append(Oddity.NOT_CHEST)
    if _has_odd_window(picture, dark=dark, body=body):
        found.append(Oddity.WINDOW)
    return tuple(found)


def _is_chest(dark: Bool[np.ndarray, "h w"], *, body: Bool[np.ndarray, "h w"]) -> bool:
    # Specks are no lung, as in noise or a photograph.
    times = max(1, round(max(dark.shape) / 256))
    solid = ndimage.binary_opening(dark, structure=np.ones((3, 3), bool), iterations=times)
    columns = solid.sum(axis=0)
    held = np.flatnonzero(body.any(axis=0))
    middle = int(held[0] + held[-1] + 1) // 2
    left, right = int(columns[:middle].sum()), int(columns[middle:].sum())
    share = (left + right) / int(body.sum())
    return LUNG_SHARES[0] <= share <= LUNG_SHARES[1] and min(left, right) >= LESSER_SIDE * (
        left + right
    )


def _has_odd_window(
    picture: UInt8[np.ndarray, "h w"],
    *,
    dark: Bool[np.ndarray, "h w"],
    body: Bool[np.ndarray, "h w"],
) -> bool:
    inside = picture[body]
    saturated = np.isin(inside, (0, 255)).mean()
    lung, tissue = picture[dark], picture[body & ~dark]
    if not lung.size or not tissue.size:
        return True
    return bool(saturated > MOST_SATURATED or tissue.mean() - lung.mean() < LEAST_CONTRAST)


def is_upside_down(
    picture: UInt8[np.ndarray, "h w"], *, body: Bool[np.ndarray, "h w"] | None
) -> bool | None:
    """Whether the spine lies above the middle of a chest; None where the picture does not tell.

    A saturated picture does not: its white is bone and soft tissue alike. A scan is asked
    by the majority of its slices, see `scan_warnings`.
    """
    if body is None:
        return None
    held = np.flatnonzero(body.any(axis=0))
    quarter = len(held) // 4
    middle = np.s_[:, held[0] + quarter : held[-1] + 1 - quarter]
    central, levels = body[middle], picture[middle]
    if not central.any():
        return None
    if (levels[central] == 255).mean() > MOST_WHITE:
        return None
    bone = central & (levels >= np.quantile(levels[central], BONE_QUANTILE))
    rows = np.flatnonzero(body.any(axis=1))
    height = (np.nonzero(bone)[0].mean() - rows[0]) / (rows[-1] + 1 - rows[0])
    return None if BONE_ABOVE <= height <= BONE_BELOW else bool(height < BONE_ABOVE)
