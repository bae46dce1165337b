"""How stored planes lie in the body, and how they are shown: front up, the patient's right at left.

Directions are DICOM's: x to the patient's left, y to the back, z to the head, in millimetres. A
slice stored any other way is turned by quarter turns and mirrors alone, so that no pixel changes
and a mask goes back exactly; an oblique plane stays oblique.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Shaped

Turn = Literal["none", "flip", "rotate"]
"""What a person says makes slices upright: nothing, a mirror top to bottom, or half a turn."""

NIFTI_TO_DICOM = np.array([-1.0, -1.0, 1.0])
"""What turns one's directions into the other's: NIfTI's x and y run to the right and to the front."""

TURNS: tuple[Turn, ...] = get_args(Turn)


@dataclass(frozen=True)
class View:
    """From a plane as it is stored to the picture that is shown, and back.

    Attributes:
      axes: the stored axes that become the picture's rows and columns.
      steps: 1, or -1 where rows or columns are reversed.
    """

    axes: tuple[int, int] = (0, 1)
    steps: tuple[int, int] = (1, 1)

    def show(self, stored: Shaped[np.ndarray, "_ _"]) -> Shaped[np.ndarray, "h w"]:
        """The picture of a stored plane."""
        plane = stored.transpose(self.axes)
        return np.ascontiguousarray(plane[:: self.steps[0], :: self.steps[1]])

    def store(self, shown: Shaped[np.ndarray, "h w"]) -> Shaped[np.ndarray, "_ _"]:
        """The stored plane of a picture."""
        plane = shown[:: self.steps[0], :: self.steps[1]]
        return np.ascontiguousarray(plane.transpose(self.axes))

    def turned(self, turn: Turn) -> "View":
        """With the picture turned once more."""
        rows, columns = self.steps
        return replace(
            self,
            steps=(rows if turn == "none" else -rows, -columns if turn == "rotate" else columns),
        )


def view_of(down: Float[np.ndarray, "3"], right: Float[np.ndarray, "3"]) -> View:
    """The view of planes whose first index runs along `down` and whose second along `right`."""
    kept = abs(down[1]) + abs(right[0]) >= abs(down[0]) + abs(right[1])
    shown_down, shown_right = (down, right) if kept else (right, down)
    return View(
        axes=(0, 1) if kept else (1, 0),
        steps=(1 if shown_down[1] >= 0 else -1, 1 if shown_right[0] >= 0 else -1),
    )


def body_axis(direction: Float[np.ndarray, "3"]) -> int:
    """The nearest axis of the body: 0 across, 1 front to back, 2 along."""
    return int(np.abs(direction).argmax())


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the plane of one slice lies.

    Attributes:
      position: of the first pixel's centre.
      down, right: directions in which rows and columns are counted.
      pixel: distance of rows and of columns in mm.
      thickness: in mm; None where it is not told.
    """

    position: Float[np.ndarray, "3"]
    down: Float[np.ndarray, "3"]
    right: Float[np.ndarray, "3"]
    pixel: tuple[float, float]
    thickness: float | None

    @property
    def head(self) -> Float[np.ndarray, "3"]:
        """The direction across the plane that points to the head."""
        normal = np.cross(self.right, self.down)
        return normal if normal[2] >= 0 else -normal

    @property
    def height(self) -> float:
        """Where the plane lies along `head`, in mm."""
        return float(self.position @ self.head)


@dataclass(frozen=True)
class Spacing:
    """How the slices of a series follow each other.

    Attributes:
      step: distance of neighbours in mm; None of a single slice.
      gaps: the positions in mm on both sides of each place where slices are missing.
      missing: how many are missing in all.
    """

    step: float | None
    gaps: tuple[tuple[float, float], ...] = ()
    missing: int = 0


def spacing_of(positions: Float[np.ndarray, "n"]) -> Spacing:
    """The spacing of slices at sorted positions that all differ.

    The step is the median of the distances below 1.5 times the smallest one, so that gaps do not
    count however many there are; what is farther apart than 1.5 steps is a gap.
    """
    if len(positions) < 2:
        return Spacing(step=None)
    distances = np.abs(np.diff(positions))
    step = float(np.median(distances[distances < 1.5 * distances.min()]))
    wide = np.flatnonzero(distances > 1.5 * step)
    return Spacing(
        step=step,
        gaps=tuple((float(positions[at]), float(positions[at + 1])) for at in wide),
        missing=int(sum(round(distances[at] / step) - 1 for at in wide)),
    )
