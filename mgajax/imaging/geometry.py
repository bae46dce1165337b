"""How stored planes lie in the body, and how they are shown: front up, the patient's right at left.

Directions are DICOM's: x to the patient's left, y to the back, z to the head, in millimetres. A
slice stored any other way is shown by quarter turns and mirrors alone, so that no pixel changes
and a mask can be turned back exactly; an oblique plane stays oblique.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Shaped

Turn = Literal["none", "flip", "rotate"]
"""What makes slices upright, as the user says: nothing, a mirror top to bottom, or half a turn."""

NIFTI_TO_DICOM = np.array([-1.0, -1.0, 1.0])
"""Factors between the two kinds of directions: NIfTI's x and y run to the right and to the front."""

SAME_POSITION_MM = 1e-3
"""Slices nearer than this lie at the same position."""


@dataclass(frozen=True)
class View:
    """How a stored plane becomes the picture that is shown, and back.

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


AS_IT_IS = View()
"""Neither turned nor mirrored."""


def view_of(down: Float[np.ndarray, "3"], right: Float[np.ndarray, "3"]) -> View:
    """The view of planes whose first index runs along `down` and whose second along `right`."""
    is_direct = abs(down[1]) + abs(right[0]) >= abs(down[0]) + abs(right[1])
    picture_down, picture_right = (down, right) if is_direct else (right, down)
    return View(
        axes=(0, 1) if is_direct else (1, 0),
        steps=(1 if picture_down[1] >= 0 else -1, 1 if picture_right[0] >= 0 else -1),
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
      thickness: in mm; None where unknown.
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


REPEATED = 0.25
"""Slices nearer than this share of the usual step repeat each other."""

THINNEST_MM = 0.2
"""No scan of a body has a smaller step between slices."""

EVEN = 0.1
"""Distances that differ by no more than this share count as equal."""

BRIDGED = 4
"""A volume goes on across missing slices for at most so many steps."""


@dataclass(frozen=True)
class Spacing:
    """The distances between the slices of a series.

    Attributes:
      step: the usual distance of neighbours in mm; None for a single slice.
      shares: the length in mm along the axis that each slice stands for: half the way to each
        neighbour; at an end as much as on the other side; beside a gap of more than `BRIDGED`
        steps half a step.
      gaps: pairs of positions in mm between which slices are missing; their distance is a multiple
        of the step.
      missing: how many slices are missing in all.
      uneven: pairs of positions in mm of neighbours at any other distance.
    """

    step: float | None
    shares: tuple[float, ...] = ()
    gaps: tuple[tuple[float, float], ...] = ()
    missing: int = 0
    uneven: tuple[tuple[float, float], ...] = ()


def usual_step(positions: Float[np.ndarray, "n"]) -> float | None:
    """The most frequent distance of neighbours at sorted positions; None where all are equal.

    Repeats do not count: distances below `THINNEST_MM`, and below `REPEATED` of the upper quartile.
    Of several distances that are equally frequent the smallest counts, so that gaps do not either.
    """
    distances = np.abs(np.diff(positions))
    distances = np.sort(distances[distances >= SAME_POSITION_MM])
    if not distances.size:
        return None
    if distances[-1] >= THINNEST_MM:
        distances = distances[distances >= THINNEST_MM]
    large = np.quantile(distances, 0.75, method="lower")
    distances = distances[distances >= REPEATED * large]
    alike = np.abs(distances - distances[:, None]) <= EVEN * distances[:, None]
    return float(np.median(distances[alike[alike.sum(axis=1).argmax()]]))


def find_repeats(positions: Float[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Which of sorted positions repeat an earlier one: the last that is no repeat itself."""
    near = max(SAME_POSITION_MM, REPEATED * (usual_step(positions) or 0.0))
    is_repeat = np.zeros(len(positions), bool)
    last = 0
    for index in range(1, len(positions)):
        is_repeat[index] = abs(positions[index] - positions[last]) < near
        last = last if is_repeat[index] else index
    return is_repeat


def spacing_of(positions: Float[np.ndarray, "n"]) -> Spacing:
    """The spacing of slices at sorted positions without repeats."""
    step = usual_step(positions)
    if step is None:
        return Spacing(step=None)
    distances = np.abs(np.diff(positions))
    steps = distances / step
    is_gap = (steps > 1.5) & (np.abs(steps - steps.round()) <= EVEN)
    is_uneven = (np.abs(steps - 1) > EVEN) & ~is_gap
    halves = np.where(steps > BRIDGED + EVEN, step, distances) / 2
    before, after = np.r_[halves[:1], halves], np.r_[halves, halves[-1:]]
    return Spacing(
        step=step,
        shares=tuple((before + after).tolist()),
        gaps=_sides(positions, is_gap),
        missing=int((steps[is_gap].round() - 1).sum()),
        uneven=_sides(positions, is_uneven),
    )


def _sides(
    positions: Float[np.ndarray, "n"], chosen: Bool[np.ndarray, "m"]
) -> tuple[tuple[float, float], ...]:
    """The positions on both sides of the chosen distances."""
    return tuple(
        (float(positions[index]), float(positions[index + 1]))
        for index in np.flatnonzero(chosen).tolist()
    )
