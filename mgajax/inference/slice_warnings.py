"""Signs that a slice is unlike the training set: four simple rules, without a network.

Each looks at the eight-bit picture after any turn. They catch gross mistakes (an abdomen, a
photograph, a mediastinal window, a picture that is upside down) and nothing finer: a slice without a
warning may still be far from the training set.

"Upside down" was measured on pictures of the published set and its sources. Of 1,522 upright slices
24 (1.6 %) get the warning and 193 cannot be judged; mirrored top to bottom, 1,167 (77 %) get it and 80
do not. By the majority of a person's judged slices, 1 of the 123 upright people (96 judged) gets the
warning, and mirrored 95 of the 97 judged; the others have a picture or two from a journal. Of 174
slices that the sources hold upside down 132 get the warning and 26 cannot be judged; of their five
people four get it.
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
"""Share of the middle at 255 from which on soft tissue must be white too: twice the share of bone."""

BONE_ABOVE, BONE_BELOW = 0.45, 0.5
"""Mean height of bone, as a share of the body's height from its top: above the first a slice is upside
down, below the second it is not; between them it cannot be judged."""


class Oddity(StrEnum):
    """A warning, by its name in the tables."""

    NOT_CHEST = "not a chest slice"
    WINDOW = "window odd"
    UPSIDE_DOWN = "upside down"
    COLOURED = "coloured"

    @property
    def meaning(self) -> str:
        """What was found, and what to do."""
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


def find_oddities(
    picture: UInt8[np.ndarray, "h w"],
    *,
    body: Bool[np.ndarray, "h w"] | None,
    air: Bool[np.ndarray, "h w"] | None,
) -> tuple[Oddity, ...]:
    """The warnings of a slice, except for its turn.

    Args:
      picture: grey levels.
      body: from `imaging.body.foreground`.
      air: by Hounsfield units; None where these are unknown. The dark level of the picture itself may
        be the fat of a belly.
    """
    if body is None:
        return (Oddity.NOT_CHEST,)
    dark = body & (picture <= otsu(picture[body], zeros="counted"))
    warnings = []
    if not _is_chest(dark if air is None else body & air, body=body):
        warnings.append(Oddity.NOT_CHEST)
    if _has_odd_window(picture, dark=dark, body=body):
        warnings.append(Oddity.WINDOW)
    return tuple(warnings)


def _is_chest(dark: Bool[np.ndarray, "h w"], *, body: Bool[np.ndarray, "h w"]) -> bool:
    # Specks, as in noise or a photograph, are no lung.
    times = max(1, round(max(dark.shape) / 256))
    solid = ndimage.binary_opening(dark, structure=np.ones((3, 3), bool), iterations=times)
    columns = solid.sum(axis=0)
    columns_of_body = np.flatnonzero(body.any(axis=0))
    middle = int(columns_of_body[0] + columns_of_body[-1] + 1) // 2
    left_pixels, right_pixels = int(columns[:middle].sum()), int(columns[middle:].sum())
    share = (left_pixels + right_pixels) / int(body.sum())
    return LUNG_SHARES[0] <= share <= LUNG_SHARES[1] and min(
        left_pixels, right_pixels
    ) >= LESSER_SIDE * (left_pixels + right_pixels)


def _has_odd_window(
    picture: UInt8[np.ndarray, "h w"],
    *,
    dark: Bool[np.ndarray, "h w"],
    body: Bool[np.ndarray, "h w"],
) -> bool:
    levels = picture[body]
    saturated = np.isin(levels, (0, 255)).mean()
    lung, tissue = picture[dark], picture[body & ~dark]
    if not lung.size or not tissue.size:
        return True
    return bool(saturated > MOST_SATURATED or tissue.mean() - lung.mean() < LEAST_CONTRAST)


def is_upside_down(
    picture: UInt8[np.ndarray, "h w"], *, body: Bool[np.ndarray, "h w"] | None
) -> bool | None:
    """Whether the spine lies above the middle of a chest; None where the picture does not show it.

    A saturated picture does not: its white is bone and soft tissue alike. For a scan the majority of
    its slices decides, see `scan_warnings`.
    """
    if body is None:
        return None
    columns = np.flatnonzero(body.any(axis=0))
    quarter = len(columns) // 4
    middle = np.s_[:, columns[0] + quarter : columns[-1] + 1 - quarter]
    central, levels = body[middle], picture[middle]
    if not central.any():
        return None
    if (levels[central] == 255).mean() > MOST_WHITE:
        return None
    bone = central & (levels >= np.quantile(levels[central], BONE_QUANTILE))
    rows = np.flatnonzero(body.any(axis=1))
    height = (np.nonzero(bone)[0].mean() - rows[0]) / (rows[-1] + 1 - rows[0])
    return None if BONE_ABOVE <= height <= BONE_BELOW else bool(height < BONE_ABOVE)
