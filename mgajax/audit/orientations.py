"""The eight ways to turn and mirror a slice, for thumbnails and for windows alike."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True)
class CopyOrientation:
    """Transposed or not, then turned over top to bottom, then left to right.

    Attributes:
      words: how a copy of this kind is called.
      transposed, upside_down, mirrored: the three steps.
    """

    words: str
    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    def pictures(self, pictures: np.ndarray) -> np.ndarray:
        """The pictures `[n, h, w]`, brought into this orientation."""
        if self.transposed:
            pictures = pictures.swapaxes(1, 2)
        if self.upside_down:
            pictures = pictures[:, ::-1]
        return pictures[:, :, ::-1] if self.mirrored else pictures

    def windows(self, windows: Float32[np.ndarray, "n 4"]) -> Float32[np.ndarray, "n 4"]:
        """The windows of the same places in pictures brought into this orientation."""
        top, left, bottom, right = windows.T
        if self.transposed:
            top, left, bottom, right = left, top, right, bottom
        if self.upside_down:
            top, bottom = 1 - bottom, 1 - top
        if self.mirrored:
            left, right = 1 - right, 1 - left
        return np.stack([top, left, bottom, right], axis=1)


ORIENTATIONS: tuple[CopyOrientation, ...] = (
    CopyOrientation("as it is"),
    CopyOrientation("upside down", upside_down=True),
    CopyOrientation("mirrored left to right", mirrored=True),
    CopyOrientation("turned by 180°", upside_down=True, mirrored=True),
    CopyOrientation("transposed", transposed=True),
    CopyOrientation("turned by 90° to the left", transposed=True, upside_down=True),
    CopyOrientation("turned by 90° to the right", transposed=True, mirrored=True),
    CopyOrientation("transposed the other way", transposed=True, upside_down=True, mirrored=True),
)
"""The first is the identity."""
