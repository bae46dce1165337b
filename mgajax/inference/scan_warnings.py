"""Warnings about a whole scan, made when all its slices are predicted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Num

from mgajax.errors import quantity
from mgajax.inference.results import ScanResult, explain_no_class
from mgajax.inference.scans import Plane
from mgajax.inference.slice_warnings import Oddity

SHIFT = 1024
"""Some files add this to Hounsfield units, so that no value is negative."""

NEAR = 150
"""Values at most so far from the shifted value of air or of soft tissue count as such."""

AIR_SHARE, TISSUE_SHARE = 0.05, 0.1
"""Least shares of a slice's values near the shifted values of air and of soft tissue."""


@dataclass(frozen=True)
class Sign:
    """What a slice shows about its scan; None where it does not show it.

    Attributes:
      upside_down: see `slice_warnings.is_upside_down`.
      shifted: see `looks_shifted`.
    """

    upside_down: bool | None
    shifted: bool | None


def looks_shifted(plane: Plane) -> bool | None:
    """Whether values look like Hounsfield units + 1024; None for grey levels."""
    return None if plane.unit != "HU" else _is_shifted(plane.values)


def _is_shifted(values: Num[np.ndarray, "h w"]) -> bool:
    if values.min() < 0:
        return False
    air = (values <= NEAR).mean()
    tissue = (np.abs(values - np.float32(SHIFT)) <= NEAR).mean()
    return bool(air >= AIR_SHARE and tissue >= TISSUE_SHARE)


def mark_upside_down(scan: ScanResult, signs: Sequence[Sign]) -> ScanResult:
    """The scan with the warning "upside down" on all slices, if most slices that show it are."""
    if not _is_majority([sign.upside_down for sign in signs]):
        return scan
    slices = (
        replace(slice_, oddities=(*slice_.oddities, Oddity.UPSIDE_DOWN)) for slice_ in scan.slices
    )
    return replace(scan, slices=tuple(slices))


def find_scan_oddities(scan: ScanResult, signs: Sequence[Sign]) -> Iterator[str]:
    """A line for each oddity of a scan."""
    if not scan.deciding_slices:
        yield explain_no_class(scan)
    votes = [sign.upside_down for sign in signs if sign.upside_down is not None]
    if _is_majority(votes):
        yield (
            f"upside down in {sum(votes)} of {quantity(len(votes), 'slice')} that could be judged; try "
            "--turn flip (or rotate)"
        )
    if _is_majority([sign.shifted for sign in signs]):
        yield (
            f"values look like HU + {SHIFT}: air lies near 0, soft tissue near {SHIFT}; subtract "
            f"{SHIFT}, or lung and its share are not measured"
        )


def _is_majority(votes: Sequence[bool | None]) -> bool:
    """Whether more than half of the votes that are not None are true."""
    cast = [vote for vote in votes if vote is not None]
    return sum(cast) > len(cast) / 2
