"""What is said of a whole scan, once all its slices were seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Num

from mgajax.inference.results import ScanResult, no_class
from mgajax.inference.scans import Plane
from mgajax.inference.slice_warnings import Oddity

SHIFT = 1024
"""What some files add to Hounsfield units, so that they need no sign."""

NEAR = 150
"""So far from air's or soft tissue's shifted value the plainest of them lie."""

AIR_SHARE, TISSUE_SHARE = 0.05, 0.1
"""Of a slice's values at least, near air's and near soft tissue's shifted value."""


@dataclass(frozen=True)
class Sign:
    """What a slice tells of its scan; None where it does not tell.

    Attributes:
      upside_down: see `slice_warnings.is_upside_down`.
      shifted: see `looks_shifted`.
    """

    upside_down: bool | None
    shifted: bool | None


def looks_shifted(plane: Plane) -> bool | None:
    """Whether values look like Hounsfield units + 1024; None where they are none."""
    return None if plane.unit != "HU" else _is_shifted(plane.values)


def _is_shifted(values: Num[np.ndarray, "h w"]) -> bool:
    if values.min() < 0:
        return False
    air = (values <= NEAR).mean()
    tissue = (np.abs(values - np.float32(SHIFT)) <= NEAR).mean()
    return bool(air >= AIR_SHARE and tissue >= TISSUE_SHARE)


def turned(scan: ScanResult, signs: Sequence[Sign]) -> ScanResult:
    """The scan with all of its slices called upside down where most that tell say so, or none."""
    if not _most([sign.upside_down for sign in signs]):
        return scan
    slices = (replace(one, oddities=(*one.oddities, Oddity.UPSIDE_DOWN)) for one in scan.slices)
    return replace(scan, slices=tuple(slices))


def scan_lines(scan: ScanResult, signs: Sequence[Sign]) -> Iterator[str]:
    """A line for each thing that is odd about a scan."""
    if not scan.counted:
        yield no_class(scan)
    told = [sign.upside_down for sign in signs if sign.upside_down is not None]
    if _most(told):
        yield (
            f"upside down in {sum(told)} of the {len(told)} slices that tell; try --turn flip (or "
            "rotate)"
        )
    if _most([sign.shifted for sign in signs]):
        yield (
            f"values look like HU + {SHIFT}: air lies near 0, soft tissue near {SHIFT}; subtract "
            f"{SHIFT}, or lung and its share are not measured"
        )


def _most(told: Sequence[bool | None]) -> bool:
    """Whether more than half of what is not None is true."""
    known = [one for one in told if one is not None]
    return sum(known) > len(known) / 2
