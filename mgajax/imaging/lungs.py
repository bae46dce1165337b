"""Where the lungs are in a slice, by rule: open lung is what is dark inside the body.

In Hounsfield units dark means air (`find_lungs`). A picture of grey levels has no unit: there Otsu's
threshold divides dark from bright (`lung_field`). Consolidated lung is as grey as the chest wall, and
cannot be found either way.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Num, UInt8
from scipy import ndimage

from mgajax.imaging.body import foreground, otsu

BODY_SHARE, LARGEST_SHARE = 0.02, 0.2
"""A dark region is lung if it fills these shares of the body, and of the largest dark region."""

VESSEL_SHARE = 0.012
"""Bright strands up to this share of the picture's side wide are vessels, and part of the lung."""


@dataclass(frozen=True)
class LungRule:
    """When a slice shows enough open lung.

    Measured on three DICOM series of COVID-CT-MD: the trachea covers 0.4 to 0.7 % of the body's
    cross section and gas in the bowel up to 1.8 %; the lungs cover 26 to 56 % where they are widest,
    and less than a third of that in the apices and below the domes of the diaphragm.

    Attributes:
      air_below: what is darker is air, in Hounsfield units. Half-way between aerated lung (about
        -700) and soft tissue (about 50), so that ground glass still counts as lung.
      smallest_part: air pockets below this share of the body are no lung (trachea, bowel gas).
      least_of_body: the least share of the body's cross section that must be lung.
      least_of_widest: the least share of the volume's own widest lung area.
    """

    air_below: float = -320.0
    smallest_part: float = 0.01
    least_of_body: float = 0.08
    least_of_widest: float = 1 / 3


@dataclass(frozen=True, eq=False)
class Chest:
    """Lung and body in a slice of Hounsfield units.

    Attributes:
      lung: open lung.
      body: the body, lungs included.
    """

    lung: Bool[np.ndarray, "h w"]
    body: Bool[np.ndarray, "h w"]


def find_lungs(plane: Num[np.ndarray, "h w"], *, rule: LungRule) -> Chest:
    """Lung and body in one slice of Hounsfield units.

    The body is the largest connected region that air from the picture's border does not reach: the
    table and clothes are separate from it, and the lungs lie inside. Lung is the air in the body, in
    connected parts (sharing an edge) that are large enough. Lung that touches the border, in a picture
    cut off inside the chest, counts as outside.
    """
    air = plane < rule.air_below
    parts, _ = ndimage.label(air)
    border = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    is_outside = np.zeros(parts.max() + 1, bool)
    is_outside[border] = True
    is_outside[0] = False
    regions, _ = ndimage.label(~is_outside[parts])
    sizes = np.bincount(regions.ravel())
    if len(sizes) == 1:
        return Chest(np.zeros_like(air), np.zeros_like(air))
    body = regions == 1 + int(sizes[1:].argmax())
    pockets = np.bincount(parts[body & air], minlength=parts.max() + 1)
    large = pockets >= rule.smallest_part * int(body.sum())
    large[0] = False
    return Chest(large[parts] & body, body)


def lung_field(picture: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The lungs with the vessels in them; empty where no body is found."""
    body = foreground(picture)
    if body is None:
        return np.zeros(picture.shape, bool)
    open_lung = dark_regions(picture, body)
    reach = max(1, round(VESSEL_SHARE * max(picture.shape)))
    # The closing must not reach beyond the frame: a lung that the frame cuts keeps its edge.
    padded = np.pad(open_lung, 2 * reach)
    closed = ndimage.binary_closing(padded, iterations=reach)[2 * reach : -2 * reach]
    return _without_small_holes(closed[:, 2 * reach : -2 * reach], body) & body


def _without_small_holes(
    region: Bool[np.ndarray, "h w"], body: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """Small holes, such as vessels, filled; a heart between two lungs that touch is not filled."""
    holes, _ = ndimage.label(~region)
    small = np.bincount(holes.ravel()) < BODY_SHARE * body.sum()
    small[0] = False
    return region | small[holes]


def dark_regions(
    picture: UInt8[np.ndarray, "h w"], body: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """The large dark regions of a body, below Otsu's threshold within it."""
    if not body.any():
        return body
    dark = (picture <= otsu(picture[body][None], zeros="counted")) & body
    parts, _ = ndimage.label(ndimage.binary_opening(dark))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    least = max(1.0, BODY_SHARE * body.sum(), LARGEST_SHARE * sizes.max())
    return (sizes >= least)[parts]
