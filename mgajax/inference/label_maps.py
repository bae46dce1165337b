"""Masks and other label maps that lie beside the volume that they label: they are no patients."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mgajax.imaging.nifti import Volume
from mgajax.inference.nifti_volume import NiftiScan
from mgajax.inference.problems import Problems

MOST_LABELS = 128
"""Different values of a label map; TotalSegmentator's have up to 118."""

LARGEST_LABEL = 255


def without_label_maps(scans: Sequence[NiftiScan], *, problems: Problems) -> list[NiftiScan]:
    """The volumes but for label maps, each of which is told.

    A label map holds few different integers and nothing else, and a volume of its shape that holds
    more lies in the same folder, or in the one above.
    """
    holds_labels = functools.cache(lambda scan: _holds_labels(scan.volume))
    kept = []
    for scan in scans:
        beside = [other for other in scans if _is_beside(other, scan)]
        labelled = [one for one in beside if holds_labels(scan) and not holds_labels(one)]
        if labelled:
            text = f"{scan.source}: labels of {labelled[0].source.name}, no patient"
            problems.note(text, kind="passed over")
        else:
            kept.append(scan)
    return kept


def _is_beside(other: NiftiScan, scan: NiftiScan) -> bool:
    """Whether `scan` could be a label map of `other`, by its place and shape."""
    places = [Path(os.path.abspath(one.source)).parent for one in (other, scan)]
    return (
        other is not scan
        and places[0] in (places[1], places[1].parent)
        and other.volume.shape == scan.volume.shape
    )


def _holds_labels(volume: Volume) -> bool:
    found: set[float] = set()
    for index in range(volume.shape[2]):
        values = np.unique(volume.plane(index))
        if not (values[0] >= 0 and values[-1] <= LARGEST_LABEL and (values % 1 == 0).all()):
            return False
        found |= set(values.tolist())
        if len(found) > MOST_LABELS:
            return False
    return True
