"""Drawn axial chest slices with exactly known lesions; nothing to download.

The drawing needs numpy, scipy and jaxtyping only. `CtPhantom` and `PhantomConfig`, which make a
TFDS data set of it, are imported on first use, so that a machine without TFDS can draw.
"""

from typing import Any

from tfds_builders.ct_phantom.individual import Patient, draw_patient
from tfds_builders.ct_phantom.slices import (
    PhantomSettings,
    PhantomSlice,
    draw_slice,
    iter_patients,
    iter_slices,
)

__all__ = [
    "CtPhantom",
    "Patient",
    "PhantomConfig",
    "PhantomSettings",
    "PhantomSlice",
    "draw_patient",
    "draw_slice",
    "iter_patients",
    "iter_slices",
]


def __getattr__(name: str) -> Any:
    if name not in ("CtPhantom", "PhantomConfig"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tfds_builders.ct_phantom import builder

    return getattr(builder, name)
