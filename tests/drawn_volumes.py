"""A drawn chest in Hounsfield units: body, lungs, trachea, spine, table and the scanner's circle."""

import numpy as np

SIDE = 96
AIR, LUNG, TISSUE, BONE, PADDING = -1000, -820, 40, 600, -2048


def chest_slice(
    *,
    openness: float,
    lung_value: int = LUNG,
    padding: int = PADDING,
    side: int = SIDE,
    width: int | None = None,
) -> tuple[np.ndarray, dict[str, int]]:
    """One axial slice `[side, width]` int16, upright, and how many pixels lung and body have.

    Args:
      openness: 0 (no lung in this slice) to 1 (as wide as it gets).
      lung_value, padding: Hounsfield units.
      side, width: of the picture; square where no width is given.
    """
    width = width or side
    y, x = np.mgrid[0:side, 0:width]
    y, x = (y + 0.5) / side - 0.5, (x + 0.5) / width - 0.5

    def ellipse(cy: float, cx: float, ry: float, rx: float) -> np.ndarray:
        return ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1

    body = ellipse(0.0, 0.0, 0.3, 0.4)
    size = max(openness, 1e-6)
    lungs = (openness > 0) & (
        ellipse(-0.02, -0.19, 0.2 * size, 0.15 * size)
        | ellipse(-0.02, 0.19, 0.2 * size, 0.13 * size)
    )
    values = np.full((side, width), AIR, np.int16)
    values[~ellipse(0.0, 0.0, 0.5, 0.5)] = padding
    values[body] = TISSUE
    values[lungs] = lung_value
    values[ellipse(-0.02, 0.0, 0.02, 0.02)] = AIR
    values[ellipse(0.2, 0.0, 0.05, 0.05)] = BONE
    values[ellipse(0.4, 0.0, 0.02, 0.28)] = TISSUE
    return values, {"lung": int(lungs.sum()), "body": int(body.sum())}


def chest(*, depth: int, side: int = SIDE, width: int | None = None) -> np.ndarray:
    """A volume `[side, width, depth]` int16 of upright slices; the lungs open towards the middle."""
    places = np.linspace(-1, 1, depth)
    planes = [
        chest_slice(openness=float(np.sqrt(max(0.0, 1 - z**2))), side=side, width=width)[0]
        for z in places
    ]
    return np.stack(planes, axis=2)
